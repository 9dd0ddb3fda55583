"""The log: what Ritorno needs of a broker besides a consumer group.

Everything that appends records, reads a range of a partition or looks after topics does it through
`Log`, so that nothing above this line knows whether it runs on Kafka or on the embedded SQLite log.
Consumption in a group belongs to the Faust transports in `streams/runtime/transports/`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from schemas.failures import Failure
from schemas.records import OutRecord, Record


class LogError(Failure):
    """The log refused or could not be reached; the text says what to do, for a shopkeeper."""


class LogUnavailable(LogError):
    """The broker does not answer. Nothing is known about what was in flight."""


class LogDamaged(LogError):
    """What holds the log can't be read any more; trying again is of no use."""


class RecordTooLarge(LogError):
    """The topic takes no record of that size."""


class UnknownTopic(LogError):
    """The topic does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """A topic as we want it: created by us, never auto-created, never changed."""

    name: str
    partitions: int
    replication: int = 1
    config: Mapping[str, str] = field(default_factory=dict)
    """Kafka topic configuration: `message.timestamp.type`, `cleanup.policy`, `retention.ms`…"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicDescription:
    """A topic as the broker has it."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets of one partition: `start` is the earliest kept, `end` the next to be written.

    While a foreign producer's transaction is open, `end` is where it began, and nothing behind that
    can be read yet.
    """

    start: int
    end: int
    pending: int = 0
    """Records that are written behind `end` and wait for a transaction to end."""

    @property
    def high_watermark(self) -> int:
        """The next offset to be written, whoever may read what lies before it."""
        return self.end + self.pending


class TopicIdentity(NamedTuple):
    """What tells a topic from one of that name before or after it."""

    id: str
    """The broker's, another one whenever it is made; empty where a broker has none."""
    partitions: int


class GroupMember(NamedTuple):
    """A member of a consumer group."""

    published: bytes
    """What it has put into its metadata for others to see."""
    partitions: Mapping[str, frozenset[int]]
    """Those that it has, by topic."""
    id: str
    """The broker has made it of the worker's id and a UUID."""


@runtime_checkable
class Log(Protocol):
    """A partitioned, ordered, durable log."""

    async def start(self) -> None:
        """Connect. Raises LogUnavailable."""

    async def stop(self) -> None:
        """Flush and disconnect. Safe to call twice."""

    async def create_topics(self, specs: Sequence[TopicSpec]) -> list[str]:
        """Create those that do not exist and return their names. Existing ones stay untouched."""

    def named(self, topic: str) -> str:
        """Return what the topic is called where it is kept: what a person has to call it there."""

    async def describe(self, topic: str) -> TopicDescription | None:
        """Return the topic as the broker has it, None when it does not exist."""

    async def identities(self, topics: Sequence[str]) -> Mapping[str, TopicIdentity]:
        """Return what tells these topics from others, asked anew; without those that don't exist.
        Raises LogError."""

    async def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has (cached). Raises UnknownTopic."""

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        """Append in order to one partition and return the last offset once all are acknowledged.

        Acknowledged means durable (acks=all on Kafka, a synced commit on the embedded log). When
        this raises LogError, any prefix of the records may or may not have been written.
        """

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        """Return the offset range of each partition. Raises UnknownTopic."""

    async def offset_at(self, topic: str, partition: int, instant: int) -> int:
        """Return the lowest offset that was appended at `instant` or later; the end if none was."""

    def pick(
        self, topic: str, partition: int, offsets: Sequence[int]
    ) -> AsyncIterator[Sequence[Record]]:
        """Read the records at `offsets`, which ascend; those that are kept no more are left out."""

    def read(
        self, topic: str, partition: int, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        """Read [start, stop) of one partition, outside any group, in chunks.

        Ends when `stop` is reached, also when compaction has left holes before it.
        """

    async def readers(self, topic: str) -> list[str]:
        """Return the consumer groups that have read a topic, as far as their offsets are kept.
        Raises LogError."""

    async def members(self, group: str) -> list[GroupMember] | None:
        """Return a group as the broker has it, empty while it is being formed; None of a log that
        only one process consumes. Raises LogError.
        """


async def append_all(log: Log, records: Mapping[tuple[str, int], Sequence[OutRecord]]) -> None:
    """Append to several partitions, by topic and number, at once.

    All are awaited even when one fails: none may still be in flight when that is told. Raises what
    the first of them has raised.
    """
    appends = [log.append(*partition, group) for partition, group in records.items()]
    if len(appends) == 1:
        await appends[0]
        return
    for outcome in await asyncio.gather(*appends, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


OnProgress = Callable[[int, int], None]
"""Called now and then with what is done and what there is in all; of a topic in offsets."""


def no_progress(_done: int, _total: int) -> None:
    """Nobody wants to know."""


async def scan(
    log: Log,
    topic: str,
    partitions: Collection[int] | None = None,
    *,
    start: int | None = None,
    stop: int | None = None,
    since: int | None = None,
    on_progress: OnProgress = no_progress,
) -> AsyncIterator[Record]:
    """Yield what a topic holds now, partition by partition, outside any group.

    `partitions`: those alone. Of each [start, stop), from what is kept up to the end where they are
    not given, and from what was appended at `since` (ms) on. `on_progress` is called after each
    chunk, with where it ends among the offsets to be read. Raises LogError.
    """
    if partitions is not None and start is not None and stop is not None:
        spans = dict.fromkeys(partitions, OffsetRange(start, stop))
    else:
        kept = await log.offsets(topic)
        spans = {}
        for number in kept if partitions is None else partitions:
            first = kept[number].start if start is None else start
            if since is not None:
                first = max(first, await log.offset_at(topic, number, since))
            spans[number] = OffsetRange(first, kept[number].end if stop is None else stop)
    total, before = sum(max(0, span.end - span.start) for span in spans.values()), 0
    for number, span in sorted(spans.items()):
        if span.start >= span.end:
            continue
        async for chunk in log.read(topic, number, span.start, span.end):
            for record in chunk:
                yield record
            if chunk:
                on_progress(before + chunk[-1].offset + 1 - span.start, total)
        before += span.end - span.start


def backwards(span: OffsetRange, tail: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of offsets from the end to the start: `tail` long, each longer than the last."""
    start = span.end
    while start > span.start:
        stop, start = start, max(span.start, span.end - tail)
        yield start, stop
        tail *= 8


def within(on_progress: OnProgress, before: int, total: int) -> OnProgress:
    """Return what is told of a part of `total` that begins behind `before`."""
    return lambda done, _: on_progress(before + done, total)
