"""A partition whose log ends before what was read of it, and whose customers were deaf."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from streams.operate.check import CheckStatus
from streams.operate.doctor import check_lag
from streams.operate.short_logs import fill_up
from streams.topology import CUSTOMER_EVENTS
from tests.runtime.doubles import MemoryLog
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


def _problem(harness: Harness) -> str:
    health = harness.partition_manager.health()[TP]
    return "" if health.is_open else health.reason
