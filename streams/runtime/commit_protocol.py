"""The commit protocol, for each batch of one partition:

1. Decode each record; what can't be read becomes an effect to `dead-letters`, the rest goes on.
2. Skip a record whose offset is not above its customer's `applied`.
3. Let the actors receive; collect the effects and the changed customers.
   (1–3 are `PartitionActors.absorb`: pure, and the same in replay.)
4. Append the effects and await their acknowledgement. Their ids derive from (customer, run, step),
   so appending them again is harmless.
5. Append the changed customers, then the partition's progress, to the changelog; await; write the
   store.
6. Acknowledge the batch.

A crash between any two steps changes no outcome. Until the progress is written it repeats work,
then nothing: where to read on stands there. A fault of the log or the machine
closes the partition and opens it again from its changelog, because the actors in memory have
already moved on.

Where the actors fail (a defect of ours) they are built again, and what fails twice is set aside, so
that it neither stops the partition nor passes in silence (`agents/partition/failure_handling.py`):

a. The site is written into the partition's progress: whoever opens the partition passes it over.
b. A control record in the log names it, for replay. After a crash before that, the next owner
   writes it: as long as the site stands in the progress, each opening does.
c. The actors are built again from the progress, and pass the site over.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from agents.effects import Effect
from agents.partition.batch import BatchChanges, FailureSite, Poisoned, Unwritable
from schemas.controls import control_record
from schemas.events import SET_ASIDE, TIME_RULING
from schemas.records import OutRecord, Record
from schemas.set_aside import SetAside, encode_set_aside
from schemas.signing import NotSigned, RecordSigner
from schemas.stored import Damaged, FutureFormat
from schemas.time_rulings import encode_time_ruling
from streams.log import Log, RecordTooLarge, append_all
from streams.logging import get_logger
from streams.partitioner import partition_of
from streams.runtime.defects import is_ours
from streams.runtime.definitions import DefinitionLoader
from streams.runtime.open_partition import OpenPartition
from streams.runtime.state.recovery import Recovered
from streams.runtime.ticks import Ticks
from streams.runtime.transports.assigned_partition import BatchLease
from streams.topology import CUSTOMERS

EFFECTS_AT_ONCE = 200
"""Made into records between two pauses: some milliseconds."""

_OVER: Final = object()

_log = get_logger(__name__)


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


class ObserverInFront:
    """Passes everything on to another observer; for who listens in on some of it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def committed(self, partition: int, changes: BatchChanges) -> None:
        """One batch is done for good."""
        self._observer.committed(partition, changes)

    def recovered(self, partition: int, recovered: Recovered) -> None:
        """A partition has been opened."""
        self._observer.recovered(partition, recovered)

    def failed(self, partition: int, reason: str) -> None:
        """A batch was given up."""
        self._observer.failed(partition, reason)

    def set_aside(self, partition: int, what: str) -> None:
        """Something is passed over from now on."""
        self._observer.set_aside(partition, what)

    def closed(self, partition: int) -> None:
        """A partition has been let go."""
        self._observer.closed(partition)


class CommitProtocol:
    """Moves the open partitions of this process on."""

    def __init__(
        self,
        log: Log,
        loader: DefinitionLoader,
        ticks: Ticks,
        observer: Observer,
        signer: RecordSigner,
    ) -> None:
        """As `CustomersRuntime` has it."""
        self._log = log
        self._loader = loader
        self._ticks = ticks
        self._observer = observer
        self._signer = signer
        self._processor = asyncio.Lock()

    async def build(self, partition: OpenPartition) -> None:
        """Build the actors of a partition that is being opened. A definition or a product that
        can't be read twice is set aside."""
        while True:
            try:
                await partition.build()
            except Poisoned as error:
                await self._met(partition, error, error.site, _unfenced)
                continue
            await self._name(partition.number, partition.progress.set_aside)
            await self._name_time_rulings(partition)
            return

    async def advance(
        self, partition: OpenPartition, records: Sequence[Record], lease: BatchLease
    ) -> None:
        """Commit the records, in slices where the actors fail."""
        while records:
            slice_, verifying = partition.defects.next_slice(records)
            try:
                await self._commit(partition, slice_, lease, verifying=verifying)
            except (Poisoned, Unwritable, RecordTooLarge) as error:
                await self._mend(partition, error, slice_, lease)
                # A portion of it may be committed already.
                records = [each for each in records if each.offset >= (partition.start or 0)]
            else:
                records = records[len(slice_) :]

    async def _commit(
        self,
        partition: OpenPartition,
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
        partition: OpenPartition,
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
        partition: OpenPartition,
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
        values = [encode_set_aside(each, number) for each in sites]
        await self._say(number, [control_record(SET_ASIDE, value) for value in values])

    async def _name_time_rulings(self, partition: OpenPartition) -> None:
        """Say in the log which rulings on time are obeyed; saying it again changes nothing."""
        progress, number = partition.progress, partition.number
        values = [
            encode_time_ruling(each, number, progress.log_epoch, obeyed=True)
            for each in progress.time_rulings
        ]
        await self._say(number, [control_record(TIME_RULING, value) for value in values])

    async def _say(self, number: int, records: Sequence[OutRecord]) -> None:
        if records:
            signed = [self._signer.sign(CUSTOMERS.reads, record) for record in records]
            await self._log.append(CUSTOMERS.reads, number, signed)

    async def _send(self, effects: Sequence[Effect], check: Callable[[], None]) -> None:
        """Append effects, in order within each partition, and await all acknowledgements; `check`
        is called right before that, with nothing awaited in between."""
        records: list[OutRecord] = []
        try:
            await self._work_on(self._recording(effects, records))
        except Exception as error:
            raise Unwritable(str(error)) from error
        names = {effect.topic for effect in effects}
        counts = {name: await self._log.partitions(name) for name in names}
        groups: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
        for effect, record in zip(effects, records, strict=True):
            number = partition_of(effect.key, counts[effect.topic])
            groups[effect.topic, number].append(record)
        check()
        await append_all(self._log, groups)

    def _recording(self, effects: Sequence[Effect], records: list[OutRecord]) -> Iterator[None]:
        """Add the effects' records, pausing now and then."""
        signer = self._signer
        for number, effect in enumerate(effects, start=1):
            records.append(effect.signed(signer))
            if number % EFFECTS_AT_ONCE == 0:
                yield


def is_believed(signer: RecordSigner, record: Record, insists_from: int) -> bool:
    """Whether a record is signed, or lies where that isn't insisted on."""
    if record.offset < insists_from:
        return True
    try:
        signer.check(CUSTOMERS.reads, record)
    except NotSigned:
        return False
    return True


def _unfenced() -> None:
    """Nothing was read yet: who has lost the partition meanwhile names what is named anyway."""
