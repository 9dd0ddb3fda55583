"""A campaign of 100,000 mails waits for a relay that is 20 ms away, and receipts come in meanwhile.

A whole worker on the embedded log. Measured while it works on the campaign: mails a second, its
memory, and how long a receipt takes from being commanded (its append to `send-commands` begins) to
being at the relay. All of the mails would take ten minutes, so the run ends after one.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from agents.mail.message.message_ids import local_part
from benchmarks import distance, machine
from benchmarks.machine import SIGNER, Machine, total
from benchmarks.results import Result, result
from benchmarks.say import Say
from schemas.commands import SendCommand
from schemas.records import OutRecord
from schemas.topics import SEND_COMMANDS
from streams.clock import SystemClock
from streams.partitioner import partition_of
from tests.faults.fleet import Worker
from tests.mail.samples import DAY, send

MAILS = 100_000
CUSTOMERS = 2_000
"""Few, so that what the worker keeps of customers, who hear of their mails, is there at once: it is
the mailer's memory that is looked at."""

SECONDS = 60
SETTLING = 10
"""Seconds between the last command and the minute; taking them over has left its own traces."""

BETWEEN = 0.5
"""Seconds between two receipts."""

APPENDED = 1_000
DOMAINS = ("gmail.com", "libero.it", "hotmail.it", "yahoo.it", "shop.example")
"""Google and Microsoft get five connections at most, of which marketing has four."""

PLAIN_PEER = "the same without PIPELINING"
MEMORY_PEER = "the same with the memory store"


@dataclass(slots=True)
class Arrivals:
    """What the relay has got."""

    mails: int = 0
    receipts: dict[bytes, float] = field(default_factory=dict)
    """Local part of the Message-ID → when it came."""

    def take(self, text: bytes) -> None:
        """A mail is there."""
        self.mails += 1
        head = text.partition(b"\r\n\r\n")[0]
        if b"Auto-Submitted" in head:
            after = head.partition(b"Message-ID: <")[2]
            self.receipts.setdefault(after.partition(b"@")[0], time.monotonic())


@dataclass(slots=True)
class Minute:
    """What one run has shown."""

    per_second: float
    waits: list[float]
    """Seconds of each receipt."""
    loading: list[float]
    """The same, of those that came while the campaign was taken over."""
    taken_over: float
    """Commands a second."""
    memory: tuple[float, float]
    """Resident bytes, at the beginning of the minute and at its end."""
    empty: float
    """Resident bytes before the campaign."""


async def measure(directory: Path, say: Say) -> list[Result]:
    """Measure once with PIPELINING and once without, each on its own campaign.

    The second run keeps its state in memory: RocksDB fills its write buffers, up to 32 MB a
    partition, whatever the mailer does.
    """
    async with asyncio.timeout(900):
        async with machine.embedded(directory / "1") as here:
            pipelined = await _minute(here, say, "pipelined", pipelining=True, store="rocksdict")
        async with machine.embedded(directory / "2") as here:
            plain = await _minute(here, say, "plain", pipelining=False, store="memory")
    loaded = pipelined.memory[0]
    rate = result("backlog.mails", pipelined.per_second, "mails/s", PLAIN_PEER, plain.per_second)
    return [
        rate,
        result("backlog.taken_over", pipelined.taken_over, "commands/s"),
        result("backlog.receipt_median", median(pipelined.waits), "s"),
        result("backlog.receipt_worst", max(pipelined.waits), "s"),
        result("backlog.receipt_worst_while_loading", max(pipelined.loading), "s"),
        result("backlog.receipt_worst_plain", max(plain.waits), "s"),
        result("backlog.memory_per_mail", (loaded - pipelined.empty) / MAILS, "bytes"),
        result(
            "backlog.memory_growth",
            _megabytes(pipelined),
            "MB in a minute",
            MEMORY_PEER,
            _megabytes(plain),
        ),
    ]


def _megabytes(minute: Minute) -> float:
    before, after = minute.memory
    return (after - before) / 2**20


async def _minute(here: Machine, say: Say, name: str, *, pipelining: bool, store: str) -> Minute:
    arrivals = Arrivals()
    async with distance.relay(pipelining=pipelining, taken=arrivals.take) as port:
        settings = {"RITORNO_SMTP_URL": f"smtp://127.0.0.1:{port}", "RITORNO_STORE": store}
        with here.worker(f"backlog-{name}", **settings) as worker:
            worker.start()
            await worker.ready()
            empty = (await worker.metrics())["process_resident_memory_bytes"]
            say(f"{MAILS:,} mails of a campaign are commanded ({name})")
            commanding = asyncio.create_task(_command(here, _campaign(name)))
            receipts = _Receipts(here, name, arrivals)
            began = time.monotonic()
            while (await _waiting(worker)) + arrivals.mails < MAILS:
                await receipts.one_more()
            taken_over = MAILS / (time.monotonic() - began)
            await commanding
            loading = await receipts.waits()
            await asyncio.sleep(SETTLING)
            say(f"{SECONDS} s of it, and a receipt each {BETWEEN:g} s")
            first, since = arrivals.mails, time.monotonic()
            before = (await worker.metrics())["process_resident_memory_bytes"]
            while time.monotonic() < since + SECONDS:
                await receipts.one_more()
            rate = (arrivals.mails - first) / (time.monotonic() - since)
            after = (await worker.metrics())["process_resident_memory_bytes"]
            waits = (await receipts.waits())[len(loading) :]
            worker.kill()
    return Minute(rate, waits, loading, taken_over, (before, after), empty)


class _Receipts:
    """Commands receipts one by one and remembers when."""

    def __init__(self, here: Machine, name: str, arrivals: Arrivals) -> None:
        self._here = here
        self._name = name
        self._arrivals = arrivals
        self._commanded: dict[bytes, float] = {}

    async def one_more(self) -> None:
        """Command a receipt, and wait a little."""
        number = len(self._commanded)
        now = SystemClock().now()
        receipt = send(f"{self._name}-receipt-{number}", urgent=True, customer=f"r{number}",
                       email=f"r{number}@{DOMAINS[number % len(DOMAINS)]}",
                       time=now, expires=now + DAY)  # fmt: skip
        self._commanded[local_part(receipt.id).encode()] = time.monotonic()
        await _command(self._here, [receipt])
        await asyncio.sleep(BETWEEN)

    async def waits(self) -> list[float]:
        """Return how long each has taken, once all are there."""
        while len(self._arrivals.receipts) < len(self._commanded):  # noqa: ASYNC110  # the relay counts
            await asyncio.sleep(0.05)
        return [self._arrivals.receipts[key] - time_ for key, time_ in self._commanded.items()]


def _campaign(name: str) -> Iterable[SendCommand]:
    now = SystemClock().now()
    one = send("", time=now, expires=now + DAY, bulk=True)
    for number in range(MAILS):
        customer = f"c{number % CUSTOMERS}"
        address = f"{customer}@{DOMAINS[number % len(DOMAINS)]}"
        yield one.model_copy(
            update={"id": f"{name}-{number}", "customer": customer, "email": address}
        )


async def _command(here: Machine, commands: Iterable[SendCommand]) -> None:
    count = await here.log.partitions(SEND_COMMANDS)
    groups: defaultdict[int, list[OutRecord]] = defaultdict(list)
    for command in commands:
        key = command.customer.encode()
        value = command.model_dump_json(by_alias=True).encode()
        partition = partition_of(key, count)
        groups[partition].append(SIGNER.sign(SEND_COMMANDS, OutRecord(key, value)))
        if len(groups[partition]) == APPENDED:
            await here.log.append(SEND_COMMANDS, partition, groups.pop(partition))
            await asyncio.sleep(0)
    for partition, records in groups.items():
        await here.log.append(SEND_COMMANDS, partition, records)


async def _waiting(worker: Worker) -> float:
    return total(await worker.metrics(), "ritorno_retry_queue", 'class="marketing"')
