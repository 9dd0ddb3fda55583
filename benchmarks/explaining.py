"""What it takes to find one customer's decisions among a million: reading all, or asking."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence

from agents.mail.settings import SigningKey
from benchmarks.machine import Machine
from benchmarks.results import Result, result
from benchmarks.say import Say
from schemas.records import OutRecord, Record
from schemas.topics import FACTS
from streams.clock import SystemClock
from streams.http.internal.client import Lookups
from streams.http.internal.owners import Owners
from streams.http.internal.server import InternalServer
from streams.http.internal.signing import RequestSigner
from streams.log import Log
from streams.operate.record_index import RecordIndex
from streams.operate.record_search import find_records
from streams.settings.values import Address

DECISIONS = 1_000_000
CUSTOMERS = 20_000
AT_ONCE = 10_000
KEYS = [SigningKey("bench", "a key of the benchmarks")]
SOMEBODY = b"c-4711"


class _Counting:
    """A log that counts the records that are read of it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.records = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    async def read(
        self, topic: str, partition: int, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        async for chunk in self._log.read(topic, partition, start, stop):
            self.records += len(chunk)
            yield chunk

    async def pick(
        self, topic: str, partition: int, offsets: Sequence[int]
    ) -> AsyncIterator[Sequence[Record]]:
        async for chunk in self._log.pick(topic, partition, offsets):
            self.records += len(chunk)
            yield chunk


class _Here(Owners):
    """Everything is this process's."""

    address: Address

    async def owner(self, partition: int) -> Address | None:
        return self.address


async def _nothing(_: object) -> bool:
    """Nobody hands over."""
    return True


async def measure(here: Machine, say: Say) -> list[Result]:
    """Fill `facts`, then look for one customer in it: as before, for the first time, again."""
    say(f"filling facts with {DECISIONS:,} decisions of {CUSTOMERS:,} customers")
    count = await here.log.partitions(FACTS)
    for number, records in enumerate(_decisions()):
        await here.log.append(FACTS, number % count, records)
    log = _Counting(here.log)
    record_index = RecordIndex(log, here.directory / "places.sqlite")  # type: ignore[arg-type]  # it is one
    clock = SystemClock()
    door = InternalServer(
        log=log,  # type: ignore[arg-type]  # as above
        signer=RequestSigner(KEYS),
        clock=clock,
        customer=lambda *_: None,
        record_index=record_index,
        prepare=_nothing,
    )
    owners = _Here(here.log, "none", here.directory)
    owners.address = await door.start(Address("127.0.0.1", 0))
    lookups = Lookups(here.log, owners, RequestSigner(KEYS), clock)
    found = []
    try:
        for name, asked in (("all", None), ("first", lookups), ("again", lookups)):
            say(f"looking for one customer: {name}")
            log.records = 0
            began = time.perf_counter()
            theirs = await find_records(log, FACTS, {SOMEBODY}, lookups=asked)  # type: ignore[arg-type]
            found.append((name, time.perf_counter() - began, log.records, len(theirs)))
    finally:
        await door.stop()
        await record_index.close()
    assert len({number for *_, number in found}) == 1, found
    rows = []
    for name, seconds, records, _ in found:
        rows.append(result(f"explain.{name}", seconds, "s"))
        rows.append(result(f"explain.{name}.records", records, "records read"))
    size = (here.directory / "places.sqlite").stat().st_size
    return [*rows, result("explain.index", size / DECISIONS, "bytes/decision")]


def _decisions() -> Iterator[list[OutRecord]]:
    for start in range(0, DECISIONS, AT_ONCE):
        numbers = range(start, start + AT_ONCE)
        yield [OutRecord(b"w06-abandoned-cart-a", _decision(number)) for number in numbers]


def _decision(number: int) -> bytes:
    customer = number * 7919 % CUSTOMERS  # each as often, in an order that is none
    decision = {
        "time": "2026-03-01T09:00:00Z", "customer": f"c-{customer}",
        "workflow": "w06-abandoned-cart-a", "version": "0123456789ab", "run": f"r-{number}",
        "step": "reminder", "decision": "sent", "reason": "due", "template": "cart-reminder",
        "class": "marketing", "command_id": f"r-{number}-reminder",
    }  # fmt: skip
    return json.dumps(decision).encode()
