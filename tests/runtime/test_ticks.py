"""Ticks, on virtual time."""

from __future__ import annotations

import asyncio

import pytest

from streams.clock import VirtualClock
from streams.ticks import TICK_TYPE, Ticks
from streams.topology import CUSTOMER_EVENTS
from tests.runtime.parts import START, MemoryLog, memory_log


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START + 250)


@pytest.fixture
async def log(clock: VirtualClock) -> MemoryLog:
    return await memory_log(partitions=2, clock=clock)


async def written(log: MemoryLog, count: int) -> list[int]:
    """Wait for `count` records in partition 0 and return their times, counted from START."""
    part = log.topics[CUSTOMER_EVENTS][0]
    async with asyncio.timeout(5), log.appended:
        await log.appended.wait_for(lambda: len(part) >= count)
    return [record.timestamp - START for record in part]


async def begun(ticks: Ticks) -> None:
    ticks.start(0)
    await asyncio.sleep(0)  # the task waits for its first instant


async def test_one_empty_control_record_per_interval(log: MemoryLog, clock: VirtualClock) -> None:
    ticks = Ticks(log, CUSTOMER_EVENTS, clock)
    await begun(ticks)
    for second in (1, 2, 3):
        clock.advance(START + second * 1000)
        assert (await written(log, second))[-1] == second * 1000
    record = log.topics[CUSTOMER_EVENTS][0][0]
    assert (record.key, record.value, record.header("ce_type")) == (None, b"", TICK_TYPE)
    assert log.topics[CUSTOMER_EVENTS][1] == []
    await ticks.stop(0)


async def test_a_machine_that_slept_owes_one_tick(log: MemoryLog, clock: VirtualClock) -> None:
    ticks = Ticks(log, CUSTOMER_EVENTS, clock, interval_ms=60_000)
    await begun(ticks)
    clock.advance(START + 3_600_000)
    await written(log, 1)
    clock.advance(START + 3_660_000)
    assert await written(log, 2) == [3_600_000, 3_660_000]
    await ticks.stop(0)


async def test_no_tick_after_stop(log: MemoryLog, clock: VirtualClock) -> None:
    ticks = Ticks(log, CUSTOMER_EVENTS, clock)
    await begun(ticks)
    ticks.start(0)  # a second start is the same ticking
    clock.advance(START + 1000)
    await written(log, 1)
    await ticks.stop(0)
    await ticks.stop(0)
    clock.advance(START + 5000)
    for _ in range(10):
        await asyncio.sleep(0)
    assert await written(log, 1) == [1000]


async def test_a_failing_append_is_counted_and_tried_again(
    log: MemoryLog, clock: VirtualClock
) -> None:
    ticks = Ticks(log, CUSTOMER_EVENTS, clock)
    failures = iter([0])
    log.fault = lambda *_: next(failures, None)
    await begun(ticks)
    clock.advance(START + 1000)
    async with asyncio.timeout(5):
        while not ticks.failures:  # noqa: ASYNC110  # a counter, and the loop turns at once
            await asyncio.sleep(0)
    clock.advance(START + 2000)
    assert await written(log, 1) == [2000]
    assert ticks.failures == 1
    await ticks.stop(0)
