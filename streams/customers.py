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

A crash between any two steps repeats work and changes no outcome. Any failure closes the partition
and opens it again from its changelog, because the actors in memory have already moved on. A record
at which the actors fail (a defect of ours) is refused at the second attempt, with the reason
`internal_error`, so that it neither stops the partition nor passes in silence.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import structlog

from agents.changes import Place, Poisoned
from schemas.records import OutRecord, Record
from schemas.stored import PROGRESS_KEY, Progress, is_erased, pack_progress, unpack_progress
from streams.definitions import Library
from streams.log import Log, LogError
from streams.partitioner import partition_of
from streams.state.changelog import Changelog, Overtaken
from streams.state.graves import Graves, survey
from streams.state.parking import Parking
from streams.state.recovery import Recovered
from streams.state.store import Item, StateError, Store, StoreFactory
from streams.ticks import Ticks
from streams.topology import CUSTOMERS
from streams.transports.batch import Fenced, Gate, PartitionBatch, TopicPartition, Turn

SLICE = 1_000
"""Records received before the event loop gets its turn: some 20 ms, so that heartbeats, metrics
and mails don't wait for a batch of thousands."""

_log = structlog.get_logger(__name__)


class Effect(Protocol):
    """One record to be sent; see `agents/partition.py`."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes: ...
    @property
    def record(self) -> OutRecord: ...


class Changes(Protocol):
    """What receiving some records has led to; see `agents/partition.py`."""

    @property
    def effects(self) -> Sequence[Effect]: ...
    @property
    def states(self) -> Sequence[Item]: ...
    @property
    def progress(self) -> Progress: ...


ChangesT = TypeVar("ChangesT", bound=Changes)
ChangesT_co = TypeVar("ChangesT_co", bound=Changes, covariant=True)
ChangesT_contra = TypeVar("ChangesT_contra", bound=Changes, contravariant=True)


class Actors(Protocol[ChangesT_co]):
    """The customers of one partition; `agents.partition.PartitionActors`."""

    def absorb(self, records: Sequence[Record]) -> None:
        """Apply `records`."""

    def take(self) -> ChangesT_co:
        """Return what all records since the last call have changed."""

    @property
    def next_timer(self) -> int:
        """When the earliest timer is due, NEVER when there is none."""

    @property
    def timers_pending(self) -> int:
        """How many customers wait for a timer."""


class ActorsFactory(Protocol[ChangesT_co]):
    """Builds the actors of one partition; the constructor of PartitionActors fits."""

    def __call__(
        self,
        *,
        partition: int,
        load: Callable[[bytes], bytes | None],
        progress: Progress,
        due: Iterable[tuple[int, bytes]],
        products: Iterable[bytes],
        scan: Callable[[], Iterable[tuple[bytes, bytes]]],
        poison: Mapping[Place, str],
    ) -> Actors[ChangesT_co]: ...


class Observer(Protocol[ChangesT_contra]):
    """Who counts what happens here; `streams/observing.py` turns it into metrics."""

    def committed(self, partition: int, changes: ChangesT_contra) -> None:
        """One batch is done for good."""

    def recovered(self, partition: int, recovered: Recovered) -> None:
        """A partition has been opened."""

    def failed(self, partition: int, reason: str) -> None:
        """A batch was given up; the partition is opened again."""

    def closed(self, partition: int) -> None:
        """A partition has been let go."""


class NotOwned(Exception):
    """The customer's partition isn't open in this process."""


class CustomersRuntime(Generic[ChangesT]):
    """Owner of the partitions of `customer-events` in this process."""

    def __init__(
        self,
        *,
        log: Log,
        gate: Gate,
        open_store: StoreFactory,
        actors: ActorsFactory[ChangesT],
        library: Library,
        ticks: Ticks,
        observer: Observer[ChangesT],
    ) -> None:
        self._log = log
        self._gate = gate
        self._parking = Parking(open_store)
        self._actors = actors
        self._library = library
        self._ticks = ticks
        self._observer = observer
        self._open: dict[TopicPartition, _Partition[ChangesT]] = {}
        self._poison: defaultdict[TopicPartition, dict[Place, str]] = defaultdict(dict)

    async def opened(self, tp: TopicPartition) -> int | None:
        """Recover the partition and return where to read on; see PartitionOwner."""
        store = self._parking.take(_kept(tp))
        try:
            partition = await self._recover(tp, store)
        except BaseException:
            self._parking.park(_kept(tp), store)  # cancelled or refused: catches up the next time
            raise
        self._open[tp] = partition
        self._ticks.start(tp.partition)
        return partition.next_offset

    async def closed(self, tp: TopicPartition) -> None:
        """Let the partition go; its store waits for `settle`."""
        await self._ticks.stop(tp.partition)
        partition = self._open.pop(tp, None)
        if partition is not None:
            self._parking.park(_kept(tp), partition.changelog.store)
            self._observer.closed(tp.partition)

    def settle(self, owned: Iterable[TopicPartition]) -> None:
        """Drop the state of partitions that did not come back; call it after each assignment."""
        self._parking.settle({_kept(tp) for tp in owned})

    def close(self) -> None:
        """Close all state and leave it on disk. Call it when nothing is consumed any more."""
        for tp, partition in self._open.items():
            self._parking.park(_kept(tp), partition.changelog.store)
        self._open.clear()
        self._parking.close()

    async def process(self, batch: PartitionBatch) -> None:
        """Take one batch through the commit protocol. Never raises, except when cancelled.

        Faust acknowledges an event whose agent body has raised, and restarts the agent; here the
        gate opens the partition again and the records are delivered once more.
        """
        try:
            async with self._gate.enter(batch) as turn:
                if turn is not None:
                    await self._commit(self._open[batch.tp], batch.records, turn)
        except (Fenced, Overtaken, LogError) as error:
            reason = "log" if isinstance(error, LogError) else "fenced"
            self._observer.failed(batch.tp.partition, reason)
            _log.warning("batch given up, opening the partition again",
                         partition=batch.tp.partition, error=str(error))  # fmt: skip
        except Exception as error:
            self._observer.failed(batch.tp.partition, "defect")
            _log.exception("batch failed, opening the partition again",
                           partition=batch.tp.partition,
                           offset=batch.records[0].offset)  # fmt: skip
            if isinstance(error, Poisoned) and not isinstance(error.__cause__, StateError):
                # A defect of ours fails every time: the next attempt refuses the record.
                self._poison[batch.tp][error.place] = str(error)

    def timers_pending(self) -> int:
        """Return how many customers of this process wait for a timer."""
        return sum(partition.actors.timers_pending for partition in self._open.values())

    def next_timers(self) -> dict[int, int]:
        """Return when the earliest timer of each open partition is due, NEVER if it has none."""
        return {tp.partition: each.actors.next_timer for tp, each in self._open.items()}

    def read_customer(self, key: bytes, partitions: int) -> bytes | None:
        """Return a customer's kept record, None when there is none. Raises NotOwned."""
        tp = TopicPartition(CUSTOMERS.reads, partition_of(key, partitions))
        if tp not in self._open:
            raise NotOwned(f"partition {tp.partition}")
        stored = self._open[tp].changelog.get(key)
        return None if stored is None or is_erased(stored) else stored

    async def scrub(self, partition: int, keys: Sequence[bytes]) -> None:
        """Let the store hold nothing of what these customers were before. Raises StateError."""
        open_ = self._open.get(TopicPartition(CUSTOMERS.reads, partition))
        if open_ is not None:
            await asyncio.to_thread(open_.changelog.store.scrub, keys)

    async def _recover(self, tp: TopicPartition, store: Store) -> _Partition[ChangesT]:
        changelog = Changelog(self._log, CUSTOMERS.keeps, tp.partition, store)
        recovered = await changelog.recover()
        await self._library.refresh()
        partition = _Partition(tp.partition, changelog, self._actors, self._poison[tp])
        self._observer.recovered(tp.partition, recovered)
        _log.info("partition opened", partition=tp.partition, next_offset=partition.next_offset,
                  records=recovered.records, seconds=round(recovered.seconds, 3))  # fmt: skip
        return partition

    async def _commit(
        self, partition: _Partition[ChangesT], records: Sequence[Record], turn: Turn
    ) -> None:
        await self._library.ensure(records)
        changes = await partition.receive(records)  # steps 1–3
        turn.check()
        await self._send(changes.effects)  # 4
        await partition.keep(changes, turn.check)  # 5
        turn.done(changes.progress.next_offset)  # 6
        self._ticks.passed(
            partition.number,
            next_offset=changes.progress.next_offset,
            log_time=changes.progress.log_time,
            due=partition.actors.next_timer,
        )
        self._observer.committed(partition.number, changes)

    async def _send(self, effects: Sequence[Effect]) -> None:
        """Append effects, in order within each partition, and await all acknowledgements."""
        names = {effect.topic for effect in effects}
        counts = {name: await self._log.partitions(name) for name in names}
        groups: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
        for effect in effects:
            number = partition_of(effect.key, counts[effect.topic])
            groups[effect.topic, number].append(effect.record)
        appends = (self._log.append(*tp, group) for tp, group in groups.items())
        # All are awaited even when one fails: none may be in flight when the partition is reopened.
        for outcome in await asyncio.gather(*appends, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome


class _Partition(Generic[ChangesT]):
    """One open partition: its actors and its kept state."""

    def __init__(
        self,
        number: int,
        changelog: Changelog,
        actors: ActorsFactory[ChangesT],
        poison: Mapping[Place, str],
    ) -> None:
        self.number = number
        self.changelog = changelog
        self._graves = Graves()
        stored = changelog.get(PROGRESS_KEY)
        progress = Progress() if stored is None else unpack_progress(stored)
        self.next_offset = None if stored is None else progress.next_offset
        found = survey(changelog, self._graves)
        self.actors = actors(
            partition=number,
            load=changelog.get,
            progress=progress,
            due=found.timers,
            products=found.products,
            scan=changelog.scan,
            poison=poison,
        )

    async def receive(self, records: Sequence[Record]) -> ChangesT:
        """Give the records to the actors in slices, letting the event loop run in between."""
        for start in range(0, len(records), SLICE):
            if start:
                await asyncio.sleep(0)
            self.actors.absorb(records[start : start + SLICE])
        return self.actors.take()

    async def keep(self, changes: ChangesT, check: Callable[[], None]) -> None:
        """Write the changed customers, then the progress."""
        progress = changes.progress
        items = self._graves.bury(changes.states, progress)
        items += self._graves.expired(self.changelog, progress.log_time, items)
        await self.changelog.write([*items, (PROGRESS_KEY, pack_progress(progress))], check)


def _kept(tp: TopicPartition) -> TopicPartition:
    return TopicPartition(CUSTOMERS.keeps, tp.partition)
