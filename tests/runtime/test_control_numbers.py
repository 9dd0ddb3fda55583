"""A later control record has a higher number, whoever publishes, whenever, and by which clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest

from schemas.products import Product
from schemas.records import OutRecord
from schemas.signing import NUMBER, number_of
from streams.clock import VirtualClock
from streams.log import LogError
from streams.runtime import product_feed
from streams.runtime.control_numbers import BEGUN, RESERVATION, is_overtaken, reserve
from streams.topology import CUSTOMER_EVENTS, PRODUCTS, WORKFLOWS, topics
from tests.keys import SIGNER
from tests.runtime.doubles import START, Crash, MemoryLog, memory_log

FEED = [Product(sku=f"s{number}", name="n", price="1.00", currency="EUR") for number in range(150)]


async def test_numbers_rise() -> None:
    log = await memory_log()
    one, two = await reserve(log, WORKFLOWS), await reserve(log, WORKFLOWS)
    assert one.number < two.number
    assert await is_overtaken(log, one)
    assert not await is_overtaken(log, two)
    assert number_of(two.on(OutRecord(None, b"")).headers) == two.number


async def test_they_rise_over_a_topic_that_was_made_anew() -> None:
    clock = VirtualClock(START)
    log = await memory_log(clock=clock)
    for _ in range(3):
        before = await reserve(log, WORKFLOWS)
    clock.advance(START + 1)
    other = MemoryLog(clock)
    await other.create_topics(topics(2))
    assert (await reserve(other, WORKFLOWS)).number > before.number


async def test_a_feed_is_numbered_and_signed() -> None:
    log = await memory_log()
    await product_feed.publish(log, FEED, SIGNER)
    controls = log.records(CUSTOMER_EVENTS)
    assert len(controls) == 4  # two for each partition
    assert len({record.header(NUMBER) for record in controls}) == 1
    for record in controls:
        SIGNER.check(CUSTOMER_EVENTS, record)
    assert await product_feed.read(log) == {product.sku: product for product in FEED}
    assert (await product_feed.publish(log, FEED, SIGNER)).changed == 0
    assert log.records(CUSTOMER_EVENTS) == controls


async def test_a_partition_that_was_made_anew_is_told_of_all_products() -> None:
    log = await memory_log()
    await product_feed.publish(log, FEED, SIGNER)
    log.topics[CUSTOMER_EVENTS][1].clear()
    assert (await product_feed.publish(log, FEED[:1], SIGNER)).changed == len(FEED)
    assert len(log.topics[CUSTOMER_EVENTS][1]) == 2
    assert (await product_feed.publish(log, FEED[:1], SIGNER)).changed == 0


@pytest.mark.parametrize("topic", [CUSTOMER_EVENTS, PRODUCTS])
async def test_the_feed_before_is_told_whole_after_one_that_did_not_end(topic: str) -> None:
    log = await memory_log()
    await product_feed.publish(log, FEED, SIGNER)
    cheaper = [FEED[0].model_copy(update={"price": Decimal("0.50")}), *FEED[1:]]

    def dies(told: str, partition: int, records: Sequence[OutRecord]) -> int | None:
        mine = told == topic and records[0].key not in (RESERVATION, BEGUN)
        return 0 if mine and partition == log_end else None

    log_end = 1 if topic == CUSTOMER_EVENTS else 0
    log.fault = dies
    with pytest.raises(Crash):
        await product_feed.publish(log, cheaper, SIGNER)
    log.fault = lambda *_: None
    assert (await product_feed.publish(log, FEED, SIGNER)).changed == len(FEED)
    for part in log.topics[CUSTOMER_EVENTS]:
        latest = max(number_of(record.headers) or 0 for record in part)
        told = [record for record in part if number_of(record.headers) == latest]
        assert len(told) == 2, "all of it, last of all"
    assert (await product_feed.publish(log, FEED, SIGNER)).changed == 0


async def test_two_feeds_at_once_are_told_until_nobody_is_overtaken() -> None:
    log = await memory_log()
    others = 2

    class Busy:
        """Somebody else reserves a number whenever a control record is appended."""

        def __call__(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
            nonlocal others
            if topic == CUSTOMER_EVENTS and partition == 0 and others:
                others -= 1
                log.topics[PRODUCTS][0].append(
                    log.topics[PRODUCTS][0][0]._replace(offset=len(log.topics[PRODUCTS][0]))
                )

    log.fault = Busy()
    await product_feed.publish(log, FEED[:1], SIGNER)
    told = [int(record.header(NUMBER) or b"") for record in log.topics[CUSTOMER_EVENTS][1]]
    assert told == sorted(set(told))
    assert len(told) == 3
    others = 100
    with pytest.raises(LogError, match="published by others"):
        await product_feed.publish(log, FEED[1:2], SIGNER)


async def test_they_rise_when_the_clock_of_the_broker_goes_back() -> None:
    clock = BackwardClock(START)
    log = await memory_log(clock=clock)
    numbers = [(await reserve(log, WORKFLOWS)).number]
    for _ in range(3):
        clock.at -= 3_600_000
        numbers.append((await reserve(log, WORKFLOWS)).number)
    part = log.topics[WORKFLOWS][0]
    part[:-1] = [each._replace(key=b"compacted") for each in part[:-1]]
    clock.at -= 3_600_000
    numbers.append((await reserve(log, WORKFLOWS)).number)
    assert numbers == sorted(set(numbers))


async def test_they_rise_although_two_have_looked_for_the_last_one_at_once() -> None:
    clock = BackwardClock(START)
    log = await memory_log(clock=clock)
    first = (await reserve(log, PRODUCTS)).number
    clock.at -= 3_600_000
    both = await asyncio.gather(reserve(log, PRODUCTS), reserve(log, PRODUCTS))
    one, two = sorted(both, key=lambda each: each.offset)
    assert first < one.number < two.number


async def test_the_last_one_is_found_far_from_the_end() -> None:
    clock = BackwardClock(START)
    log = await memory_log(clock=clock)
    before = await reserve(log, PRODUCTS)
    await log.append(PRODUCTS, 0, [OutRecord(b"s", b"{}")] * 20_000)
    clock.at -= 3_600_000
    assert (await reserve(log, PRODUCTS)).number == before.number + 1


class BackwardClock(VirtualClock):
    """A clock that somebody sets."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at

    def now(self) -> int:
        return self.at
