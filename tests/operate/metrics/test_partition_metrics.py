"""What is said of each partition, and how far each is behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from schemas.records import OutRecord, Record
from streams.log import LogUnavailable
from streams.operate.metrics import Metrics
from streams.operate.partition_metrics import REBALANCE_BUCKETS
from streams.runtime.loop_delay import EVERY, watch_loop
from streams.runtime.partition_lag import PartitionLag
from streams.runtime.state.memory import open_memory
from streams.runtime.state.rocks import RocksStores
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager
from streams.topology import CUSTOMER_EVENTS
from tests.runtime.doubles import MemoryLog, memory_log

FIRST, SECOND = TopicPartition(CUSTOMER_EVENTS, 0), TopicPartition(CUSTOMER_EVENTS, 1)


class Source:
    session_timeout = 10.0

    def heartbeat_age(self) -> float:
        return 0.0

    def refusal(self) -> str:
        return ""

    async def first_offset(self, tp: TopicPartition) -> int:
        return 3


class Owner:
    """Opens the first partition; the other one fails until it is told otherwise."""

    fails = True

    async def opened(self, tp: TopicPartition) -> int | None:
        if tp == SECOND and self.fails:
            raise RuntimeError("its state is gone")
        return 4

    async def closed(self, tp: TopicPartition) -> None:
        pass


@pytest.fixture
async def owner() -> Owner:
    return Owner()


@pytest.fixture
async def partitions(owner: Owner) -> PartitionManager:
    partitions = PartitionManager(pause=lambda _: asyncio.sleep(0))
    partitions.attach(Source())
    partitions.own(CUSTOMER_EVENTS, owner)
    return partitions


@pytest.fixture
async def log() -> MemoryLog:
    log = await memory_log(partitions=2)
    for number in (0, 1):
        await log.append(CUSTOMER_EVENTS, number, [OutRecord(b"k", b"v")] * 10)
    return log


def value(metrics: Metrics, name: str, tp: TopicPartition | None = None) -> float | None:
    labels = {} if tp is None else {"topic": tp.topic, "partition": str(tp.partition)}
    return metrics.registry.get_sample_value(name, labels)


async def test_one_that_opens_hides_none_that_does_not(
    partitions: PartitionManager, owner: Owner
) -> None:
    metrics = Metrics()
    metrics.watch_partitions(partitions)
    assert value(metrics, "ritorno_partition_open", FIRST) is None  # another worker's
    partitions.assigned([FIRST, SECOND])
    async with asyncio.timeout(5):
        await partitions.until(lambda: partitions.failed_openings()[SECOND] > 2)
    assert value(metrics, "ritorno_partition_open", FIRST) == 1
    assert value(metrics, "ritorno_partition_open", SECOND) == 0
    failed = "ritorno_partition_failed_openings_total"
    assert value(metrics, failed, FIRST) == 0
    assert value(metrics, failed, SECOND) == partitions.counts.failed_openings
    owner.fails = False
    async with asyncio.timeout(5):
        await partitions.until(lambda: SECOND in partitions.open())
    assert value(metrics, "ritorno_partition_open", SECOND) == 1
    await partitions.stop()
    assert value(metrics, "ritorno_partition_open", SECOND) is None


async def test_lag_is_what_waits_in_each_partition(
    partitions: PartitionManager, log: MemoryLog
) -> None:
    metrics, lag = Metrics(), PartitionLag(log, partitions, [CUSTOMER_EVENTS])
    metrics.watch_lag(lag)
    partitions.assigned([FIRST, SECOND])
    async with asyncio.timeout(5):
        await partitions.until(lambda: FIRST in partitions.open())
    await lag.look()
    assert value(metrics, "ritorno_partition_lag", FIRST) == 6
    # Never opened here: by what the group has committed.
    assert value(metrics, "ritorno_partition_lag", SECOND) == 7
    assert metrics.registry.get_sample_value(
        "ritorno_topic_partitions", {"topic": CUSTOMER_EVENTS}
    ) == 2  # fmt: skip
    batch = partitions.deliver(
        FIRST,
        partitions.wanted()[FIRST],
        [Record(*FIRST, offset, 0, b"k", b"v") for offset in (4, 5)],
    )
    assert batch is not None
    async with partitions.enter(batch) as lease:
        assert lease is not None
        lease.done(6)
    await lag.look()
    assert value(metrics, "ritorno_partition_lag", FIRST) == 4
    await partitions.stop()
    assert value(metrics, "ritorno_partition_lag", FIRST) is None


async def test_a_lag_does_not_end_because_the_broker_is_away(
    partitions: PartitionManager, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    lag = PartitionLag(log, partitions, [CUSTOMER_EVENTS])
    partitions.assigned([FIRST])
    async with asyncio.timeout(5):
        await partitions.until(lambda: FIRST in partitions.open())
    await lag.look()

    async def away(_: str) -> None:
        raise LogUnavailable("no answer")

    monkeypatch.setattr(log, "offsets", away)
    await lag.look()
    assert lag.waiting() == {FIRST: 6}
    await partitions.stop()


async def test_rebalances_are_counted_with_their_length(partitions: PartitionManager) -> None:
    metrics = Metrics()
    metrics.watch_partitions(partitions)
    partitions.on_rebalance(REBALANCE_BUCKETS[1])
    count, seconds = "ritorno_rebalance_seconds_count", "ritorno_rebalance_seconds_sum"
    assert (value(metrics, count), value(metrics, seconds)) == (1, REBALANCE_BUCKETS[1])


async def test_each_partition_says_how_much_it_keeps(tmp_path: Path) -> None:
    metrics, stores = Metrics(), RocksStores(tmp_path)
    kept = {FIRST: open_memory(FIRST), SECOND: stores(SECOND)}
    metrics.watch_state(lambda: kept)
    for number, store in enumerate(kept.values()):
        store.write([(b"%d" % each, bytes(100)) for each in range(10 + number)], 20)
    records, size = "ritorno_partition_state_records", "ritorno_partition_state_bytes"
    assert [value(metrics, records, tp) for tp in kept] == [10, 11]
    assert value(metrics, size, FIRST) == 10 * 101
    assert (value(metrics, size, SECOND) or 0) > 11 * 101
    kept[SECOND].close()  # a store that fails hides no other
    assert [value(metrics, records, tp) for tp in kept] == [10, None]


async def test_whoever_keeps_the_event_loop_is_seen() -> None:
    class Enough(Exception):
        pass

    seen: list[float] = []
    loop = asyncio.get_running_loop()

    async def pause(seconds: float) -> None:
        if len(seen) == 2:
            raise Enough
        # Nothing runs meanwhile: the first time it takes twice as long as asked for.
        began = loop.time()
        while loop.time() - began < seconds * (1 if seen else 2):
            pass

    with pytest.raises(Enough):
        await watch_loop(seen.append, pause=pause)
    assert seen[0] >= EVERY > seen[1]
