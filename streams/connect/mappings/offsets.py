"""How far each partition of a foreign topic is mapped: a compacted topic of ours says it, beside
the log into which it is mapped. What is committed on the foreign broker is only for who looks there
how far behind we are: it expires when a source is silent, and isn't ours.

    1. Nothing is in flight: the entry is *closed*.
    2. Before the first events are appended, an *open* entry is.
    3. While batches follow each other, an open entry says every few seconds how far they are.
    4. When nothing more comes, a closed entry says so.

After a crash an open entry tells from when on our log may hold what is mapped behind it, and until
when at most; `written` looks there, so that nothing is appended twice. What is all the same, by a
process that was thought dead, has an origin (`schemas/origin.py`) and counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from schemas.records import OutRecord, Record
from schemas.signing import NotSigned, RecordSigner
from streams.log import Log, OffsetRange, TopicIdentity, TopicSpec, scan
from streams.runtime.skipped_records import SkippedRecords
from streams.topology import CUSTOMER_EVENTS, MAPPING_OFFSETS, topics

Change = Literal["recreated", "shrunk", "gone", "partitions"]
"""What has happened to a topic that isn't ours: it was made anew (or another is meant), it ends
before where we were, it begins behind it, it has another number of partitions."""


class MappedPartition(NamedTuple):
    """A partition of the topic that a mapping reads."""

    mapping: str
    partition: int

    @property
    def key(self) -> bytes:
        """Under which it is kept."""
        return f"{self.mapping}/{self.partition}".encode()


class OffsetEntry(msgspec.Struct, frozen=True, kw_only=True):
    """How far a partition is mapped, as it is kept."""

    topic: str
    topic_id: str = ""
    """The broker's; empty where it has none."""
    partitions: int = 0
    """How many the topic had."""
    epoch: int
    """When this topic was first seen, ms since the epoch: a part of the origins."""
    next: int
    """The first offset that isn't mapped yet."""
    is_open: bool = False
    since: tuple[int, ...] = ()
    """Append times of open entries before this one, behind which our log may hold what lies ahead
    of `next`: a process was killed again before it had come past that."""


MAX_SINCE = 8
"""Kills in a row, each before the next note."""


class KeptEntry(NamedTuple):
    """An entry, and when the log has appended it."""

    entry: OffsetEntry
    time: int

    @property
    def opened(self) -> tuple[int, ...]:
        """When open entries were appended behind which something may lie."""
        if not self.entry.is_open:
            return ()
        return (*self.entry.since, self.time)[-MAX_SINCE:]


class Resumption(NamedTuple):
    """Where a partition goes on."""

    entry: OffsetEntry
    change: Change | None = None
    lost: int = 0
    """Records that were deleted before they could be mapped."""


def resume(
    kept: OffsetEntry | None,
    topic: str,
    identity: TopicIdentity,
    span: OffsetRange,
    *,
    from_end: bool,
    now: int,
) -> Resumption:
    """Return where a partition goes on whose offsets are `span`; `from_end`: one that was never
    read is begun there."""
    if kept is None:
        return Resumption(_begun(topic, identity, span.end if from_end else span.start, now))
    epoch = max(now, kept.epoch + 1)
    is_other = bool(kept.topic_id and identity.id and kept.topic_id != identity.id)
    if is_other or kept.topic != topic:
        return Resumption(_begun(topic, identity, span.start, epoch), "recreated")
    if kept.next > span.end:
        return Resumption(_begun(topic, identity, span.end, epoch), "shrunk")
    entry = msgspec.structs.replace(kept, topic_id=identity.id, partitions=identity.partitions)
    if kept.next < span.start:
        lost = span.start - kept.next
        return Resumption(msgspec.structs.replace(entry, next=span.start), "gone", lost)
    other_number = kept.partitions not in (0, identity.partitions)
    return Resumption(entry, "partitions" if other_number else None)


def _begun(topic: str, identity: TopicIdentity, at: int, epoch: int) -> OffsetEntry:
    return OffsetEntry(
        topic=topic, topic_id=identity.id, partitions=identity.partitions, epoch=epoch, next=at
    )


class MappingOffsets:
    """Reads and writes the entries of all mappings."""

    def __init__(self, log: Log, signer: RecordSigner) -> None:
        self._log = log
        self._signer = signer
        self._position = 0
        self._kept: dict[MappedPartition, KeptEntry] = {}

    async def prepare(self) -> None:
        """Make the topic where an older release hasn't. Raises LogError."""
        events = await self._log.describe(CUSTOMER_EVENTS)
        replication = 1 if events is None else events.replication
        await self._log.create_topics([spec_of(replication)])

    async def read(self) -> Mapping[MappedPartition, KeptEntry]:
        """Return all entries as they are. Raises LogError."""
        skipped = SkippedRecords("an offset of a mapping")
        span = (await self._log.offsets(MAPPING_OFFSETS))[0]
        if span.end < self._position:  # the topic was made anew
            self._position, self._kept = 0, {}
        start = max(self._position, span.start)
        async for record in scan(self._log, MAPPING_OFFSETS, [0], start=start, stop=span.end):
            try:
                self._signer.check(MAPPING_OFFSETS, record)
                where, entry = _read(record)
            except (NotSigned, ValueError, msgspec.DecodeError) as error:
                skipped.note(record, error)
                continue
            self._kept[where] = KeptEntry(entry, record.timestamp)
        skipped.tell()
        self._position = span.end
        return self._kept

    async def write(self, entries: Iterable[tuple[MappedPartition, OffsetEntry]]) -> None:
        """Append entries and await them. Raises LogError."""
        records = [
            self._signer.sign(MAPPING_OFFSETS, OutRecord(where.key, _ENCODER.encode(entry)))
            for where, entry in entries
        ]
        if records:
            await self._log.append(MAPPING_OFFSETS, 0, records)


def spec_of(replication: int) -> TopicSpec:
    """Return the topic as it is to be."""
    return next(spec for spec in topics(1, replication) if spec.name == MAPPING_OFFSETS)


def known_of(mapping: str, kept: Mapping[MappedPartition, KeptEntry]) -> Sequence[MappedPartition]:
    """Return the partitions of a mapping that were read before."""
    return [where for where in kept if where.mapping == mapping]


def _read(record: Record) -> tuple[MappedPartition, OffsetEntry]:
    mapping, _, partition = (record.key or b"").decode().rpartition("/")
    return MappedPartition(mapping, int(partition)), _DECODER.decode(record.value or b"")


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(OffsetEntry)
