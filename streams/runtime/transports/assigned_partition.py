"""One partition given to this process: what the partition manager knows of it, and the lease of one
batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

from streams.runtime.transports.batch import Fenced, PartitionBatch, PartitionOwner, TopicPartition


class FetchSource(Protocol):
    """What the partition manager asks of the transport it is attached to: the consumer of Kafka or
    of the embedded log, which both import the manager."""

    @property
    def session_timeout(self) -> float:
        """Seconds without a heartbeat after which the group gives our partitions to another."""

    def heartbeat_age(self) -> float:
        """Return the seconds since the last heartbeat known to be accepted; inf after a refusal."""

    def refusal(self) -> str:
        """Return why the group refuses this process, empty if it doesn't."""

    async def first_offset(self, tp: TopicPartition) -> int:
        """Return the group's committed offset, or the earliest one where there is none."""


class FetchPosition(NamedTuple):
    """What may be fetched from a partition now."""

    fetch_epoch: int
    offset: int

    @classmethod
    def of(cls, batch: PartitionBatch) -> FetchPosition:
        """Return the epoch of a batch that was delivered, and where it begins."""
        return cls(batch.fetch_epoch, batch.records[0].offset)


class AssignmentStatus(Enum):
    """Only an open partition is read, and leases itself to its batches."""

    OPENING = "opening"
    OPEN = "open"
    CLOSED = "closed"


class PartitionHealth(NamedTuple):
    """How a partition fares in the process that it is given to."""

    is_open: bool
    failures: int
    """In a row: batches of one that is open, else openings too."""
    reopened: int
    """Times that it was closed after a failure, to be opened again, since the process runs."""
    reason: str
    """Of the last failure; empty when there was none."""


@dataclass(slots=True, eq=False)
class AssignedPartition:
    """One partition given to this process."""

    tp: TopicPartition
    owner: PartitionOwner
    fetch_epoch: int
    status: AssignmentStatus = AssignmentStatus.OPENING
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    task: asyncio.Task[None] | None = None
    is_opened: bool = False
    """`owner.opened` has returned and `owner.closed` has not been called since."""
    closing: asyncio.Task[None] | None = None
    """The last call of `owner.closed`."""
    next_offset: int = 0
    waiting: deque[FetchPosition] = field(default_factory=deque)
    """Epoch and first offset of the batches handed out that have not had their lease yet."""
    lease: BatchLease | None = None
    watermark: int | None = None
    committed: int | None = None
    failures: int = 0
    failed_batches: int = 0
    """Of the failures."""
    reason: str = ""
    """Of the last failure."""
    problem: str = ""
    """Why it could not be opened the last time; empty once it is open."""

    def health(self, reopened: int) -> PartitionHealth:
        """Return how it fares; `reopened`: how often it was."""
        is_open = self.status is AssignmentStatus.OPEN
        failures = self.failed_batches if is_open else self.failures
        return PartitionHealth(is_open, failures, reopened, self.reason)

    def uncommitted(self) -> int | None:
        """Return the watermark if it has moved since it was committed last."""
        return None if self.watermark == self.committed else self.watermark


class BatchLease:
    """One batch's lease of its partition; see `PartitionManager.enter`."""

    def __init__(self, partition: AssignedPartition, source: FetchSource) -> None:
        self._partition = partition
        self._source = source

    def check(self) -> None:
        """Raise Fenced when the lease is over or the last heartbeat is too old."""
        if self._partition.lease is not self:
            raise Fenced("the batch's lease is over")
        age = self._source.heartbeat_age()
        if age >= self._source.session_timeout:
            raise Fenced(f"no heartbeat for {age:.1f} s: another worker may own the partition")

    def done(self, next_offset: int) -> None:
        """Move the commit watermark, never backwards. Raises Fenced when the lease is over."""
        if self._partition.lease is not self:
            raise Fenced("the batch's lease is over")
        self._partition.watermark = max(next_offset, self._partition.watermark or 0)


def to_commit(partitions: Iterable[AssignedPartition]) -> dict[TopicPartition, int]:
    """Return the watermarks that have moved since they were committed last."""
    offsets = ((each.tp, each.uncommitted()) for each in partitions)
    return {tp: offset for tp, offset in offsets if offset is not None}
