"""A broker's clock leaps days ahead: its partition waits, decides nothing, and goes on as a person
rules, live and replayed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from schemas.controls import control_record
from schemas.events import TIME_RULING
from schemas.records import OutRecord, Record
from schemas.time_rulings import TimeRuling, decode_time_ruling, encode_time_ruling
from schemas.time_units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from streams.clock import SteadyClock, VirtualClock
from streams.operate import ruling
from streams.runtime.ticks import TICK
from streams.runtime.time_guard import LIMIT_MS, AheadOfClock, TimeGuard
from streams.topology import CUSTOMER_EVENTS
from tests.keys import SIGNER
from tests.runtime.doubles import START, MemoryLog
from tests.runtime.harness import REMINDER, TP, Harness, memory_house

LEAP = 5 * DAY_MS


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = await memory_house()
    await harness.publish(REMINDER.replace("WAIT", "2d"))
    await harness.start()
    yield harness
    await harness.stop()


def broker(harness: Harness) -> MemoryLog:
    assert isinstance(harness.log, MemoryLog)
    return harness.log


def leap(harness: Harness, by: int = LEAP) -> None:
    broker(harness).clock = VirtualClock(harness.clock.now() + by)


def mend(harness: Harness) -> None:
    harness.clock.advance(harness.clock.now() + MINUTE_MS)
    broker(harness).clock = harness.clock


async def waits(harness: Harness) -> str:
    """Deliver what there is and return why the partition waits at last."""
    manager = harness.partition_manager
    async with asyncio.timeout(5):
        await manager.until(lambda: TP in manager.wanted())
        want = manager.wanted()[TP]
        batch = manager.deliver(TP, want, await harness.read(CUSTOMER_EVENTS, want.offset))
        assert batch is not None
        await harness.runtime.process(batch)
        await manager.until(lambda: bool(manager.problems()))
    return manager.problems()[TP]


async def ruled(harness: Harness, at: int | None = None) -> dict[int, TimeRuling]:
    clock = harness.clock
    ahead = await ruling.waiting(harness.log, clock, LIMIT_MS)
    return await ruling.rule(harness.log, SIGNER, ahead, latest=clock.now() + LIMIT_MS, at=at)


async def test_nothing_is_decided_until_somebody_rules_and_replay_obeys_him(
    harness: Harness,
) -> None:
    await harness.told("anna", "product.viewed", product_id="moka")
    leap(harness)
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.told("bruno", "product.viewed", product_id="moka")
    reason = await waits(harness)
    assert "was stamped 2026-03-06T09:00:00Z, and here it is 2026-03-01T09:00:00Z" in reason
    assert "ritorno clock rule" in reason
    kept = (await harness.kept())[b"anna"]
    mend(harness)
    rulings = await ruled(harness)
    assert list(rulings) == [0] and rulings[0].time == START + MINUTE_MS
    await harness.catch_up()
    assert harness.customer("anna").views == 2
    assert "reminded" not in harness.customer("anna").tags, "two days have not passed"
    assert harness.runtime.log_time(0) == START + MINUTE_MS
    assert (await harness.kept())[b"anna"] != kept
    await harness.pass_time(2 * DAY_MS // 1000)
    await harness.catch_up()
    assert "reminded" in harness.customer("anna").tags
    await harness.check_replay()


async def test_a_new_owner_obeys_the_same(harness: Harness) -> None:
    """Also one who comes after the ruling and has never waited, and one after a kill in between."""
    leap(harness)
    await harness.told("anna", "product.viewed", product_id="moka")
    await waits(harness)
    mend(harness)
    await ruled(harness)
    killed = asyncio.Event()

    def kill(topic: str, _partition: int, records: Sequence[OutRecord]) -> int | None:
        if any(record.value and b'"obeyed":true' in record.value for record in records):
            killed.set()
            harness.kill()
            return 0  # the progress has the ruling, the log not yet
        return None

    broker(harness).fault = kill
    async with asyncio.timeout(5):
        await killed.wait()
    broker(harness).fault = lambda *_: None
    await harness.start()
    await harness.catch_up()
    assert harness.customer("anna").views == 1
    await harness.stop()
    await harness.start()
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    await harness.check_replay()


async def test_the_wait_ends_by_itself_and_a_ruling_that_comes_too_late_means_nothing(
    harness: Harness,
) -> None:
    leap(harness, 3 * HOUR_MS)
    await harness.told("anna", "product.viewed", product_id="moka")
    await waits(harness)
    ahead = await ruling.waiting(harness.log, harness.clock, LIMIT_MS)
    harness.clock.advance(START + 2 * HOUR_MS)
    await harness.catch_up()
    assert harness.runtime.log_time(0) == START + 3 * HOUR_MS
    broker(harness).clock = harness.clock
    await ruling.rule(harness.log, SIGNER, ahead, latest=harness.clock.now() + LIMIT_MS)
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    await harness.check_replay()


@pytest.mark.parametrize("forged", ["unsigned", "other partition", "other log", "does not cover"])
async def test_who_is_not_believed_ends_no_wait(harness: Harness, forged: str) -> None:
    leap(harness)
    at = await harness.told("anna", "product.viewed", product_id="moka")
    await waits(harness)
    mend(harness)
    start = at + 1 if forged == "does not cover" else at
    value = encode_time_ruling(
        TimeRuling(start, at + 9, START),
        partition=1 if forged == "other partition" else 0,
        log_epoch=START + 1 if forged == "other log" else START,
    )
    record = control_record(TIME_RULING, value)
    await harness.append(record if forged == "unsigned" else SIGNER.sign(CUSTOMER_EVENTS, record))
    failures = harness.partition_manager.health()[TP].failures
    async with asyncio.timeout(5):
        await harness.partition_manager.until(
            lambda: harness.partition_manager.health()[TP].failures > failures + 2
        )
    assert not harness.partition_manager.health()[TP].is_open


async def test_nobody_rules_while_the_clock_is_wrong_or_what_can_not_be(harness: Harness) -> None:
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    leap(harness)
    await harness.told("anna", "product.viewed", product_id="moka")
    with pytest.raises(ruling.NotRuled, match="the log's clock still says 2026-03-06T09:00:00Z"):
        await ruled(harness)
    mend(harness)
    for at in (START - 1, START + 3 * HOUR_MS):
        with pytest.raises(ruling.NotRuled, match=r"--at 2026-03-01T.*partition 0 has come to"):
            await ruled(harness, at)
    assert (await ruled(harness, START))[0].time == START
    await harness.catch_up()
    assert harness.customer("anna").views == 2
    assert await ruled(harness) == {}


async def test_a_clock_that_goes_back_or_a_quiet_night_is_let_pass(harness: Harness) -> None:
    await harness.told("anna", "product.viewed", product_id="moka")
    broker(harness).clock = VirtualClock(START - DAY_MS)
    await harness.append(TICK)
    await harness.catch_up()
    harness.clock.advance(START + DAY_MS)
    broker(harness).clock = harness.clock
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert harness.customer("anna").views == 2


def test_what_is_within_the_limit_is_read_and_the_rest_is_told() -> None:
    guard = TimeGuard(MemoryLog(), VirtualClock(START), SIGNER)
    stamps = (START, START + LIMIT_MS, START + LIMIT_MS + 1, START)
    records = [Record(CUSTOMER_EVENTS, 3, 7 + n, t, None, b"", ()) for n, t in enumerate(stamps)]
    assert guard.in_time(3, records, ()) == records[:2]
    assert guard.ahead() == {3: LIMIT_MS + 1}
    assert isinstance(guard.refusal(3), AheadOfClock)
    assert guard.in_time(3, records, (TimeRuling(9, 10, START),)) == records
    guard.keep_only([2])
    assert guard.ahead() == {}


@pytest.mark.parametrize(
    "value", [b"", b"[]", b"{}", b"[" * 100_000, encode_time_ruling(TimeRuling(1, 2, 3), 1, 0)]
)
def test_rulings_that_are_none(value: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_time_ruling(value, 0)


def test_a_steady_clock_believes_drift_and_going_back_and_no_leap() -> None:
    wall, passed = [START], [0]

    class Wall(VirtualClock):
        def now(self) -> int:
            return wall[0]

    clock = SteadyClock(Wall(START), lambda: passed[0])
    wall[0], passed[0] = START + DAY_MS + SECOND_MS, DAY_MS
    assert clock.now() == wall[0], "a day has passed, and the clock is a second off"
    wall[0] += 2 * HOUR_MS
    passed[0] += SECOND_MS
    assert clock.now() == START + DAY_MS + 2 * SECOND_MS
    wall[0] = START
    assert clock.now() == START
