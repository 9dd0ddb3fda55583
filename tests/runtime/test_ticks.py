"""Ticks, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from schemas.records import OutRecord
from schemas.stored import NEVER
from streams.clock import Clock, VirtualClock
from streams.runtime.ticks import SILENCE_MS, STANDSTILL_MS, TICK_TYPE, Ticks
from streams.topology import CUSTOMER_EVENTS
from tests.runtime.doubles import START, MemoryLog, memory_log

MINUTE = 60_000
RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yml"


class BrokerClock(VirtualClock):
    """The broker's clock: ours, and off by `skew` ms."""

    def __init__(self, ours: Clock) -> None:
        super().__init__(0)
        self._ours = ours
        self.skew = 0

    def now(self) -> int:
        return self._ours.now() + self.skew


class Ticked:
    """One partition whose owner commits whatever is appended, at once."""

    def __init__(self, log: MemoryLog, clock: VirtualClock, interval_ms: int = 1_000) -> None:
        self.ticks = Ticks(log, CUSTOMER_EVENTS, clock, interval_ms)
        self.log = log
        self.clock = clock
        self.due: Callable[[int], int] = lambda _now: NEVER
        """When the next timer is due, by the log's time at a commit."""
        self.commits = True
        log.fault = self._no_fault

    @property
    def part(self) -> Sequence[object]:
        return self.log.topics[CUSTOMER_EVENTS][0]

    @property
    def times(self) -> list[int]:
        """Append times, counted from START."""
        return [record.timestamp - START for record in self.log.topics[CUSTOMER_EVENTS][0]]

    async def begin(self) -> None:
        self.ticks.start(0)
        await self.settle()

    async def at(self, *instants: int) -> None:
        """Let the time pass to each of these, counted from START."""
        for instant in instants:
            self.clock.advance(START + instant)
            await self.settle()

    async def each_second(self, until: int) -> None:
        await self.at(*range(self.clock.now() - START, until + 1, 250))

    async def settle(self) -> None:
        """Let everybody run who can, and commit what was written."""
        done = -1
        while len(self.part) != done:
            done = len(self.part)
            for _ in range(12):
                await asyncio.sleep(0)
            self.commit()
            for _ in range(12):
                await asyncio.sleep(0)

    def commit(self) -> None:
        part = self.log.topics[CUSTOMER_EVENTS][0]
        if self.commits and part:
            time = max(record.timestamp for record in part)
            self.ticks.passed(0, next_offset=len(part), log_time=time, due=self.due(time))

    def _no_fault(self, *_: object) -> int | None:
        return None


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def broker(clock: VirtualClock) -> BrokerClock:
    return BrokerClock(clock)


@pytest.fixture
async def ticked(clock: VirtualClock, broker: BrokerClock) -> Ticked:
    return Ticked(await memory_log(partitions=2, clock=broker), clock)


async def test_a_tick_is_an_empty_control_record(ticked: Ticked) -> None:
    await ticked.begin()
    await ticked.at(1000)
    record = ticked.log.topics[CUSTOMER_EVENTS][0][0]
    assert (record.key, record.value, record.header("ce_type")) == (None, b"", TICK_TYPE)
    assert ticked.log.topics[CUSTOMER_EVENTS][1] == []
    await ticked.ticks.stop(0)


async def test_where_nothing_is_due_one_comes_every_few_minutes(ticked: Ticked) -> None:
    await ticked.begin()
    await ticked.each_second(3 * SILENCE_MS + 1000)
    assert ticked.times == [1000 + count * SILENCE_MS for count in range(4)]
    await ticked.ticks.stop(0)


async def test_one_comes_when_a_timer_is_due(ticked: Ticked) -> None:
    ticked.due = lambda now: START + 42_500 if now < START + 42_500 else NEVER
    await ticked.begin()
    await ticked.each_second(MINUTE)
    assert ticked.times == [1000, 42_500]
    await ticked.ticks.stop(0)


async def test_timers_a_moment_apart_share_a_tick_a_second(ticked: Ticked) -> None:
    ticked.due = lambda now: now + 10
    await ticked.begin()
    await ticked.each_second(10_000)
    assert ticked.times == [second * 1000 for second in range(1, 11)]
    await ticked.ticks.stop(0)


async def test_a_commit_that_brings_an_earlier_timer_is_heeded(ticked: Ticked) -> None:
    await ticked.begin()
    await ticked.at(1000, 20_000)
    ticked.due = lambda now: START + 30_000 if now < START + 30_000 else NEVER
    await ticked.log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"anna", b"{}")])
    await ticked.settle()
    await ticked.at(29_999, 30_000)
    assert ticked.times == [1000, 20_000, 30_000]
    await ticked.ticks.stop(0)


async def test_where_events_come_time_passes_by_itself(ticked: Ticked) -> None:
    await ticked.begin()
    await ticked.at(1000)
    for minute in range(1, 30):
        await ticked.at(minute * MINUTE)
        await ticked.log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"anna", b"{}")])
        await ticked.settle()
    assert len(ticked.part) == 1 + 29
    await ticked.ticks.stop(0)


@pytest.mark.parametrize("skew", [-MINUTE, MINUTE])
async def test_a_timer_is_due_by_the_brokers_clock(
    ticked: Ticked, broker: BrokerClock, skew: int
) -> None:
    broker.skew = skew
    due = START + 2 * MINUTE
    ticked.due = lambda now: due if now < due else NEVER
    await ticked.begin()
    await ticked.each_second(4 * MINUTE)
    assert ticked.times == [1000 + skew, 2 * MINUTE]
    await ticked.ticks.stop(0)


async def test_what_lay_in_the_log_for_long_does_not_tell_the_time(
    ticked: Ticked, broker: BrokerClock
) -> None:
    """An owner that was away finds old records; a timer must not be as late as they are."""
    due = START + MINUTE
    ticked.due = lambda now: due if now < due else NEVER
    broker.skew = -50 * MINUTE
    await ticked.log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"anna", b"{}")])
    broker.skew = 0
    await ticked.begin()
    await ticked.each_second(2 * MINUTE)
    assert ticked.times == [-50 * MINUTE, 1000, MINUTE]
    await ticked.ticks.stop(0)


async def test_one_that_comes_too_early_is_followed_by_another(
    ticked: Ticked, broker: BrokerClock
) -> None:
    due = START + 2 * MINUTE
    ticked.due = lambda now: due if now < due else NEVER
    await ticked.begin()
    await ticked.at(1000)
    broker.skew = -1_500  # it is set back
    await ticked.each_second(3 * MINUTE)
    assert ticked.times == [1000, 2 * MINUTE - 1_500, 2 * MINUTE]
    await ticked.ticks.stop(0)


async def test_a_broker_whose_clock_keeps_falling_back_causes_no_storm(
    ticked: Ticked, broker: BrokerClock
) -> None:
    ticked.due = lambda _now: START + 2 * MINUTE
    await ticked.begin()
    for step in range(4, 4 * 180):
        broker.skew = min(0, 110_000 - step * 250)  # its time stands still from 110 s on
        await ticked.at(step * 250)
    assert len(ticked.part) <= 1 + 70
    await ticked.ticks.stop(0)


async def test_what_was_left_over_goes_on_at_once(ticked: Ticked) -> None:
    """Work that one record was not enough for is due at the time of the log."""
    left = 5

    def due(now: int) -> int:
        return now if len(ticked.part) < 1 + left else NEVER

    ticked.due = due
    await ticked.begin()
    await ticked.at(1000)
    assert ticked.times == [1000] * (1 + left)
    await ticked.ticks.stop(0)


async def test_one_is_under_way_at_a_time(ticked: Ticked) -> None:
    ticked.due = lambda now: now  # there is always something left
    ticked.commits = False
    await ticked.begin()
    await ticked.each_second(MINUTE)
    assert ticked.times == [1000]
    ticked.commits, ticked.due = True, lambda _now: NEVER
    await ticked.each_second(2 * MINUTE)
    assert ticked.times == [1000]
    await ticked.ticks.stop(0)


async def test_one_that_the_broker_has_lost_is_not_waited_for_for_ever(ticked: Ticked) -> None:
    ticked.commits = False
    await ticked.begin()
    await ticked.each_second(SILENCE_MS + 1000)
    assert ticked.times == [1000, SILENCE_MS + 1000]
    await ticked.ticks.stop(0)


async def test_one_may_be_committed_before_its_append_returns(
    ticked: Ticked, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = ticked.log.append

    async def slow(topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        offset = await append(topic, partition, records)
        ticked.commit()
        await asyncio.sleep(0)
        return offset

    monkeypatch.setattr(ticked.log, "append", slow)
    ticked.due = lambda now: START + 5_000 if now < START + 5_000 else NEVER
    await ticked.begin()
    await ticked.each_second(10_000)
    assert ticked.times == [1000, 5_000]
    await ticked.ticks.stop(0)


async def test_a_machine_that_slept_owes_one_tick(ticked: Ticked) -> None:
    await ticked.begin()
    await ticked.at(1000, 3_600_000)
    assert ticked.times == [1000, 3_600_000]
    await ticked.ticks.stop(0)


async def test_no_tick_after_stop(ticked: Ticked) -> None:
    await ticked.begin()
    ticked.ticks.start(0)  # a second start is the same ticking
    await ticked.at(1000)
    await ticked.ticks.stop(0)
    await ticked.ticks.stop(0)
    ticked.commit()  # of somebody who is late
    await ticked.at(SILENCE_MS * 3)
    assert ticked.times == [1000]


async def test_a_failing_append_is_counted_and_tried_again(ticked: Ticked) -> None:
    failures = iter([0])
    ticked.log.fault = lambda *_: next(failures, None)
    await ticked.begin()
    await ticked.at(1000)
    assert ticked.ticks.failures == 1
    await ticked.at(1500, 2000)
    assert ticked.times == [2000]
    await ticked.ticks.stop(0)


def test_the_alerts_wait_for_as_long_as_silence_may_last() -> None:
    rules = yaml.safe_load(RULES.read_text())
    alerts = {
        rule["alert"]: rule["expr"]
        for group in rules["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert alerts["RitornoNotReading"].endswith(f"> {STANDSTILL_MS // 1000}")
    assert f"> {STANDSTILL_MS // 1000}" in alerts["RitornoPartitionStandsStill"]
