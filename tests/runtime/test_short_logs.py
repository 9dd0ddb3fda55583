"""A partition whose log ends before what was read of it, and whose customers were deaf."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from schemas.records import OutRecord
from schemas.stored import PROGRESS_KEY, Progress, pack_progress
from streams.operate.check import CheckStatus
from streams.operate.doctor import check_lag
from streams.operate.short_logs import fill_up
from streams.runtime.ticks import TICK
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG
from tests.runtime.doubles import START, MemoryLog
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

    assert await fill_up(harness.log) == {0: 1}
    assert await fill_up(harness.log) == {}  # nothing to do any more
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
    assert await fill_up(harness.log) == {0: 1}
    await harness.start()
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    assert harness.customer("anna").views == 6


def _problem(harness: Harness) -> str:
    health = harness.partition_manager.health()[TP]
    return "" if health.is_open else health.reason
