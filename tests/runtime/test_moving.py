"""What is kept goes on at another broker: nothing counts twice, nothing unread is left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from schemas.records import OutRecord
from schemas.signing import NUMBER
from streams.clock import VirtualClock
from streams.log import GroupMember
from streams.operate.moving import NotCopied, copy
from streams.operate.short_logs import fill_up
from streams.partitioner import partition_of
from streams.runtime.ticks import TICK
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, DEAD_LETTERS, topics
from tests.keys import SIGNER
from tests.runtime.doubles import START, MemoryLog
from tests.runtime.harness import REMINDER, Harness, memory_house


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = await memory_house()
    await harness.publish(REMINDER.replace("WAIT", "2d"))
    await harness.start()
    for _ in range(5):
        await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()
    yield harness
    await harness.stop()


def elsewhere(harness: Harness) -> MemoryLog:
    log = MemoryLog(VirtualClock(harness.clock.now() + 60_000))
    log.ids = {CUSTOMER_EVENTS: "its own"}
    return log


async def test_customers_go_on_there_with_what_was_not_read_here(harness: Harness) -> None:
    source, target = harness.log, elsewhere(harness)
    assert isinstance(source, MemoryLog)
    await harness.stop()
    await harness.told("anna", "product.viewed", product_id="moka")
    await harness.append(TICK)
    # Somebody has given the topic another partition, and a producer has used it.
    source.topics[CUSTOMER_EVENTS].append([])
    before = len(source.records(CUSTOMER_EVENTS)) - 2
    await harness.told("bruno", "product.viewed", product_id="moka")
    source.topics[CUSTOMER_EVENTS][1].append(source.topics[CUSTOMER_EVENTS][0].pop())
    source.topics[CUSTOMER_EVENTS][1][0] = source.topics[CUSTOMER_EVENTS][1][0]._replace(
        partition=1, offset=0
    )
    report = await copy(source, target, SIGNER)
    assert report.partitions == 1 and report.unread[CUSTOMER_EVENTS] == 2
    assert await fill_up(target, lambda: SIGNER) == {}, "it goes on as it is"
    assert len(target.records(CUSTOMER_EVENTS)) == before + 1 + 2
    clock = target.clock
    assert isinstance(clock, VirtualClock)
    there = Harness(target, clock, None)
    await there.start()
    await there.catch_up()
    assert there.customer("anna").views == 6
    assert there.customer("bruno").views == 1
    clock.advance(START + 3 * 86_400_000)
    await there.append(TICK)
    await there.catch_up()
    assert "reminded" in there.customer("anna").tags, "what is live there is what was live here"
    assert await there.letters() == []
    await there.stop()


async def test_what_would_not_be_whole_is_not_begun(harness: Harness) -> None:
    source = harness.log
    assert isinstance(source, MemoryLog)
    with pytest.raises(NotCopied, match="the old broker lacks customers-changelog, "):
        await copy(MemoryLog(), elsewhere(harness), SIGNER)
    target = elsewhere(harness)
    await target.create_topics(topics(3))
    with pytest.raises(NotCopied, match="customer-events has 3 partitions, and 1 are needed"):
        await copy(source, target, SIGNER)
    target = elsewhere(harness)
    await target.create_topics(topics(1))
    await target.append(DEAD_LETTERS, 0, [OutRecord(None, b"")])
    with pytest.raises(NotCopied, match="dead-letters is not empty"):
        await copy(source, target, SIGNER)

    class InUse(MemoryLog):
        async def members(self, group: str) -> list[GroupMember]:  # type: ignore[override]
            return [GroupMember(b"", {}, "worker-1")]

    used = InUse()
    used.topics, used.specs = source.topics, source.specs
    target = elsewhere(harness)
    with pytest.raises(NotCopied, match="workers are still reading"):
        await copy(used, target, SIGNER)
    assert target.topics == {}


async def test_many_records_are_copied_in_order(harness: Harness) -> None:
    source, target = harness.log, elsewhere(harness)
    await source.append(
        CUSTOMERS_CHANGELOG,
        0,
        [OutRecord(b"k%d" % n, None, ((NUMBER, b"1"),)) for n in range(1_200)],
    )
    report = await copy(source, target, SIGNER)
    assert report.kept[CUSTOMERS_CHANGELOG] > 1_200
    copied = [tuple(record)[4:] for record in target.records(CUSTOMERS_CHANGELOG)]
    assert copied == [tuple(record)[4:] for record in await harness.read(CUSTOMERS_CHANGELOG)]
    assert partition_of(b"anna", 1) == 0
