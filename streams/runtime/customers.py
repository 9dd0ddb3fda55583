"""The customers' runtime: keeps the state of the partitions of `customer-events` and moves it on.

The commit protocol, for each batch of one partition:

1. Decode each record; what can't be read becomes an effect to `dead-letters`, the rest goes on.
2. Skip a record whose offset is not above its customer's `applied`.
3. Let the actors receive; collect the effects and the changed customers.
   (1–3 are `PartitionActors.absorb`: pure, and the same in replay.)
4. Append the effects and await their acknowledgement. Their ids derive from (customer, run, step),
   so appending them again is harmless.
5. Append the changed customers, then the partition's progress, to the changelog; await; write the
   store.
6. Acknowledge the batch.

A crash between any two steps repeats work and changes no outcome. A fault of the log or the machine
closes the partition and opens it again from its changelog, because the actors in memory have
already moved on.

Where the actors fail (a defect of ours) they are built again, and what fails twice is set aside, so
that it neither stops the partition nor passes in silence (`agents/partition/failure_handling.py`):

a. The failure site is written into the partition's progress: whoever opens the partition passes it
   over.
b. A control record in the log names it, for replay. After a crash before that, the next owner
   writes it: as long as the site stands in the progress, each opening does.
c. The actors are built again from the progress, and pass the site over.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from agents.definitions.settings import NO_LIMITS, VisitorLimits
from agents.effects import Effect
from agents.partition.batch import BatchChanges, FailureSite, Poisoned, Unwritable
from agents.partition.partition import PartitionActors
from schemas.controls import control_record
from schemas.events import SET_ASIDE
from schemas.records import OutRecord, Record
from schemas.set_aside import SetAside, encode_set_aside
from schemas.signing import NotSigned, RecordSigner
from schemas.stored import PROGRESS_KEY, Damaged, FutureFormat, Progress, is_erased, pack_progress
from streams.log import Log, LogError, RecordTooLarge
from streams.logging import get_logger
from streams.partitioner import partition_of
from streams.runtime.defects import DefectTracker, is_ours
from streams.runtime.definitions import DefinitionLoader
from streams.runtime.state.changelog import Changelog, Overtaken
from streams.runtime.state.recovery import Recovered, read_progress
from streams.runtime.state.retained_stores import RetainedStores
from streams.runtime.state.signature_floor import decide
from streams.runtime.state.store import Item, Store, StoreFactory
from streams.runtime.state.tombstones import DeleteMarkers, RecoveryScan, scan_recovered
from streams.runtime.ticks import Ticks
from streams.runtime.transports.assigned_partition import BatchLease
from streams.runtime.transports.batch import (
    Fenced,
    PartitionBatch,
    TopicPartition,
)
from streams.runtime.transports.partition_manager import PartitionManager
from streams.runtime.visitor_expiry import VisitorRemoval
from streams.topology import CUSTOMERS

EFFECTS_AT_ONCE = 200
"""Made into records between two pauses: some milliseconds."""

_OVER: Final = object()

_log = get_logger(__name__)


ActorsFactory = Callable[..., PartitionActors]
"""Builds the actors of one partition: PartitionActors with what is the same for all."""


class Observer(Protocol):
    """Who counts what happens here; `streams/operate/metrics.py`; the eraser listens in."""

    def committed(self, partition: int, changes: BatchChanges) -> None:
        """One batch is done for good."""

    def recovered(self, partition: int, recovered: Recovered) -> None:
        """A partition has been opened."""

    def failed(self, partition: int, reason: str) -> None:
        """A batch was given up; the partition is opened again."""

    def set_aside(self, partition: int, what: str) -> None:
        """Something at which the actors fail is passed over from now on."""

    def closed(self, partition: int) -> None:
        """A partition has been let go."""


class NotOwned(Exception):
    """The customer's partition isn't open in this process."""


class CustomersRuntime:
    """Owner of the partitions of `customer-events` in this process."""

    def __init__(
        self,
        *,
        log: Log,
        partition_manager: PartitionManager,
        open_store: StoreFactory,
        actors: ActorsFactory,
        loader: DefinitionLoader,
        ticks: Ticks,
        observer: Observer,
        limits: VisitorLimits = NO_LIMITS,
        signer: RecordSigner | None = None,
        accept_unsigned: bool = False,
    ) -> None:
        """`limits` are those of visitors, as the actors have them. `signer` signs what the actors
        tell each other and the mailer; None: nobody does. `accept_unsigned`: workers of release 0.1
        still run beside this one."""
        self._signer = signer
        self._accept_unsigned = accept_unsigned
        self._log = log
        self._partition_manager = partition_manager
        self._stores = RetainedStores(open_store)
        self._actors = actors
        self._loader = loader
        self._ticks = ticks
        self._observer = observer
        self._processor = asyncio.Lock()
        self._limits = limits
        self._forgotten = 0
        self._open: dict[TopicPartition, _Partition] = {}

    async def opened(self, tp: TopicPartition) -> int | None:
        """Recover the partition and return where to read on; see PartitionOwner."""
        store = self._stores.take(_kept(tp))
        try:
            partition = await self._recover(tp, store)
        except BaseException:
            self._stores.retain(_kept(tp), store)  # cancelled or refused: catches up the next time
            raise
        self._open[tp] = partition
        self._ticks.start(tp.partition)
        return partition.next_offset

    async def closed(self, tp: TopicPartition) -> None:
        """Let the partition go; its store waits for `drop_unassigned`."""
        await self._ticks.stop(tp.partition)
        partition = self._open.pop(tp, None)
        if partition is not None:
            partition.removal.stop()
            self._forgotten += partition.removal.removed
            self._stores.retain(_kept(tp), partition.changelog.store)
            self._observer.closed(tp.partition)

    def drop_unassigned(self, owned: Iterable[TopicPartition]) -> None:
        """Drop the state of partitions that did not come back; call it after each assignment."""
        self._stores.drop_unassigned({_kept(tp) for tp in owned})

    def close(self) -> None:
        """Close all state and leave it on disk. Call it when nothing is consumed any more."""
        for tp, partition in self._open.items():
            partition.removal.stop()
            self._stores.retain(_kept(tp), partition.changelog.store)
        self._open.clear()
        self._stores.close()

    async def process(self, batch: PartitionBatch) -> None:
        """Take one batch through the commit protocol. Never raises, except when cancelled.

        Faust acknowledges an event whose agent body has raised, and restarts the agent; here the
        gate opens the partition again and the records are delivered once more.
        """
        try:
            async with self._partition_manager.enter(batch) as lease:
                if lease is not None:
                    await self._advance(self._open[batch.tp], batch.records, lease)
        except (Fenced, Overtaken, LogError, FutureFormat, Damaged) as error:
            reason = "log" if isinstance(error, LogError) else "fenced"
            self._observer.failed(batch.tp.partition, reason)
            _log.warning("batch given up, opening the partition again",
                         partition=batch.tp.partition, error=str(error))  # fmt: skip
        except Exception:
            self._observer.failed(batch.tp.partition, "defect")
            _log.exception("batch failed, opening the partition again",
                           partition=batch.tp.partition,
                           offset=batch.records[0].offset)  # fmt: skip

    def timers_pending(self) -> int:
        """Return how many customers of this process wait for a timer."""
        return sum(partition.actors.timers_pending for partition in self._open.values())

    def held_back(self) -> int:
        """Return how many customers of this process are held back."""
        return sum(partition.actors.held_back for partition in self._open.values())

    def forgotten(self) -> int:
        """Return how many visitors were removed, since this process runs."""
        return self._forgotten + sum(each.removal.removed for each in self._open.values())

    def next_timers(self) -> dict[int, int]:
        """Return when the earliest timer of each open partition is due, NEVER if it has none."""
        return {tp.partition: each.actors.next_timer for tp, each in self._open.items()}

    def read_customer(self, key: bytes, partitions: int) -> bytes | None:
        """Return a customer's kept record, None when there is none. Raises NotOwned."""
        stored = self.read_record(key, partitions)
        return None if stored is None or is_erased(stored) else stored

    def read_record(self, key: bytes, partitions: int) -> bytes | None:
        """Return what is kept under a key, also what is left of an erased one. Raises NotOwned."""
        tp = TopicPartition(CUSTOMERS.reads, partition_of(key, partitions))
        if tp not in self._open:
            raise NotOwned(f"partition {tp.partition}")
        return self._open[tp].changelog.get(key)

    async def scrub(self, partition: int, keys: Sequence[bytes]) -> None:
        """Let the store hold nothing of what these customers were before. Raises StateError."""
        open_ = self._open.get(TopicPartition(CUSTOMERS.reads, partition))
        if open_ is not None:
            await asyncio.to_thread(open_.changelog.store.scrub, keys)

    async def _recover(self, tp: TopicPartition, store: Store) -> _Partition:
        changelog = Changelog(self._log, CUSTOMERS.keeps, tp.partition, store)
        recovered = await changelog.recover()
        progress = await self._progress(changelog)
        await self._loader.refresh()
        partition = await self._build(changelog, progress)
        self._observer.recovered(tp.partition, recovered)
        _log.info("partition opened", partition=tp.partition, next_offset=partition.next_offset,
                  records=recovered.records, seconds=round(recovered.seconds, 3))  # fmt: skip
        return partition

    async def _progress(self, changelog: Changelog) -> Progress | None:
        """Return the progress of a partition, None of a new one that believes everybody."""
        if self._signer is None:
            return read_progress(changelog.store, changelog.topic, changelog.partition)
        return await decide(
            self._log,
            CUSTOMERS.reads,
            changelog,
            accept_unsigned=self._accept_unsigned,
            signer=self._signer,
        )

    async def _build(self, changelog: Changelog, progress: Progress | None) -> _Partition:
        """Build the actors; a definition or a product that can't be read twice is set aside."""
        removal = VisitorRemoval(changelog, self._limits)
        partition = _Partition(changelog, progress or Progress(), self._actors, removal)
        while True:
            try:
                await partition.build()
            except Poisoned as error:
                await self._met(partition, error, error.site, _unfenced)
                continue
            await self._name(partition.number, partition.progress.set_aside)
            return partition

    async def _advance(
        self, partition: _Partition, records: Sequence[Record], lease: BatchLease
    ) -> None:
        """Commit the records, in pieces where the actors fail."""
        while records:
            next_slice, verifying = partition.defects.next_slice(records)
            try:
                await self._commit(partition, next_slice, lease, verifying=verifying)
            except (Poisoned, Unwritable, RecordTooLarge) as error:
                await self._mend(partition, error, next_slice, lease)
                # A portion of it may be committed already.
                records = [each for each in records if each.offset >= (partition.start or 0)]
            else:
                records = records[len(next_slice) :]

    async def _commit(
        self,
        partition: _Partition,
        records: Sequence[Record],
        lease: BatchLease,
        *,
        verifying: bool,
    ) -> None:
        insists_from = partition.progress.insists_from
        await self._loader.ensure(
            records, lambda record: is_believed(self._signer, record, insists_from)
        )
        steps = partition.actors.absorbing(records, verifying=verifying)
        done = False
        while not done:
            done = await self._work_on(steps)  # 1–3
            await self._work_on(partition.actors.encoding())
            changes = partition.actors.take()
            try:
                await self._send(changes.effects, lease.check)  # 4
            except RecordTooLarge:
                partition.blame_largest(changes.effects)
                raise
            await partition.keep(changes, lease.check)  # 5
            lease.done(changes.progress.next_offset)  # 6
            self._ticks.passed(
                partition.number,
                next_offset=changes.progress.next_offset,
                log_time=changes.progress.log_time,
                due=partition.due,
            )
            async with self._processor:  # the broker answers several partitions at once
                self._observer.committed(partition.number, changes)
                await asyncio.sleep(0)

    async def _work_on(self, steps: Iterator[bool | None]) -> bool:
        """Take steps until changes are to be taken; return whether those were all.

        The event loop runs at each pause, and one partition of all goes on at a time: eight of
        them, each with 10 ms to do, would let everybody else wait for all eight.
        """
        while True:
            async with self._processor:
                is_full = next(steps, _OVER)
                await asyncio.sleep(0)
            if is_full:
                return is_full is _OVER

    async def _mend(
        self,
        partition: _Partition,
        error: Poisoned | Unwritable | RecordTooLarge,
        records: Sequence[Record],
        lease: BatchLease,
    ) -> None:
        """Build the actors again, with the site set aside where they have failed twice. Raises
        what is no defect of ours: FutureFormat of a message from a worker of the next release, and
        Damaged."""
        if not is_ours(error):
            raise error.__cause__ if isinstance(error.__cause__, FutureFormat | Damaged) else error
        self._observer.failed(partition.number, "defect")
        if isinstance(error, Poisoned):
            site = error.site
        elif len(records) > 1:
            partition.defects.take_singly(records)
            site = None
        else:
            site = partition.too_large or FailureSite(records[0].offset, "record")
        if partition.start is None:
            partition.start = records[0].offset
        if site is not None:
            await self._met(partition, error, site, lease.check)
        await partition.build()

    async def _met(
        self,
        partition: _Partition,
        error: Exception,
        site: FailureSite,
        check: Callable[[], None],
    ) -> None:
        """Note a failure at a site, and set it aside when it is the second one."""
        if not partition.defects.failed(site):
            _log.error("the actors have failed, trying once more", partition=partition.number,
                       offset=site.offset, what=site.what, exc_info=error)  # fmt: skip
            return
        known = {(each.offset, each.what, each.name) for each in partition.progress.set_aside}
        if site in known:
            raise error  # not even passing it over works
        what = type(error).__name__
        set_aside = error.set_aside if isinstance(error, Poisoned) else SetAside(*site, error=what)
        await partition.set_aside(set_aside, check)  # a
        await self._name(partition.number, [set_aside])  # b
        self._observer.set_aside(partition.number, site.what)
        _log.error("set aside, the partition goes on; see ritorno dead-letters list",
                   partition=partition.number, offset=site.offset, what=site.what)  # fmt: skip

    async def _name(self, number: int, sites: Sequence[SetAside]) -> None:
        """Name sites in the log; naming one again changes nothing."""
        if sites:
            values = [encode_set_aside(each, number) for each in sites]
            records = [control_record(SET_ASIDE, value) for value in values]
            if self._signer is not None:
                records = [self._signer.sign(CUSTOMERS.reads, record) for record in records]
            await self._log.append(CUSTOMERS.reads, number, records)

    async def _send(self, effects: Sequence[Effect], check: Callable[[], None]) -> None:
        """Append effects, in order within each partition, and await all acknowledgements; `check`
        is called right before that."""
        records: list[OutRecord] = []
        try:
            await self._work_on(self._recording(effects, records))
        except Exception as error:
            raise Unwritable(str(error)) from error
        check()
        names = {effect.topic for effect in effects}
        counts = {name: await self._log.partitions(name) for name in names}
        groups: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
        for effect, record in zip(effects, records, strict=True):
            number = partition_of(effect.key, counts[effect.topic])
            groups[effect.topic, number].append(record)
        appends = (self._log.append(*tp, group) for tp, group in groups.items())
        # All are awaited even when one fails: none may be in flight when the partition is reopened.
        for outcome in await asyncio.gather(*appends, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    def _recording(self, effects: Sequence[Effect], records: list[OutRecord]) -> Iterator[None]:
        """Add the effects' records, pausing now and then."""
        for number, effect in enumerate(effects, start=1):
            records.append(self._record(effect))
            if number % EFFECTS_AT_ONCE == 0:
                yield

    def _record(self, effect: Effect) -> OutRecord:
        return effect.record if self._signer is None else effect.signed(self._signer)


class _Partition:
    """One open partition: its actors and its kept state."""

    actors: PartitionActors

    def __init__(
        self,
        changelog: Changelog,
        progress: Progress,
        actors: ActorsFactory,
        removal: VisitorRemoval,
    ) -> None:
        self.number = changelog.partition
        self.changelog = changelog
        self.removal = removal
        self.defects = DefectTracker()
        self.too_large: FailureSite | None = None
        """Where the largest of what was to be written last comes from, if that was too large."""
        self.progress = progress
        is_new = changelog.get(PROGRESS_KEY) is None
        self.start = self.next_offset = None if is_new else progress.next_offset
        self._make = actors
        self._delete_markers = DeleteMarkers()

    @property
    def due(self) -> int:
        """When the next record is wanted: at once (at the time of the log) while there is more to
        be removed, else when the earliest timer is due."""
        due = self.actors.next_timer
        return min(due, self.progress.log_time) if self.removal.unfinished else due

    async def build(self) -> None:
        """Build the actors from what is kept. Raises Poisoned."""
        self._delete_markers = DeleteMarkers()
        found = RecoveryScan()
        for _ in scan_recovered(self.changelog, self._delete_markers, found):
            await asyncio.sleep(0)
        self.actors = self._make(
            partition=self.number,
            load=self.changelog.get,
            progress=self.progress,
            due=found.timers,
            products=found.products,
            held_back=found.held_back,
            broadcasts=found.broadcasts,
            scan=self.changelog.scan,
        )
        self.too_large = None
        for _ in self.actors.prepare():
            await asyncio.sleep(0)

    async def keep(self, changes: BatchChanges, check: Callable[[], None]) -> None:
        """Write the changed customers, then the progress."""
        progress = changes.progress
        items = self._delete_markers.mark_deletions(changes.states, progress)
        items += self._delete_markers.tombstones_due(self.changelog, progress.log_time, items)
        items += self.removal.removals(items)
        try:
            await self._write(items, progress, check)
        except RecordTooLarge:
            key, _ = max(items, key=lambda item: len(item[1] or b""))
            self._blame(lambda: self.actors.site_of_state(key))
            raise
        self.removal.committed(progress.log_time)

    async def set_aside(self, site: SetAside, check: Callable[[], None]) -> None:
        """Write a site into the progress, which otherwise stays as it is."""
        start = self.start or 0
        progress = replace(
            self.progress, next_offset=start, set_aside=(*self.progress.set_aside, site)
        )
        await self._write([], progress, check)

    def blame_largest(self, effects: Sequence[Effect]) -> None:
        """Find out where the largest effect comes from, which the log has refused."""
        sizes = [_size(effect.record) for effect in effects]
        self._blame(lambda: self.actors.site_of_effect(sizes.index(max(sizes))))

    def _blame(self, site: Callable[[], FailureSite]) -> None:
        if self.defects.verified:
            self.too_large = site()

    async def _write(
        self, items: Sequence[Item], progress: Progress, check: Callable[[], None]
    ) -> None:
        await self.changelog.write([*items, (PROGRESS_KEY, pack_progress(progress))], check)
        self.progress = progress
        self.start = progress.next_offset


def is_believed(signer: RecordSigner | None, record: Record, insists_from: int) -> bool:
    """Whether a record is signed, or lies where that isn't insisted on."""
    if signer is None or record.offset < insists_from:
        return True
    try:
        signer.check(CUSTOMERS.reads, record)
    except NotSigned:
        return False
    return True


def _size(record: OutRecord) -> int:
    headers = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def _unfenced() -> None:
    """Nothing was read yet: who has lost the partition meanwhile names what is named anyway."""


def _kept(tp: TopicPartition) -> TopicPartition:
    return TopicPartition(CUSTOMERS.keeps, tp.partition)
