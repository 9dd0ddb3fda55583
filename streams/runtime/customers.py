"""The customers' runtime: owner of the partitions of `customer-events` in this process.

It opens a partition from its changelog, gives what is kept of a customer to whoever asks, and takes
each batch through the commit protocol (`streams/runtime/commit_protocol.py`). What the protocol
can't go on with, a fault of the log or the machine, closes the partition and opens it again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from agents.definitions.settings import NO_LIMITS, VisitorLimits
from schemas.customer.named import RunInFlight
from schemas.signing import RecordSigner
from schemas.stored import (
    PROGRESS_KEY,
    Damaged,
    FutureFormat,
    Progress,
    is_erased,
    pack_progress,
)
from streams.log import Log, LogError
from streams.logging import get_logger
from streams.partitioner import partition_of
from streams.runtime.commit_protocol import CommitProtocol, Observer
from streams.runtime.definitions import DefinitionLoader
from streams.runtime.log_identity import LogIdentity
from streams.runtime.open_partition import ActorsFactory, OpenPartition
from streams.runtime.state.changelog import Changelog, Overtaken
from streams.runtime.state.retained_stores import RetainedStores
from streams.runtime.state.signature_floor import decide
from streams.runtime.state.store import Store, StoreFactory
from streams.runtime.ticks import Ticks
from streams.runtime.time_guard import AheadOfClock, TimeGuard
from streams.runtime.transports.assigned_partition import BatchLease
from streams.runtime.transports.batch import Fenced, PartitionBatch, TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager
from streams.runtime.visitor_expiry import VisitorRemoval
from streams.topology import CUSTOMERS

_log = get_logger(__name__)


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
        signer: RecordSigner,
        time_guard: TimeGuard,
        identity: LogIdentity,
        limits: VisitorLimits = NO_LIMITS,
        accept_unsigned: bool = False,
    ) -> None:
        """`limits` are those of visitors, as the actors have them. `signer` signs what the actors
        tell each other and the mailer. `accept_unsigned`: workers of release 0.1
        still run beside this one."""
        self._identity = identity
        self._time_guard = time_guard
        self._signer = signer
        self._accept_unsigned = accept_unsigned
        self._log = log
        self._partition_manager = partition_manager
        self._stores = RetainedStores(open_store)
        self._actors = actors
        self._loader = loader
        self._ticks = ticks
        self._observer = observer
        self._protocol = CommitProtocol(log, loader, ticks, observer, signer)
        self._limits = limits
        self._forgotten = 0
        self._open: dict[TopicPartition, OpenPartition] = {}

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

    async def prepare(self, partition: int) -> None:
        """Have the state of a partition ready that this process may be given soon."""
        tp = TopicPartition(CUSTOMERS.reads, partition)
        if tp not in self._partition_manager.owned():
            await self._stores.prepare(self._log, _kept(tp))

    def drop_unassigned(self, owned: Iterable[TopicPartition]) -> None:
        """Drop the state of partitions that did not come back; call it after each assignment."""
        owned = list(owned)
        self._stores.drop_unassigned({_kept(tp) for tp in owned})
        self._time_guard.keep_only([tp.partition for tp in owned])

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
        partition manager opens the partition again and the records are delivered once more.
        """
        try:
            async with self._partition_manager.enter(batch) as lease:
                if lease is not None:
                    await self._advance(batch, lease)
        except AheadOfClock:
            pass  # it waits, and whoever opens it says why
        except (Fenced, Overtaken, LogError, FutureFormat, Damaged) as error:
            reason = "log" if isinstance(error, LogError) else "fenced"
            self._observer.failed(batch.tp.partition, reason)
            _log.warning("batch given up, opening the partition again",
                         partition=batch.tp.partition, error=str(error))  # fmt: skip
        except Exception:  # a defect of ours: told of, and the partition is opened again
            self._observer.failed(batch.tp.partition, "defect")
            _log.exception("batch failed, opening the partition again",
                           partition=batch.tp.partition,
                           offset=batch.records[0].offset)  # fmt: skip

    async def _advance(self, batch: PartitionBatch, lease: BatchLease) -> None:
        """Commit a batch as far as its time has come. Raises AheadOfClock where that is not all."""
        partition, guard, records = self._open[batch.tp], self._time_guard, batch.records
        rulings = partition.progress.time_rulings
        records = guard.in_time(batch.tp.partition, records, rulings)
        await self._protocol.advance(partition, records, lease)
        if len(records) < len(batch.records):
            raise guard.refusal(batch.tp.partition)

    def log_time(self, partition: int) -> int:
        """Return the highest append time that was read in a partition, as far as this process has
        committed; 0 of one that is not open here."""
        open_ = self._open.get(TopicPartition(CUSTOMERS.reads, partition))
        return 0 if open_ is None else open_.progress.log_time

    def timers_pending(self) -> int:
        """Return how many customers of this process wait for a timer."""
        return sum(partition.actors.timers_pending for partition in self._open.values())

    def stores(self) -> Mapping[TopicPartition, Store]:
        """Return what holds the state of each open partition."""
        return {tp: partition.changelog.store for tp, partition in self._open.items()}

    def held_back(self) -> int:
        """Return how many customers of this process are held back."""
        return sum(partition.actors.held_back for partition in self._open.values())

    def runs_in_flight(self) -> Counter[RunInFlight]:
        """Return how many runs of this process's customers are in flight."""
        runs: Counter[RunInFlight] = Counter()
        for partition in self._open.values():
            runs.update(partition.runs)
        return runs

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

    async def _recover(self, tp: TopicPartition, store: Store) -> OpenPartition:
        changelog = Changelog(self._log, CUSTOMERS.keeps, tp.partition, store)
        recovered = await changelog.recover()
        progress = await decide(
            self._log,
            CUSTOMERS.reads,
            changelog,
            accept_unsigned=self._accept_unsigned,
            signer=self._signer,
        )
        progress = await self._identity.known(CUSTOMERS.reads, tp.partition, progress)
        progress = await self._ruled(changelog, progress)
        await self._loader.refresh()
        removal = VisitorRemoval(changelog, self._limits)
        partition = OpenPartition(changelog, progress, self._actors, removal)
        await self._protocol.build(partition)
        self._observer.recovered(tp.partition, recovered)
        _log.info("partition opened", partition=tp.partition, next_offset=partition.next_offset,
                  records=recovered.records, seconds=round(recovered.seconds, 3))  # fmt: skip
        return partition

    async def _ruled(self, changelog: Changelog, progress: Progress) -> Progress:
        """Return the progress with what was ruled on the time of what comes. Raises AheadOfClock
        while that has to wait."""
        ruled = await self._time_guard.ruled(changelog.partition, progress)
        if ruled is not progress:
            await changelog.write([(PROGRESS_KEY, pack_progress(ruled))], lambda: None)
        return ruled


def _kept(tp: TopicPartition) -> TopicPartition:
    return TopicPartition(CUSTOMERS.keeps, tp.partition)
