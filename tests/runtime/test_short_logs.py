"""A partition whose log ends before what was read of it, and whose customers were deaf."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from schemas.dead_letters import refuse
from schemas.records import OutRecord, Record
from schemas.stored import PROGRESS_KEY, Progress, pack_progress
from streams.clock import VirtualClock
from streams.log import Log, LogError, OffsetRange
from streams.operate.check import CheckStatus
from streams.operate.doctor import check_lag
from streams.operate.short_logs import MADE_ANEW, fill_up, follow_up
from streams.runtime.ticks import TICK
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, DEAD_LETTERS, topics
from tests.keys import SIGNER
from tests.runtime.doubles import START, Crash, MemoryLog
from tests.runtime.harness import TP, Harness, memory_house


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = await memory_house()
    await harness.publish()
    await harness.start()
    yield harness
    await harness.stop()


async def _made_anew(harness: Harness) -> None:
    log = harness.log
    assert isinstance(log, MemoryLog)
    await harness.stop()
    log.topics[CUSTOMER_EVENTS] = [[]]
    harness.clock.advance(harness.clock.now() + 60_000)


async def test_a_topic_that_was_made_anew_is_filled_up_and_its_customers_hear_again(
    harness: Harness,
) -> None:
    for _ in range(5):
        await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    applied = harness.customer("anna").applied
    await _made_anew(harness)

    await harness.told("anna", "product.viewed", product_id="moka")  # before anybody notices
    await harness.start()
    async with asyncio.timeout(5):
        await harness.partition_manager.until(lambda: bool(_problem(harness)))
    assert _problem(harness) == (
        "the log of customer-events/0 ends at 1, and was read up to 6: the topic was made anew, or "
        "comes from an older copy. ritorno topics create fills it up"
    )
    check = await check_lag(harness.log, harness.clock)
    assert check.status is CheckStatus.FAIL and check.remedy == "ritorno topics create fills it up"

    assert await _repair(harness.log) == ({0: 1}, 1)
    assert await _repair(harness.log) == ({}, 0)  # nothing to do any more
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert harness.customer("anna").views == 7
    assert harness.customer("anna").applied > applied


async def test_where_an_owner_has_gone_on_in_the_new_log_it_is_filled_up_as_far(
    harness: Harness,
) -> None:
    """So did release 0.1: the last progress lies below what an owner recovers."""
    for _ in range(5):
        await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    await _made_anew(harness)
    await harness.append(TICK)
    progress = pack_progress(Progress(next_offset=1, log_time=START, log_epoch=START))
    await harness.log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, progress)])
    assert await _repair(harness.log) == ({0: 0}, 0)
    await harness.start()
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert harness.customer("anna").views == 6


async def test_nothing_is_read_of_a_log_that_is_empty(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Kafka one would wait for the record, and then say that the broker does not answer."""
    log, read = await _deaf(harness, 0), MemoryLog.read

    def waiting(log: MemoryLog, topic: str, partition: int, start: int, stop: int) -> Any:
        assert stop <= len(log.topics[topic][partition])
        return read(log, topic, partition, start, stop)

    monkeypatch.setattr(MemoryLog, "read", waiting)
    assert await _repair(log) == ({0: 0}, 0)


async def _deaf(harness: Harness, meanwhile: int) -> MemoryLog:
    """A customer who has viewed five times, and events that came where the log was read already."""
    log = harness.log
    assert isinstance(log, MemoryLog)
    for _ in range(5):
        await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    await _made_anew(harness)
    for _ in range(meanwhile):
        await harness.told("anna", "product.viewed", product_id="moka")
    return log


@pytest.mark.parametrize("append", range(5))
@pytest.mark.parametrize("written", [0, 1, None])
async def test_a_kill_at_any_append_loses_no_event_and_counts_none_twice(
    harness: Harness, append: int, written: int | None
) -> None:
    log, left = await _deaf(harness, 3), append

    def kill(_topic: str, _partition: int, records: Sequence[OutRecord]) -> int | None:
        nonlocal left
        left -= 1
        return (len(records) if written is None else written) if left == -1 else None

    log.fault = kill
    with pytest.raises(Crash):
        await _repair(log)
    log.fault = lambda *_: None
    await harness.start()
    await asyncio.sleep(0)  # a worker may be first, and go on, when the ticks are written
    await _repair(log)
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert harness.customer("anna").views == 9


async def test_what_comes_beside_the_ticks_follows_too(harness: Harness) -> None:
    log = await _deaf(harness, 1)
    appended = 0

    def another(topic: str, _partition: int, _records: Sequence[OutRecord]) -> None:
        nonlocal appended
        if topic == CUSTOMER_EVENTS and not appended:  # just before the first ticks
            appended = len(log.topics[topic][0])
            first = log.topics[topic][0][0]
            headers = [(name, b"else" if name == "ce_id" else x) for name, x in first.headers]
            log.topics[topic][0].append(first._replace(offset=appended, headers=headers))

    log.fault = another
    assert await _repair(log) == ({0: 2}, 2)
    await harness.start()
    await harness.catch_up()
    assert harness.customer("anna").views == 7


async def test_nothing_but_events_is_set_aside(harness: Harness) -> None:
    log = await _deaf(harness, 1)
    await harness.append(TICK)
    assert await _repair(log) == ({0: 1}, 1)


class PendingLog(MemoryLog):
    """A producer's transaction is open: its records, the last ones, can't be read yet."""

    pending = 0

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        spans = await super().offsets(topic)
        if topic != CUSTOMER_EVENTS:
            return spans
        return {
            number: OffsetRange(span.start, span.end - self.pending, self.pending)
            for number, span in spans.items()
        }


@pytest.fixture
async def pending() -> AsyncIterator[Harness]:
    clock = VirtualClock(START)
    log = PendingLog(clock)
    await log.create_topics(topics(1))
    harness = Harness(log, clock, None)
    await harness.publish()
    await harness.start()
    yield harness
    await harness.stop()


async def test_a_log_is_not_short_while_a_transaction_is_open_that_was_read_already(
    pending: Harness,
) -> None:
    log = pending.log
    assert isinstance(log, PendingLog)
    for _ in range(5):
        await pending.told("anna", "product.viewed", product_id="moka")
    await pending.catch_up()
    await pending.stop()
    log.pending = 4
    await pending.start()
    async with asyncio.timeout(5):
        await pending.partition_manager.until(
            lambda: bool(_problem(pending)) or pending.partition_manager.health()[TP].is_open
        )
    assert _problem(pending) == ""
    assert (await check_lag(log, pending.clock)).status is CheckStatus.OK
    count = len(log.records(CUSTOMER_EVENTS))
    assert await _repair(log) == ({}, 0)
    assert len(log.records(CUSTOMER_EVENTS)) == count


async def test_what_an_open_transaction_may_still_commit_is_not_passed_over(
    pending: Harness,
) -> None:
    log = await _deaf(pending, 2)
    assert isinstance(log, PendingLog)
    log.pending = 1
    with pytest.raises(LogError, match=r"customer-events/0 can.t be filled up.*from offset 1"):
        await _repair(log)
    assert len(log.records(CUSTOMER_EVENTS)) == 2 and not log.records(DEAD_LETTERS)


async def test_letters_that_we_have_not_signed_do_not_follow(harness: Harness) -> None:
    event = Record(CUSTOMER_EVENTS, 0, 0, START, b"anna", b"{}", ())
    letter = refuse(event, reason=MADE_ANEW, detail="", time=START)
    await harness.log.append(DEAD_LETTERS, 0, [letter])
    assert await _repair(harness.log) == ({}, 0)


async def _repair(log: Log) -> tuple[dict[int, int], int]:
    """What `ritorno topics create` does."""
    filled = await fill_up(log, lambda: SIGNER)
    return filled, (await follow_up(log, lambda: SIGNER)).resent


def _problem(harness: Harness) -> str:
    health = harness.partition_manager.health()[TP]
    return "" if health.is_open else health.reason
