"""Small parts for the runtime's tests: a log in memory that can fail at a marked place, a gate, and
actors that count."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agents.partition.batch import BatchCounts, FailureSite
from schemas.records import OutRecord, Record
from schemas.signing import RecordSigner
from schemas.stored import NEVER, Progress, body, head, is_erased, pack
from streams.clock import Clock, VirtualClock
from streams.log import (
    LogError,
    OffsetRange,
    TopicDescription,
    TopicIdentity,
    TopicSpec,
    UnknownTopic,
)
from streams.runtime.transports.batch import Fenced, PartitionBatch, PartitionOwner, TopicPartition
from streams.topology import SEND_COMMANDS, topics

START = 1_772_355_600_000
"""2026-03-01T09:00:00Z."""

Fault = Callable[[str, int, Sequence[OutRecord]], int | None]
"""Called before each append; returns how many of the records to write before failing, or None."""


class Crash(LogError):
    """The process ends here, or the broker does not answer."""


class MemoryLog:
    """A Log in dicts."""

    def __init__(self, clock: Clock | None = None, chunk: int = 3) -> None:
        self.clock = clock or VirtualClock(START)
        self.topics: dict[str, list[list[Record]]] = {}
        self.specs: dict[str, TopicSpec] = {}
        self.ids: dict[str, str] = {}
        self.read_by: dict[str, list[str]] = {}
        self.fault: Fault = lambda *_: None
        self.appended = asyncio.Condition()
        self._chunk = chunk

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def create_topics(self, specs: Sequence[TopicSpec]) -> list[str]:
        new = [spec for spec in specs if spec.name not in self.topics]
        for spec in new:
            self.topics[spec.name] = [[] for _ in range(spec.partitions)]
            self.specs[spec.name] = spec
        return [spec.name for spec in new]

    async def readers(self, topic: str) -> list[str]:
        return self.read_by.get(topic, [])

    async def members(self, group: str) -> None:
        pass

    def named(self, topic: str) -> str:
        """Return the topic's name."""
        return topic

    async def describe(self, topic: str) -> TopicDescription | None:
        spec = self.specs.get(topic)
        if spec is None:
            return None
        return TopicDescription(
            name=topic, partitions=spec.partitions, replication=1, config=spec.config
        )

    async def identities(self, topics: Sequence[str]) -> Mapping[str, TopicIdentity]:
        return {
            name: TopicIdentity(self.ids.get(name, ""), len(self.topics[name]))
            for name in topics
            if name in self.topics
        }

    async def partitions(self, topic: str) -> int:
        if topic not in self.topics:
            raise UnknownTopic(topic)
        return len(self.topics[topic])

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        kept = self.fault(topic, partition, records)
        await asyncio.sleep(0)
        target = self.topics[topic][partition]
        for record in records[:kept]:
            target.append(Record(topic, partition, len(target), self.clock.now(), *record))
        async with self.appended:
            self.appended.notify_all()
        if kept is not None:
            raise Crash(f"{topic}/{partition}")
        return len(target) - 1

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        return {n: OffsetRange(0, len(part)) for n, part in enumerate(self.topics[topic])}

    async def offset_at(self, topic: str, partition: int, instant: int) -> int:
        kept = self.topics[topic][partition]
        return next((each.offset for each in kept if each.timestamp >= instant), len(kept))

    async def read(
        self, topic: str, partition: int, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        part = [r for r in self.topics[topic][partition] if start <= r.offset < stop]
        for at in range(0, len(part), self._chunk):
            await asyncio.sleep(0)
            yield part[at : at + self._chunk]

    def records(self, topic: str) -> list[Record]:
        return [record for part in self.topics[topic] for record in part]


async def memory_log(partitions: int = 2, clock: Clock | None = None) -> MemoryLog:
    log = MemoryLog(clock)
    await log.create_topics(topics(partitions))
    return log


@dataclass
class FakeLease:
    """Remembers what it was told; can be fenced or crash at `done`."""

    fenced: bool = False
    crash_at_done: bool = False
    watermark: int | None = None

    def check(self) -> None:
        if self.fenced:
            raise Fenced("late heartbeat")

    def done(self, next_offset: int) -> None:
        if self.crash_at_done:
            raise Crash("done")
        self.watermark = next_offset


@dataclass
class FakeLeases:
    """Opens again what fails, as both transports do."""

    lease: FakeLease = field(default_factory=FakeLease)
    stale: bool = False
    owner: PartitionOwner | None = None
    start: dict[TopicPartition, int] = field(default_factory=dict)

    def own(self, topic: str, owner: PartitionOwner) -> None:
        self.owner = owner

    async def open(self, tp: TopicPartition) -> None:
        assert self.owner is not None
        self.start[tp] = await self.owner.opened(tp) or 0

    @asynccontextmanager
    async def enter(self, batch: PartitionBatch) -> AsyncIterator[FakeLease | None]:
        assert self.owner is not None
        if self.stale:
            yield None
            return
        try:
            yield self.lease
            self.start[batch.tp] = batch.records[-1].offset + 1
        except Exception:
            self.lease = FakeLease()
            await self.owner.closed(batch.tp)
            await self.open(batch.tp)
            raise


@dataclass
class CountingEffect:
    topic: str
    key: bytes
    record: OutRecord

    def signed(self, signer: RecordSigner) -> OutRecord:
        return signer.sign(self.topic, self.record)


@dataclass
class CountingChanges:
    effects: list[CountingEffect]
    states: list[tuple[bytes, bytes | None]]
    progress: Progress
    counts: BatchCounts = field(default_factory=BatchCounts)


class CountingActors:
    """Counts events per customer and commands one mail for each; `erase` forgets the customer.

    Events with the value `boom` raise, and a tick only moves the time.
    """

    def __init__(
        self,
        *,
        partition: int,
        load: Callable[[bytes], bytes | None],
        progress: Progress,
        due: Iterable[tuple[int, bytes]],
        products: Iterable[tuple[bytes, bytes]],
        held_back: Iterable[tuple[bytes, bytes]],
        broadcasts: Iterable[bytes],
        scan: Callable[[], Iterable[tuple[bytes, bytes]]],
    ) -> None:
        self.partition = partition
        self.load = load
        self.progress = progress
        self.due = sorted(due)
        self.changed: dict[bytes, bytes | None] = {}
        self.effects: list[CountingEffect] = []

    def prepare(self) -> Iterable[None]:
        return ()

    def absorbing(self, records: Sequence[Record], *, verifying: bool) -> Iterator[bool]:
        for record in records:
            if record.key is not None:
                self._receive(record, record.key, self.changed, self.effects)
        self.progress = Progress(
            next_offset=records[-1].offset + 1,
            log_time=max(self.progress.log_time, *(r.timestamp for r in records)),
        )
        yield False

    def encoding(self) -> Iterator[None]:
        yield

    @property
    def next_timer(self) -> int:
        return self.due[0][0] if self.due else NEVER

    @property
    def timers_pending(self) -> int:
        return len(self.due)

    held_back = 0

    def site_of_effect(self, number: int) -> FailureSite:
        return FailureSite(self.progress.next_offset - 1, "record")

    def site_of_state(self, key: bytes) -> FailureSite:
        return FailureSite(self.progress.next_offset - 1, "record")

    def take(self) -> CountingChanges:
        changes = CountingChanges(self.effects, list(self.changed.items()), self.progress)
        self.changed, self.effects = {}, []
        return changes

    def _receive(
        self,
        record: Record,
        key: bytes,
        changed: dict[bytes, bytes | None],
        effects: list[CountingEffect],
    ) -> None:
        if record.value == b"boom":
            raise ZeroDivisionError("a defect in an actor")
        stored = changed[key] if key in changed else self.load(key)
        if stored and head(stored).applied >= record.offset:
            return
        if record.value == b"erase":
            changed[key] = None
            return
        seen = json.loads(bytes(body(stored))) if stored and not is_erased(stored) else []
        seen.append(record.offset)
        changed[key] = pack(record.offset, NEVER, json.dumps(seen).encode())
        command = OutRecord(key, f"{record.partition}:{record.offset}:{len(seen)}".encode())
        effects.append(CountingEffect(SEND_COMMANDS, key, command))


@dataclass
class Seen:
    """An Observer that remembers."""

    committed_batches: int = 0
    failures: list[str] = field(default_factory=list)
    recoveries: list[int] = field(default_factory=list)
    closures: list[int] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)

    def committed(self, partition: int, changes: object) -> None:
        self.committed_batches += 1

    def recovered(self, partition: int, recovered: object) -> None:
        self.recoveries.append(recovered.records)  # type: ignore[attr-defined]  # a Recovered

    def failed(self, partition: int, reason: str) -> None:
        self.failures.append(reason)

    def set_aside(self, partition: int, what: str) -> None:
        self.aside.append(what)

    def closed(self, partition: int) -> None:
        self.closures.append(partition)
