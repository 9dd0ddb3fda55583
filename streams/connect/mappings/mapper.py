"""The mapper of one source: from a topic that others own into `customer-events`, each record once.

    1. Fetch a batch; wait for the schemas that it names.
    2. Map it (`agents/mappings/`): events, dead letters, what says nothing.
    3. Note in `mapping-offsets` that something is in flight, unless that is said already.
    4. Append the events, partition by partition and in order, and the dead letters; await them.
    5. Note from time to time how far it is, and when nothing more comes.

A crash between any two steps repeats 1 to 4 from the last note. What lies in our log already is
found there (`written`) and left out. A process that was thought dead and goes on appends what
another one has appended as well: each event carries its origin, foreign partition and offset, and
the customers' partitions hear of an origin once (`agents/partition/origins.py`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from agents.mappings.envelopes import ForeignRecord
from agents.mappings.mapping import SourceMapping
from schemas.dead_letters import refuse, signed_letter
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.origin import Origin, foreign_partition
from schemas.records import OutRecord, Record
from schemas.signing import RecordSigner
from schemas.time_units import SECOND_MS
from schemas.validation import Unreadable
from schemas.wire import MAX_EVENT_BYTES, to_record
from streams.clock import Clock
from streams.connect.mappings.counts import MappingCounts
from streams.connect.mappings.decoding import Decoder
from streams.connect.mappings.foreign_topic import MAX_PARTITIONS, ForeignTopic
from streams.connect.mappings.offsets import (
    MappedPartition,
    MappingOffsets,
    OffsetEntry,
    known_of,
    resume,
)
from streams.connect.mappings.schema_registry import RegistryUnavailable
from streams.connect.mappings.written import LEASE_MS, ForeignPlace, find_written
from streams.log import Log, LogError, append_all
from streams.logging import get_logger
from streams.partitioner import partition_of
from streams.runtime.backoff import Backoff
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS

NOTE_EVERY_MS = 5 * SECOND_MS
"""Between two notes while batches follow each other."""

SLICE = 50
"""Records that are mapped before the event loop may run others: some milliseconds."""

LOOK_EVERY_MS = 60 * SECOND_MS
"""Between two looks at what the foreign topic is."""

REGISTRY_BACKOFF = Backoff(1.0, 60.0)

_log = get_logger(__name__)


class TopicChanged(LogError):
    """The foreign topic isn't the one that this mapper began with."""


_Batch = Sequence[tuple[Record, ForeignRecord | Unreadable]]
"""Records of one partition, and what was read of each."""

_Out = dict[tuple[str, int], list[OutRecord]]
"""What is to be appended, by topic and partition of ours."""


@dataclass(slots=True)
class _Partition:
    """A partition that is ours."""

    entry: OffsetEntry
    origin: int
    written: dict[int, ForeignPlace]
    """By partition of ours, what lies there already."""
    noted: int
    """When its entry was written last, by our clock."""
    is_dirty: bool = False
    """It is further than its entry says."""

    def advance(self, offset: int) -> None:
        """Go on at `offset`; what was written before it need not be known any more."""
        since = self.entry.since
        if since and all(place.offset < offset for place in self.written.values()):
            since, self.written = (), {}
        self.entry = msgspec.structs.replace(self.entry, next=offset, since=since)
        self.is_dirty = True


class Mapper:
    """Maps one source until it is cancelled."""

    def __init__(
        self,
        mapping: SourceMapping,
        *,
        topic: ForeignTopic,
        log: Log,
        offsets: MappingOffsets,
        decoder: Decoder,
        signer: RecordSigner,
        clock: Clock,
        counts: MappingCounts,
        notation: Notation = DEFAULT_NOTATION,
    ) -> None:
        """`log` is our own. `notation`: how the shop's systems write."""
        self._mapping = mapping
        self._source = mapping.source
        self._topic = topic
        self._log = log
        self._offsets = offsets
        self._decoder = decoder
        self._signer = signer
        self._clock = clock
        self._notation = notation
        self.counts = counts
        self._open: dict[int, _Partition] = {}
        self._generation = 0
        """Another one whenever partitions change hands: what was fetched before is void."""
        self._busy = asyncio.Lock()
        """Held while a batch is taken, and while partitions change hands."""
        self._failed: Exception | None = None
        self._in_flight = False
        self._look_at = 0

    async def run(self) -> None:
        """Map for ever. Raises LogError when either log fails; begin again then."""
        self._failed, self._in_flight = None, False
        self._look_at = self._clock.now() + LOOK_EVERY_MS
        try:
            await self._topic.start(self._assigned, self._revoked)
            self.counts.pause = "none"
            while True:
                await self._step()
        finally:
            await self._leave()
            self.counts.partitions = self.counts.lag = 0

    async def _leave(self) -> None:
        try:
            if not self._in_flight:
                await self._close(self._open)
        except LogError as error:
            _log.debug("not noted", mapping=self._source.name, error=str(error))
        finally:
            await self._topic.stop()
            self._open.clear()

    async def _step(self) -> None:
        generation = self._generation
        found = await self._topic.fetch()
        # Outside the lock: who waits for a registry keeps nobody from taking the partitions.
        batch = {
            number: [*zip(records, await self._decoded(records, generation), strict=False)]
            for number, records in found.items()
            if records
        }
        if self._failed is not None:
            raise self._failed
        async with self._busy:
            if generation != self._generation:
                # What came may be of before or of behind: it is fetched again.
                for number, each in self._open.items():
                    self._topic.seek(number, each.entry.next)
                return
            if batch:
                await self._take(batch)
            else:
                await self._close(self._open)
        self._measure()
        if self._clock.now() >= self._look_at:
            await self._look()

    # Partitions change hands.

    async def _assigned(self, partitions: Sequence[int]) -> None:
        """Find where each goes on, and go there."""
        async with self._busy:
            self._generation += 1
            try:
                await self._begin(partitions)
            except Exception as error:  # told by `run`: who calls this only writes it into a log
                self._failed = error
                _log.debug("partitions not opened", mapping=self._source.name, exc_info=error)

    async def _revoked(self, partitions: Sequence[int]) -> None:
        """Say how far they are; who gets them reads it."""
        async with self._busy:
            self._generation += 1
            leaving = {number: self._open[number] for number in partitions if number in self._open}
            try:
                await self._close(leaving)
            except LogError as error:
                _log.debug("not noted", mapping=self._source.name, error=str(error))
            for number in leaving:
                del self._open[number]

    async def _begin(self, partitions: Sequence[int]) -> None:
        if not partitions:
            return
        name = self._source.name
        identity = await self._topic.identity()
        if identity.partitions > MAX_PARTITIONS:
            raise LogError(
                f"{self._source.topic} has {identity.partitions} partitions, at most "
                f"{MAX_PARTITIONS} are mapped"
            )
        spans = await self._topic.spans(partitions)
        kept = await self._offsets.read()
        from_end = self._source.start == "latest" and not known_of(name, kept)
        now = self._clock.now()
        opened: set[int] = set()
        new: dict[int, _Partition] = {}
        for number in partitions:
            before = kept.get(MappedPartition(name, number))
            resumption = resume(
                None if before is None else before.entry,
                self._source.topic,
                identity,
                spans[number],
                from_end=from_end,
                now=now,
            )
            if resumption.change is not None:
                self._tell(number, resumption.change, resumption.lost)
            entry = resumption.entry
            since: tuple[int, ...] = ()
            if before is not None and entry.epoch == before.entry.epoch:
                since = before.opened
                opened.update(since)
            entry = msgspec.structs.replace(entry, since=since)
            new[number] = _Partition(entry, foreign_partition(name, number), {}, now)
        epochs = {each.origin: each.entry.epoch for each in new.values()}
        if opened:
            written = await find_written(self._log, self._signer, epochs, opened)
            for each in new.values():
                each.written = {
                    partition: places[each.origin]
                    for partition, places in written.items()
                    if each.origin in places
                }
        for each in new.values():
            each.advance(each.entry.next)
        # Now, so that a start at the end is the same end after a crash.
        await self._note(new, is_open=False)
        self._open |= new
        for number, each in new.items():
            self._topic.seek(number, each.entry.next)
        _log.info("mapping", mapping=name, topic=self._source.topic, partitions=sorted(self._open))

    def _tell(self, partition: int, change: str, lost: int) -> None:
        self.counts.changes[change] += 1
        self.counts.lost += lost
        _log.error(
            "a topic that is mapped has changed",
            mapping=self._source.name,
            topic=self._source.topic,
            partition=partition,
            change=change,
            lost=lost,
        )

    # A batch.

    async def _take(self, batch: Mapping[int, _Batch]) -> None:
        ours: dict[int, _Batch] = {}
        for number, content in batch.items():
            if (partition := self._open.get(number)) is not None:
                news = [each for each in content if each[0].offset >= partition.entry.next]
                if news:
                    ours[number] = news
        partitions = {number: self._open[number] for number in ours}
        out: _Out = defaultdict(list)
        for number, content in ours.items():
            await self._map(partitions[number], content, out)
        late = self._clock.now() - LEASE_MS
        if any(not each.entry.is_open or each.noted <= late for each in partitions.values()):
            await self._note(partitions, is_open=True)
        self._in_flight = True  # also when this fails: any part of it may be in the log
        await append_all(self._log, out)
        self._in_flight = False
        for number, content in ours.items():
            partitions[number].advance(content[-1][0].offset + 1)
        due = self._clock.now() - NOTE_EVERY_MS
        if any(each.noted <= due for each in partitions.values()):
            await self._note(partitions, is_open=True)

    async def _map(self, partition: _Partition, content: _Batch, out: _Out) -> None:
        ours = await self._log.partitions(CUSTOMER_EVENTS)
        for start in range(0, len(content), SLICE):
            for record, decoded in content[start : start + SLICE]:
                self._map_record(partition, record, decoded, ours, out)
            await asyncio.sleep(0)

    async def _decoded(
        self, records: Sequence[Record], generation: int
    ) -> Sequence[ForeignRecord | Unreadable]:
        """Wait for the schema registry as long as it takes, or until the partitions have changed
        hands: that it is away says nothing of a record."""
        failures = 0
        while generation == self._generation:
            try:
                decoded = await self._decoder.decode(records)
            except RegistryUnavailable as error:
                failures += 1
                self.counts.pause = "registry"
                if failures == 1:
                    _log.error("a mapping waits", mapping=self._source.name, reason=str(error))
                pause = round(REGISTRY_BACKOFF.after(failures) * SECOND_MS)
                await self._clock.wait_until(self._clock.now() + pause)
            else:
                self.counts.pause = "none"
                return decoded
        return ()

    def _map_record(
        self,
        partition: _Partition,
        record: Record,
        decoded: ForeignRecord | Unreadable,
        ours: int,
        out: _Out,
    ) -> None:
        """Add to `out` the events of a record that aren't in our log yet, and its dead letter;
        `ours` is how many partitions that has."""
        if isinstance(decoded, Unreadable):
            self._refuse(record, [decoded], out)
            return
        counts, refusals, appended = self.counts, [], 0
        mapped = self._mapping.map(decoded, self._notation)
        for number, event in mapped.events:
            origin = Origin(partition.origin, partition.entry.epoch, record.offset, number)
            mine = to_record(event._replace(origin=origin))
            if len(mine.value or b"") > MAX_EVENT_BYTES:
                problem = f"an event of {len(mine.value or b'')} bytes, at most {MAX_EVENT_BYTES}"
                refusals.append(Unreadable("too_large", problem))
                continue
            where = partition_of(mine.key or b"", ours)
            written = partition.written.get(where)
            if written is None or ForeignPlace(record.offset, number) > written:
                out[CUSTOMER_EVENTS, where].append(self._signer.sign(CUSTOMER_EVENTS, mine))
                appended += 1
        counts.events += appended
        if mapped.failures:
            counts.failed_expressions += len(mapped.failures)
            _log.debug("expressions failed", mapping=self._source.name, failed=mapped.failures[0])
        if refusals := [*mapped.refusals, *refusals]:
            self._refuse(record, refusals, out)
        elif mapped.events and not appended:
            counts.records["repeated"] += 1
        else:
            counts.records["dropped" if mapped.dropped else "mapped"] += 1

    def _refuse(
        self,
        record: Record,
        refusals: Sequence[Unreadable],
        out: _Out,
    ) -> None:
        """One letter a record. It is the same whenever it is written, so that after a crash two of
        them are one (`schemas/dead_letters.py`)."""
        self.counts.records["refused"] += 1
        first, more = refusals[0], len(refusals) - 1
        detail = f"{first.detail} (and {more} more of the record)" if more else first.detail
        origin = record._replace(topic=letter_topic(self._source.name, record.topic))
        time = max(record.timestamp, 0)
        letter = refuse(origin, reason=first.reason, detail=detail, time=time)
        out[DEAD_LETTERS, 0].append(signed_letter(letter, self._signer))

    # How far it is.

    async def _close(self, partitions: Mapping[int, _Partition]) -> None:
        """Say that nothing is in flight, where that isn't said."""
        to_say = {
            number: each
            for number, each in partitions.items()
            if each.is_dirty or (each.entry.is_open and not each.entry.since)
        }
        if to_say:
            await self._note(to_say, is_open=False)
            await self._topic.commit({number: each.entry.next for number, each in to_say.items()})

    async def _note(self, partitions: Mapping[int, _Partition], *, is_open: bool) -> None:
        """Write how far they are. One stays open while our log may hold what lies ahead of it."""
        entries = []
        for number, each in partitions.items():
            still = is_open or bool(each.entry.since)
            each.entry = msgspec.structs.replace(each.entry, is_open=still)
            entries.append((MappedPartition(self._source.name, number), each.entry))
        await self._offsets.write(entries)
        now = self._clock.now()
        for each in partitions.values():
            each.noted, each.is_dirty = now, False

    async def _look(self) -> None:
        """Raise TopicChanged when the topic is another one by now."""
        self._look_at = self._clock.now() + LOOK_EVERY_MS
        identity = await self._topic.identity()
        for each in self._open.values():
            if each.entry.topic_id and identity.id and each.entry.topic_id != identity.id:
                raise TopicChanged(f"{self._source.topic} was made anew")

    def _measure(self) -> None:
        self.counts.partitions = len(self._open)
        ends = ((self._topic.end(number), each) for number, each in self._open.items())
        self.counts.lag = sum(
            max(0, end - each.entry.next) for end, each in ends if end is not None
        )


def letter_topic(mapping: str, topic: str) -> str:
    """Return where a dead letter of a foreign record says that it comes from: no topic of ours, or
    of anybody's, is called so."""
    return f"{mapping}/{topic}"
