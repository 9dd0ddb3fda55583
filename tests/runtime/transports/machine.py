"""For the conformance suite: a Faust app on either transport whose owners count what they get."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from schemas.records import OutRecord, Record
from streams.log import Log, TopicSpec
from streams.runtime.transports.assigned_partition import BatchLease
from streams.runtime.transports.batch import PartitionBatch, TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager

APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}
PARTITIONS = 3

NAMES = itertools.count()
"""Makes names of topics and groups that nobody else has."""

TIMEOUT = 60.0
"""Seconds until a wait counts as failed; generous, the machines are shared."""


class Backend(Protocol):
    """One of the two logs with its transport."""

    async def open_log(self) -> Log:
        """Return a started log; the backend stops it at the end of the test."""

    async def settle(self, topics: Sequence[TopicSpec]) -> None:
        """Create topics and wait until they can be written and read."""

    def app(self, group: str, log: Log, partition_manager: PartitionManager) -> Any:
        """Return a Faust app on this transport that is not started yet."""

    def channel(self, app: Any, topic: str) -> Any:
        """Return what an agent of batches reads."""

    async def rebalance(self, app: Any) -> None:
        """Have all partitions revoked and assigned again."""


class CountingOwner:
    """Owns partitions, keeps the records it took, and fails or waits where a test asks it to."""

    def __init__(self) -> None:
        self.taken: dict[TopicPartition, list[Record]] = defaultdict(list)
        self.history: list[tuple[str, TopicPartition]] = []
        self.starts: dict[TopicPartition, int] = {}
        self.before_opening: Callable[[TopicPartition], Any] | None = None
        self.before_done: Callable[[PartitionBatch, BatchLease], Any] | None = None
        self._news = asyncio.Event()

    async def opened(self, tp: TopicPartition) -> int | None:
        if self.before_opening is not None:
            await self.before_opening(tp)
        self._note("opened", tp)
        return self.starts.get(tp)

    async def closed(self, tp: TopicPartition) -> None:
        self._note("closed", tp)

    async def process(self, partition_manager: PartitionManager, batch: PartitionBatch) -> None:
        """Take a batch as the agents' runtimes do: nothing is raised, the partition manager
        reopens."""
        try:
            async with partition_manager.enter(batch) as lease:
                if lease is None:
                    self._note("stale", batch.tp)
                    return
                if self.before_done is not None:
                    await self.before_done(batch, lease)
                lease.check()
                self.taken[batch.tp].extend(batch.records)
                self._note("batch", batch.tp)
                lease.done(batch.records[-1].offset + 1)
        except Failure:
            self._note("failed", batch.tp)

    def total(self) -> int:
        return sum(len(records) for records in self.taken.values())

    def count(self, what: str) -> int:
        return sum(event == what for event, _ in self.history)

    def of(self, tp: TopicPartition) -> list[str]:
        """Return what happened to one partition, in order, repetitions left out."""
        events = [event for event, where in self.history if where == tp]
        return [e for n, e in enumerate(events) if n == 0 or events[n - 1] != e]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on what this owner knows."""
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                await self._news.wait()

    def _note(self, event: str, tp: TopicPartition) -> None:
        self.history.append((event, TopicPartition(*tp)))
        news, self._news = self._news, asyncio.Event()
        news.set()


class Failure(Exception):
    """What a test has a batch fail with."""


@asynccontextmanager
async def running(backend: Backend, log: Log, group: str, owners: dict[str, CountingOwner]) -> Any:
    """Run an app with an agent per topic; yields it, and stops it cleanly."""
    partition_manager = PartitionManager()
    app = backend.app(group, log, partition_manager)
    for topic, owner in owners.items():
        partition_manager.own(topic, owner)
        _agent(app, backend.channel(app, topic), topic, owner, partition_manager)
    async with asyncio.timeout(TIMEOUT):
        await app.start()
    try:
        yield app
    finally:
        async with asyncio.timeout(TIMEOUT):
            await app.stop()


def _agent(
    app: Any, channel: Any, topic: str, owner: CountingOwner, partition_manager: PartitionManager
) -> None:
    async def consume(stream: Any) -> None:
        async for batch in stream:
            await owner.process(partition_manager, batch)

    app.agent(channel, name=f"agent-{topic}")(consume)


async def append_numbers(log: Log, topic: str, partition: int, first: int, count: int) -> None:
    """Append records whose values are consecutive numbers."""
    records = [OutRecord(b"k", b"%d" % n) for n in range(first, first + count)]
    for start in range(0, count, 1000):
        await log.append(topic, partition, records[start : start + 1000])


def numbers(records: Sequence[Record]) -> list[int]:
    return [int(record.value or b"-1") for record in records]


async def make_topic(backend: Backend, **config: str) -> str:
    name = f"conformance-{next(NAMES)}"
    await backend.settle([TopicSpec(name=name, partitions=PARTITIONS, config=APPEND_TIME | config)])
    return name


async def read(log: Log, topic: str, partition: int, start: int, stop: int) -> list[Record]:
    async with asyncio.timeout(TIMEOUT):
        return [r async for chunk in log.read(topic, partition, start, stop) for r in chunk]
