"""What the two transports hand to an agent, and what they ask of whoever owns a partition.

A stock Faust consumer delivers one event per record, which is slow, and acknowledges by event,
which loses some. Ours deliver everything fetched from one partition as one event whose value is a
`PartitionBatch`, and commit only what was marked as done through its lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from schemas.records import Record


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionBatch:
    """Records fetched from one partition, in order, with the ownership they were fetched under."""

    tp: TopicPartition
    fetch_epoch: int
    """Grows each time this process is given the partition; a batch of an older epoch is stale."""
    records: Sequence[Record]


class Fenced(Exception):
    """This process can't be sure that it still owns the partition, so it must not write."""


class PartitionOwner(Protocol):
    """Keeps the state of the partitions of one topic. Implemented by the agents' runtimes."""

    async def opened(self, tp: TopicPartition) -> int | None:
        """Recover the partition's state and return the offset to start from.

        None means: the group's committed offset, or the earliest where there is none. Runs in the
        background after an assignment, nothing is delivered before it returns, and it is cancelled
        when the partition is revoked first.
        """

    async def closed(self, tp: TopicPartition) -> None:
        """Let the partition's state go. No batch of it is in flight, none will follow."""


class BatchLease(Protocol):
    """One batch's lease of its partition; see `PartitionManager.enter`."""

    def check(self) -> None:
        """Raise Fenced when the last heartbeat is older than the session timeout."""

    def done(self, next_offset: int) -> None:
        """Move the commit watermark: everything below `next_offset` is dealt with for good."""


class PartitionLeases(Protocol):
    """Leases partitions of this process to one batch at a time; `PartitionManager` does it."""

    def own(self, topic: str, owner: PartitionOwner) -> None:
        """Register who keeps the state of `topic`. Its records are delivered as batches."""

    def enter(self, batch: PartitionBatch) -> AbstractAsyncContextManager[BatchLease | None]:
        """Take the partition's lock for one batch; yields None when the batch is stale.

        Revocation takes the same lock, so it waits for the batch in flight. Leaving the context by
        an exception closes the partition and opens it again (owner.closed, owner.opened), so that
        the records are read again from the last known good state.
        """
