"""Reading what a topic holds, from end to end or a part of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from schemas.records import OutRecord, Record
from streams.clock import VirtualClock
from streams.log import OffsetRange, TopicSpec, append_all, backwards, scan, within
from tests.runtime.doubles import Crash, MemoryLog

START = 1_770_000_000_000


@pytest.fixture
async def log() -> MemoryLog:
    """Partition 0 has five records, one a millisecond; 1 has none; 2 has four."""
    clock = VirtualClock(START)
    log = MemoryLog(clock)
    await log.create_topics([TopicSpec(name="t", partitions=3)])
    for number in range(5):
        await log.append("t", 0, [OutRecord(b"%d" % number, None)])
        if number < 4:
            await log.append("t", 2, [OutRecord(b"%d" % number, None)])
        clock.advance(START + number + 1)
    return log


async def places(records: AsyncIterator[Record]) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) async for record in records]


ALL = [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (2, 0), (2, 1), (2, 2), (2, 3)]


async def test_all_partitions_in_order(log: MemoryLog) -> None:
    assert await places(scan(log, "t")) == ALL


async def test_some_partitions(log: MemoryLog) -> None:
    assert await places(scan(log, "t", [2, 1])) == ALL[5:]


async def test_a_range_of_offsets(log: MemoryLog) -> None:
    assert await places(scan(log, "t", [0], start=1, stop=3)) == [(0, 1), (0, 2)]
    assert await places(scan(log, "t", [0], start=3)) == [(0, 3), (0, 4)]
    assert await places(scan(log, "t", [0], stop=1)) == [(0, 0)]
    assert await places(scan(log, "t", [0], start=5, stop=5)) == []


async def test_from_a_time_on(log: MemoryLog) -> None:
    assert await places(scan(log, "t", since=START + 3)) == [(0, 3), (0, 4), (2, 3)]
    assert await places(scan(log, "t", [0], since=START + 9)) == []


async def test_it_tells_how_far_it_is_of_all_partitions(log: MemoryLog) -> None:
    seen: list[tuple[int, int]] = []
    await places(scan(log, "t", on_progress=lambda *each: seen.append(each)))
    assert seen == [(3, 9), (5, 9), (8, 9), (9, 9)]
    seen.clear()
    told = within(lambda *each: seen.append(each), 100, 200)
    await places(scan(log, "t", [0], start=1, stop=4, on_progress=told))
    assert seen == [(103, 200)]


async def test_a_part_whose_ends_are_given_asks_for_none(log: MemoryLog) -> None:
    async def refused(_: str) -> dict[int, object]:
        raise AssertionError("nobody has to ask the broker")

    log.offsets = refused  # type: ignore[assignment,method-assign]  # a broker that counts requests
    assert await places(scan(log, "t", [0], start=1, stop=2)) == [(0, 1)]


def test_backwards_is_longer_each_time_and_leaves_nothing_out() -> None:
    assert list(backwards(OffsetRange(5, 100), 3)) == [(97, 100), (76, 97), (5, 76)]
    assert list(backwards(OffsetRange(7, 7), 3)) == []


async def test_all_appends_are_over_when_one_has_failed(
    log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is still in flight when a failure is told may arrive behind what is done about it."""
    slowly = log.append

    async def append(topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        if partition == 0:
            raise Crash("at once")
        for _ in range(5):
            await asyncio.sleep(0)
        return await slowly(topic, partition, records)

    monkeypatch.setattr(log, "append", append)
    record = OutRecord(b"new", None)
    with pytest.raises(Crash):
        await append_all(log, {("t", 0): [record], ("t", 1): [record], ("t", 2): [record]})
    assert [len(part) for part in log.topics["t"]] == [5, 1, 5]
