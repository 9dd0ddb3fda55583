"""A fault run: workers under load on a real broker, hurt in a seeded order, then verified."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from schemas.records import OutRecord
from schemas.topics import CUSTOMER_EVENTS
from streams.log import Log
from streams.partitioner import partition_of
from streams.runtime.factories import link_key
from streams.settings import Settings
from tests.any_hour import without_policy
from tests.faults.fleet import Fleet, Inbox, Worker, counts_of
from tests.faults.load import FILED_EVENTS, Load
from tests.faults.verify import (
    Follower,
    check_codes,
    check_decisions,
    check_mails,
    check_states,
    check_told,
    reference,
)
from tests.waiting import poll_pause

SESSION_SECONDS = 4.0
"""Short, so that a run needn't wait long for a paused worker to be replaced."""
TOKEN_KEYS = "a:0123456789abcdef0123456789abcdef"
PAUSED_SECONDS = SESSION_SECONDS + 2
"""Longer than the session: the others have taken over when the paused one wakes."""

LEAVING_SECONDS = 1.0
"""Some of it: from SIGTERM until the others have the partitions."""

MESSAGES_BEHIND = 3
"""Messages between actors that one event leads to at most: a visitor forwards an order, its
customer asks the pool, the pool answers."""

EVENTS = "ritorno_events_total"

POOL = "gift"
CODES = 30_000
"""More than the orders of a hundred faults."""
_GIFT = f"""
  - {{id: {POOL}, kind: gift, description: {{it: regalo}}, pool: [%s]}}
"""
_GIVES = f"""id: w22-gift
title: {{it: Un regalo per ogni ordine}}
trigger: order.completed
entry: {{once_per: order}}
steps:
  - {{id: code, coupon: {POOL}}}
"""


class Broker(Protocol):
    """What a run does to the broker."""

    def kill(self) -> None:
        """kill -9."""

    def start(self) -> None:
        """Start again on the same data and port, and return when it answers."""


class Run:
    """One run. `faults` are names of methods without the underscore."""

    FAULTS = (
        "kill",
        "terminate",
        "kill_while_leaving",
        "join_and_leave",
        "pause",
        "restart_broker",
    )

    def __init__(
        self,
        *,
        log: Log,
        broker: Broker,
        directory: Path,
        bootstrap: str,
        seed: int,
        customers: int = 400,
        say: Callable[[str], None] = print,
    ) -> None:
        self._log = log
        self._broker = broker
        self._random = random.Random(seed)
        self._load = Load(seed, customers)
        self._inbox = Inbox()
        self._say = say
        self._ends: dict[int, int] = {}
        self._events_per_fault = 0
        self._fleet = Fleet(
            directory,
            RITORNO_BROKER=f"kafka://{bootstrap}",
            RITORNO_SMTP_URL=f"smtp://127.0.0.1:{self._inbox.port}",
            RITORNO_PARTITIONS="4",
            RITORNO_KAFKA_SESSION_SECONDS=str(SESSION_SECONDS),
            RITORNO_TOKEN_KEYS=TOKEN_KEYS,
            RITORNO_WORKFLOWS_DIR=str(_workflows(directory / "workflows")),
        )
        self._file = directory / "events.ndjson"
        self._file.write_text(self._load.file(), encoding="utf-8")

    async def go(self, faults: list[str], events_per_fault: int) -> Counter[str]:
        """Do all faults under load, verify, and return what was counted."""
        self._events_per_fault = events_per_fault
        self._fleet.command("topics", "create")
        self._inbox.start()
        try:
            await self._fleet.start("one", "two")
            await self._append(self._load.signups())
            await self._publish_file()
            for number, fault in enumerate(faults, start=1):
                self._say(f"fault {number}/{len(faults)}: {fault}")
                hurt: Callable[[], Awaitable[None]] = getattr(self, f"_{fault}")
                await asyncio.gather(self._append_some(events_per_fault), hurt())
            await self._publish_file()
            return await self._verify()
        finally:
            self._fleet.kill()
            self._inbox.stop()

    async def _verify(self) -> Counter[str]:
        follower = Follower(self._log)
        async with asyncio.timeout(180):
            await follower.drained(self._ends)
            for _ in range(MESSAGES_BEHIND):
                spans = await self._log.offsets(CUSTOMER_EVENTS)
                await follower.drained({number: span.end for number, span in spans.items()})
        self._say("drained, stopping the workers")
        codes = self._fleet.stop()
        assert set(codes.values()) == {0}, codes
        found = await follower.catch_up()
        outcome = await reference(
            self._log, found.progress, link_key(Settings.model_validate({"token_keys": TOKEN_KEYS}))
        )
        check_states(found, outcome, self._load)
        check_decisions(found, outcome)
        tally = check_mails(found, self._inbox)
        tally["codes"] = check_codes(found, self._load, POOL)
        tally["events"] = self._load.unique
        tally["in_a_file_told_twice"] = FILED_EVENTS
        tally += check_told(found)
        return tally

    async def _publish_file(self) -> None:
        await asyncio.to_thread(self._fleet.command, "publish", str(self._file))
        spans = await self._log.offsets(CUSTOMER_EVENTS)
        self._ends.update({number: span.end for number, span in spans.items()})

    async def _append_some(self, count: int) -> None:
        """Append in small portions, so that the fault falls into the middle."""
        for _ in range(10):
            await self._append(self._load.events(count // 10))

    async def _append(self, records: list[OutRecord]) -> None:
        partitions = await self._log.partitions(CUSTOMER_EVENTS)
        by_partition: defaultdict[int, list[OutRecord]] = defaultdict(list)
        for record in records:
            by_partition[partition_of(record.key or b"", partitions)].append(record)
        for partition, portion in by_partition.items():
            self._ends[partition] = 1 + await self._log.append(CUSTOMER_EVENTS, partition, portion)

    def _one(self) -> Worker:
        """Return one of the two that always come back."""
        return self._fleet.worker(self._random.choice(("one", "two")))

    async def _kill(self) -> None:
        worker = self._one()
        await self._progressing(worker)
        worker.kill()
        await self._fleet.start(worker.name)

    async def _terminate(self) -> None:
        worker = self._one()
        await self._progressing(worker)
        worker.signal(signal.SIGTERM)
        code = await asyncio.to_thread(worker.wait)
        assert code == 0, worker.last_words()
        await self._fleet.start(worker.name)

    async def _kill_while_leaving(self) -> None:
        """Kill who leaves, or who is about to get its partitions, at any moment of it."""
        leaving = self._one()
        staying = self._fleet.worker("two" if leaving.name == "one" else "one")
        await self._progressing(leaving)
        leaving.signal(signal.SIGTERM)
        await asyncio.sleep(self._random.random() * LEAVING_SECONDS)  # the moment of the fault
        killed = self._random.choice((leaving, staying))
        if killed.running:
            killed.kill()
        await asyncio.to_thread(leaving.wait)
        await self._fleet.start(*(each.name for each in (leaving, staying) if not each.running))

    async def _join_and_leave(self) -> None:
        await self._fleet.start("three")
        third = self._fleet.worker("three")
        if self._random.random() < 0.5:
            third.kill()
        else:
            third.signal(signal.SIGTERM)
            await asyncio.to_thread(third.wait)

    async def _pause(self) -> None:
        """Stop a process for longer than its session, in the middle of whatever it does."""
        worker = self._one()
        await self._progressing(worker)
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(
            PAUSED_SECONDS
        )  # the fault itself: nothing tells when a session is over
        worker.signal(signal.SIGCONT)
        await worker.ready()

    async def _restart_broker(self) -> None:
        await asyncio.to_thread(self._broker.kill)
        await asyncio.to_thread(self._broker.start)
        for name in ("one", "two"):
            await self._fleet.worker(name).ready()

    async def _progressing(self, worker: Worker) -> None:
        """Wait until the worker has done a random part of what is being appended."""
        await worker.ready()
        begin = counts_of(await worker.metrics(), EVENTS)
        part = self._random.random() * self._events_per_fault / 4
        async with asyncio.timeout(60):
            while counts_of(await worker.metrics(), EVENTS) < begin + part:
                await poll_pause()


def _workflows(directory: Path) -> Path:
    """Write the shipped workflows, and one that asks a pool for a code at each order."""
    without_policy(directory)
    with (directory / "coupons.yaml").open("a", encoding="utf-8") as file:
        file.write(_GIFT % ", ".join(f"DONO{number}" for number in range(CODES)))
    (directory / "w22-gift.yaml").write_text(_GIVES, encoding="utf-8")
    return directory
