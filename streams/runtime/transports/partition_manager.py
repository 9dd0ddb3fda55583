"""The manager of this process's partitions: who may change one, where it is read from, what is
done.

Faust's own bookkeeping loses events when a process is killed, when partitions move and when an
agent's body fails (see `streams/runtime/transports/kafka.py`). So both transports leave all of it
to one `PartitionManager`, which knows for each partition

- whether it is open: its owner has recovered its state, its first offset is known;
- its epoch: batches read before the partition was closed, moved or rewound are stale;
- the next offset to deliver, so that each fetch says where it has to begin;
- the watermark: what the owner has marked as done, and the only thing that is ever committed.

Invariants: `PartitionOwner.closed` is called once for each `opened` that has returned, while no
batch is in flight. Only the holder of a partition's lock changes its state: a batch, a closing. One
background task per partition opens it, and is gone before the partition is closed.

Everything here runs on one event loop; a driver with a thread of its own calls from that loop.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from schemas.failures import Failure
from schemas.records import Record
from schemas.stored import Damaged, FutureFormat
from streams.logging import get_logger
from streams.runtime.backoff import Backoff
from streams.runtime.state.store import StateError
from streams.runtime.transports.assigned_partition import (
    AssignedPartition,
    AssignmentStatus,
    BatchLease,
    FetchPosition,
    FetchSource,
    PartitionHealth,
    to_commit,
)
from streams.runtime.transports.batch import PartitionBatch, PartitionOwner, TopicPartition

BACKOFF = Backoff(0.1, 30.0)
"""Seconds before a partition that failed is opened again: 0.1, 0.2, 0.4 … 30. A broker that
restarts is met again at once, a defect doesn't burn a processor."""

LOG_EVERY = 60.0
"""Seconds of pauses after which it is said again that a partition can't be opened, and why."""

AHEAD = 1
"""Batches of one partition that wait for their lease. One: the next is there when a batch is done,
and at most two batches of each partition are held in memory."""

_log = get_logger(__name__)


@dataclass(slots=True)
class PartitionCounts:
    """What has happened so far in this process; read by the metrics and the tests."""

    batches: int = 0
    """Leases that ended well."""
    records: int = 0
    """Records in them."""
    stale_batches: int = 0
    """Batches dropped unprocessed because their partition has been closed or rewound since."""
    reopened: int = 0
    """Partitions closed after a failure, to be opened again."""
    failed_openings: int = 0
    """Openings that raised and were tried again."""
    rewound: int = 0
    """Times that batches on their way to the agent were lost and are read again."""
    refetches: int = 0
    """Fetches that began at another offset than the expected one and were repeated."""
    gaps: int = 0
    """Such fetches accepted because the broker showed the same a second time."""
    commits: int = 0
    failed_commits: int = 0


class PartitionManager:
    """The partitions of this process. Create it before the app and register the owners."""

    def __init__(self, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.counts = PartitionCounts()
        self._pause = pause
        self._owners: dict[str, PartitionOwner] = {}
        self._partitions: dict[TopicPartition, AssignedPartition] = {}
        self._reopened: Counter[TopicPartition] = Counter()
        self._failed_openings: Counter[TopicPartition] = Counter()
        self.on_rebalance: Callable[[float], None] = lambda _seconds: None
        """Told how long each rebalance took, from letting partitions go to being given some."""
        self._fetch_epochs = itertools.count(1)
        self._source: FetchSource | None = None
        self._changed = asyncio.Event()
        self.is_assigned = False
        """Whether the group has said which partitions are this process', be it none."""

    # For owners and agents.

    def own(self, topic: str, owner: PartitionOwner) -> None:
        """Register who keeps the state of `topic`. Its records are delivered as batches."""
        self._owners[topic] = owner

    @asynccontextmanager
    async def enter(self, batch: PartitionBatch) -> AsyncIterator[BatchLease | None]:
        """Take the partition's lock for one batch; yields None when the batch is stale.

        Revocation takes the same lock, so it waits for the batch in flight. An exception leaves the
        context as it is and has the partition closed and opened again (owner.closed, owner.opened),
        so that the records are read again from the last known good state.
        """
        partition = self._partitions.get(batch.tp)
        if partition is None:
            self._stale(batch)
            yield None
            return
        async with partition.lock:
            if not self._is_next(partition, batch):
                self._stale(batch)
                yield None
                return
            partition.lease = lease = BatchLease(partition, self._attached())
            try:
                yield lease
            except BaseException as error:
                self._reopen(partition, error)
                raise
            else:
                partition.failures = partition.failed_batches = 0
                self.counts.batches += 1
                self.counts.records += len(batch.records)
            finally:
                partition.lease = None
                self._notify()

    # For whoever waits or measures.

    def owned(self) -> set[TopicPartition]:
        """Return the partitions given to this process, open or not."""
        return set(self._partitions)

    def open(self) -> set[TopicPartition]:
        """Return the partitions whose state is recovered and that are being read."""
        return {tp for tp, each in self._partitions.items() if each.status is AssignmentStatus.OPEN}

    def problems(self) -> dict[TopicPartition, str]:
        """Return why partitions are not open, of those that could not be opened."""
        return {tp: each.problem for tp, each in self._partitions.items() if each.problem}

    def health(self) -> dict[TopicPartition, PartitionHealth]:
        """Return how the partitions given to this process fare."""
        return {tp: each.health(self._reopened[tp]) for tp, each in self._partitions.items()}

    def reopened(self) -> Mapping[TopicPartition, int]:
        """Return how often partitions were closed after a failure: those that are ours, and those
        of which any was, also when they have been let go since."""
        return {**dict.fromkeys(self._partitions, 0), **self._reopened}

    def failed_openings(self) -> Mapping[TopicPartition, int]:
        """Return how often partitions could not be opened, as `reopened` does."""
        return {**dict.fromkeys(self._partitions, 0), **self._failed_openings}

    async def position(self, tp: TopicPartition) -> int:
        """Return up to where a partition is done: what is marked, or else what the group has
        committed. Raises what the transport does."""
        done = self.watermark(tp)
        return await self._attached().first_offset(tp) if done is None else done

    def watermark(self, tp: TopicPartition) -> int | None:
        """Return what is marked as done since the partition was given to us, None if nothing."""
        partition = self._partitions.get(tp)
        return None if partition is None else partition.watermark

    def heartbeat_age(self) -> float:
        """Return the seconds since the group has last accepted a heartbeat. Any thread."""
        return self._attached().heartbeat_age()

    def refusal(self) -> str:
        """Return why the group doesn't take this process for a member, empty if it does."""
        if self._source is None:
            return "it has not been asked yet"
        if refusal := self._source.refusal():
            return refusal
        age = self._source.heartbeat_age()
        if age < self._source.session_timeout:
            return ""
        return f"no heartbeat accepted for {age:.0f} s" if age < math.inf else "not joined yet"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for `condition`, which is looked at after each change of a partition or a count."""
        while not condition():
            await self._changed.wait()

    # For the transports.

    def attach(self, source: FetchSource) -> None:
        """Say which transport the partitions come from."""
        self._source = source

    def assigned(self, tps: Iterable[TopicPartition]) -> None:
        """Open, in the background, the partitions that are new. Raises LookupError if not owned."""
        for tp in map(TopicPartition._make, tps):
            if tp not in self._partitions:
                if tp.topic not in self._owners:
                    raise LookupError(f"nobody has registered as owner of {tp.topic}")
                partition = AssignedPartition(tp, self._owners[tp.topic], next(self._fetch_epochs))
                self._partitions[tp] = partition
                partition.task = asyncio.create_task(self._open(partition))
        self.is_assigned = True
        self._notify()

    async def revoked(self, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Close partitions once their batches in flight are done; return what is to be committed.

        What was committed before is left out.
        """
        leaving = [self._partitions[tp] for tp in set(tps) if tp in self._partitions]
        for partition in leaving:
            partition.status = AssignmentStatus.CLOSED  # nothing more is fetched or gets a lease
        await asyncio.gather(*(self._close(partition) for partition in leaving))
        for partition in leaving:
            self._partitions.pop(partition.tp, None)
        self.is_assigned = self.is_assigned and len(self._partitions) > 0
        self._notify()
        return to_commit(leaving)

    async def stop(self) -> Mapping[TopicPartition, int]:
        """Close everything, as `revoked` does."""
        return await self.revoked(self.owned())

    def wanted(self) -> dict[TopicPartition, FetchPosition]:
        """Return the partitions to be fetched now, each with the offset the fetch begins at."""
        return {
            tp: FetchPosition(each.fetch_epoch, each.next_offset)
            for tp, each in self._partitions.items()
            if each.status is AssignmentStatus.OPEN and len(each.waiting) < AHEAD
        }

    def deliver(
        self, tp: TopicPartition, want: FetchPosition, records: Sequence[Record]
    ) -> PartitionBatch | None:
        """Make the batch of what a fetch for `want` brought; None when it came too late."""
        partition = self._partitions.get(tp)
        if (
            not records
            or partition is None
            or partition.status is not AssignmentStatus.OPEN
            or want != (partition.fetch_epoch, partition.next_offset)
        ):
            return None
        partition.waiting.append(FetchPosition(want.fetch_epoch, records[0].offset))
        partition.next_offset = records[-1].offset + 1
        return PartitionBatch(tp=partition.tp, fetch_epoch=want.fetch_epoch, records=records)

    def dropped(self, batch: PartitionBatch) -> None:
        """Tell that Faust is through with a batch. One that had no lease counts as failed."""
        partition = self._partitions.get(batch.tp)
        if partition is not None and FetchPosition.of(batch) in partition.waiting:
            self._reopen(partition, RuntimeError("the agent dropped a batch without processing it"))

    def distrust(self, tp: TopicPartition, error: Exception) -> None:
        """Have a partition opened again whose log isn't as it must be; the owner finds out why."""
        partition = self._partitions.get(tp)
        if partition is not None and partition.status is AssignmentStatus.OPEN:
            self._reopen(partition, error)

    def rewind(self) -> None:
        """Read again all that was delivered and has not had its lease: Faust emptied its queues."""
        for partition in self._partitions.values():
            if partition.waiting:
                self._rewind(partition)

    def committable(self) -> Mapping[TopicPartition, int]:
        """Return the watermarks that have moved since they were committed last."""
        return to_commit(self._partitions.values())

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Tell that `offsets` have been committed."""
        self.counts.commits += 1
        for tp, offset in offsets.items():
            if (partition := self._partitions.get(tp)) is not None:
                partition.committed = offset
        self._notify()

    # Opening and closing.

    async def _open(self, partition: AssignedPartition) -> None:
        """Open until it succeeds; what fails is closed and tried again after a growing pause.

        Where the owner begins counts as done: a worker that was killed before it could commit has
        left it to us, and no record may come for a long time.
        """
        silence = 0.0
        while True:
            if partition.failures:
                pause = BACKOFF.after(partition.failures)
                silence += pause
                await self._pause(pause)
            try:
                start = await partition.owner.opened(partition.tp)
                partition.is_opened = True
                if start is not None:
                    partition.watermark = max(start, partition.watermark or 0)
                else:
                    start = partition.watermark  # of an earlier opening; may not be committed yet
                if start is None:
                    start = await self._attached().first_offset(partition.tp)
                break
            except Exception as error:
                if _reason(error) != partition.problem or silence >= LOG_EVERY:
                    _log_failure(partition, error)
                    silence = 0.0
                partition.problem = partition.reason = _reason(error)
                partition.failures += 1
                self.counts.failed_openings += 1
                self._failed_openings[partition.tp] += 1
                self._notify()
                await self._let_go(partition)
        partition.next_offset = start
        partition.problem = ""
        partition.status = AssignmentStatus.OPEN
        _log.info("partition open", topic=partition.tp.topic, partition=partition.tp.partition,
                  offset=start)  # fmt: skip
        self._notify()

    def _reopen(self, partition: AssignedPartition, error: BaseException) -> None:
        """Close and open again. Called with the lock, so the closing begins after the lease."""
        partition.failures += 1
        partition.failed_batches += 1
        partition.reason = _reason(error)
        self._reopened[partition.tp] += 1
        self.counts.reopened += 1
        if partition.status is not AssignmentStatus.OPEN:
            return  # being revoked, which closes it anyway, or being reopened already
        _log.warning("partition is closed and opened again", topic=partition.tp.topic,
                     partition=partition.tp.partition, error=repr(error))  # fmt: skip
        partition.status = AssignmentStatus.OPENING
        partition.fetch_epoch = next(self._fetch_epochs)
        partition.waiting.clear()
        partition.task = asyncio.create_task(self._close_and_open(partition))

    async def _close_and_open(self, partition: AssignedPartition) -> None:
        async with partition.lock:
            await self._let_go(partition)
        await self._open(partition)

    async def _close(self, partition: AssignedPartition) -> None:
        """Stop the opening, wait for the batch in flight, let the state go."""
        if partition.task is not None:
            partition.task.cancel()
            await asyncio.wait([partition.task])
        async with partition.lock:
            partition.status = AssignmentStatus.CLOSED
            partition.waiting.clear()
            await self._let_go(partition)

    async def _let_go(self, partition: AssignedPartition) -> None:
        """Have the owner close it, to the end even if the opening that asked for it is cancelled.

        A revocation that came in the middle of a closing once left a store open for ever.
        """
        if partition.is_opened:
            partition.is_opened = False
            partition.closing = asyncio.create_task(self._closed(partition))
        if partition.closing is not None:
            await asyncio.shield(partition.closing)

    async def _closed(self, partition: AssignedPartition) -> None:
        try:
            await partition.owner.closed(partition.tp)
        except Exception:  # it is let go of all the same: others wait for it
            _log.exception("partition could not be closed cleanly", topic=partition.tp.topic,
                           partition=partition.tp.partition)  # fmt: skip

    # Batches.

    def _is_next(self, partition: AssignedPartition, batch: PartitionBatch) -> bool:
        if (
            partition.status is not AssignmentStatus.OPEN
            or batch.fetch_epoch != partition.fetch_epoch
        ):
            return False
        if not partition.waiting or partition.waiting[0] != FetchPosition.of(batch):
            # One before it never arrived, or it arrives a second time.
            self._rewind(partition)
            return False
        partition.waiting.popleft()
        return True

    def _rewind(self, partition: AssignedPartition) -> None:
        if partition.waiting:
            partition.next_offset = partition.waiting[0].offset
            partition.waiting.clear()
        partition.fetch_epoch = next(self._fetch_epochs)
        self.counts.rewound += 1
        _log.warning("batches were lost on their way to the agent and are read again",
                     topic=partition.tp.topic, partition=partition.tp.partition,
                     offset=partition.next_offset)  # fmt: skip
        self._notify()

    def _stale(self, batch: PartitionBatch) -> None:
        self.counts.stale_batches += 1
        _log.debug("stale batch dropped", topic=batch.tp.topic, partition=batch.tp.partition,
                   offset=batch.records[0].offset)  # fmt: skip
        self._notify()

    def _attached(self) -> FetchSource:
        if self._source is None:
            raise RuntimeError("the partition manager is not attached to a transport")
        return self._source

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _log_failure(partition: AssignedPartition, error: Exception) -> None:
    """Say why a partition could not be opened: for a person, or with the place in our code."""
    if isinstance(error, FutureFormat | Damaged | StateError):
        _log.error("partition stays closed", topic=partition.tp.topic,
                   partition=partition.tp.partition, reason=str(error))  # fmt: skip
        return
    _log.error("partition could not be opened, trying again", topic=partition.tp.topic,
               partition=partition.tp.partition, exc_info=error)  # fmt: skip


def _reason(error: BaseException) -> str:
    """Say what a failure was; one of ours, whose text is for a person, by its text alone."""
    if isinstance(error, Failure):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
