"""Seen in a fault run: a fenced batch had its partition closed, the group's rebalance cancelled
that in the middle, and the store stayed open for ever: the partition could not be opened again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from schemas.records import Record
from streams.runtime.transports.batch import Fenced, PartitionBatch, TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager

TP = TopicPartition("events", 0)


class Source:
    session_timeout = 10.0

    def heartbeat_age(self) -> float:
        return 0.0

    def refusal(self) -> str:
        return ""

    async def first_offset(self, tp: TopicPartition) -> int:
        return 0


class SlowOwner:
    """Takes its time to close, and notes what was called and what came to its end."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.may_close = asyncio.Event()
        self.closing = asyncio.Event()

    async def opened(self, tp: TopicPartition) -> int:
        self.calls.append("opened")
        return 0

    async def closed(self, tp: TopicPartition) -> None:
        self.closing.set()
        await self.may_close.wait()
        self.calls.append("closed")


async def test_a_revocation_in_the_middle_of_a_closing_waits_for_its_end() -> None:
    partition_manager, owner = PartitionManager(), SlowOwner()
    partition_manager.own(TP.topic, owner)
    partition_manager.attach(Source())
    partition_manager.assigned([TP])
    await partition_manager.until(lambda: TP in partition_manager.open())
    records: Sequence[Record] = [Record(TP.topic, 0, 0, 0, b"k", b"v")]
    batch = partition_manager.deliver(TP, partition_manager.wanted()[TP], records)
    assert isinstance(batch, PartitionBatch)

    with pytest.raises(Fenced):
        async with partition_manager.enter(batch):
            raise Fenced("the heartbeat is old")
    await asyncio.wait_for(owner.closing.wait(), 5)
    revoking = asyncio.ensure_future(partition_manager.revoked([TP]))
    for _ in range(10):  # turns of the loop, in which the revocation gets as far as it can
        await asyncio.sleep(0)
    assert not revoking.done()
    owner.may_close.set()
    await asyncio.wait_for(revoking, 5)

    assert owner.calls == ["opened", "closed"]
    assert partition_manager.owned() == set()
