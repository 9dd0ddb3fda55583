"""What the two transports hand to an agent, and what they ask of whoever owns a partition.

A stock Faust consumer delivers one event per record, which is slow, and acknowledges by event,
which loses some. Ours deliver everything fetched from one partition as one event whose value is a
`PartitionBatch`, and commit only what was marked as done through its lease.
"""

from __future__ import annotations

from collections.abc import Sequence
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
