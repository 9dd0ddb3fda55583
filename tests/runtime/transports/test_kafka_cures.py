"""One test for each way in which Faust's stock driver lost events on real Kafka.

`streams/runtime/transports/kafka.py` numbers the cures. Each test tells the story of the loss; each
has been seen failing with its cure taken out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from streams.log import Log, TopicSpec
from streams.runtime.transports.assigned_partition import BatchLease
from streams.runtime.transports.batch import PartitionBatch, TopicPartition
from streams.runtime.transports.kafka import BATCH_RECORDS
from tests.broker import KafkaBroker
from tests.runtime.transports.kafka_backend import KafkaWorkers, unique
from tests.runtime.transports.machine import (
    TIMEOUT,
    CountingOwner,
    Failure,
    append_numbers,
    numbers,
    running,
)
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

MANY = 3 * BATCH_RECORDS
"""Enough for several fetches, so that some records are always on their way."""


@pytest.fixture
async def backend(kafka_broker: KafkaBroker, tmp_path: Path) -> AsyncIterator[KafkaWorkers]:
    backend = KafkaWorkers(kafka_broker, tmp_path)
    yield backend
    await backend.close()


@pytest.fixture
async def log(backend: KafkaWorkers) -> Log:
    return await backend.open_log()


@pytest.fixture
async def topic(log: Log) -> str:
    name = unique("cures")
    await log.create_topics([TopicSpec(name=name, partitions=2)])
    return name


@pytest.fixture
def group() -> str:
    return unique("group")


async def test_1_without_a_committed_offset_nothing_fetched_is_skipped(
    backend: KafkaWorkers, log: Log, topic: str, group: str
) -> None:
    """Faust sought partitions to their committed offset. One that had none stayed at its fetch
    position: the first records, fetched and then dropped from the buffers by a rebalance or a
    failure before the first commit, were never seen again.
    """
    owner = CountingOwner()
    failing = True
    failures = 0

    async def fail_at_first(batch: PartitionBatch, lease: BatchLease) -> None:
        nonlocal failures
        if failing:
            failures += 1
            raise Failure

    owner.before_done = fail_at_first
    await append_numbers(log, topic, 0, 0, MANY)
    async with running(backend, log, group, {topic: owner}) as app:
        await owner.until(lambda: owner.count("failed") >= 2)  # within one assignment
        await backend.rejoin(app)  # and over a rebalance
        seen = failures
        await owner.until(lambda: failures > seen)
        assert await backend.committed(group) == {}
        failing = False
        await owner.until(lambda: owner.total() >= MANY)
    assert numbers(owner.taken[TopicPartition(topic, 0)]) == list(range(MANY))


async def test_2_nothing_is_read_before_the_partition_is_open(
    backend: KafkaWorkers, log: Log, topic: str, group: str
) -> None:
    """Faust resumed the source partitions and then sought them. What was delivered in between was
    thrown away when flow resumed, but had moved the read position, so that the same records, when
    they were fetched again, were dropped as old.
    """
    tp = TopicPartition(topic, 0)
    owner = CountingOwner()
    recovered = asyncio.Event()

    async def recover(opening: TopicPartition) -> None:
        if opening == tp:
            await recovered.wait()

    owner.before_opening = recover
    owner.starts[tp] = 500
    await append_numbers(log, topic, 0, 0, MANY)
    await append_numbers(log, topic, 1, 0, MANY)
    async with running(backend, log, group, {topic: owner}) as app:
        # The other partition is read to its end meanwhile, also over a rebalance.
        await owner.until(lambda: len(owner.taken[TopicPartition(topic, 1)]) >= MANY)
        await backend.rejoin(app)
        await append_numbers(log, topic, 1, MANY, 10)
        await owner.until(lambda: len(owner.taken[TopicPartition(topic, 1)]) >= MANY + 10)
        assert owner.taken[tp] == []
        recovered.set()
        await owner.until(lambda: len(owner.taken[tp]) >= MANY - 500)
    assert numbers(owner.taken[tp]) == list(range(500, MANY))
    assert numbers(owner.taken[TopicPartition(topic, 1)]) == list(range(MANY + 10))


async def test_3_an_event_whose_agent_failed_is_not_done(
    backend: KafkaWorkers, log: Log, topic: str, group: str
) -> None:
    """Faust acknowledged an event whose agent's body had raised or was cancelled, went on with the
    next one and committed past both at shutdown.
    """
    owner = CountingOwner()
    failures = 0

    class Careless(CountingOwner):
        async def process(self, partition_manager: Any, batch: PartitionBatch) -> None:
            nonlocal failures
            if failures < 2:
                failures += 1
                raise Failure  # before it has entered the partition manager, so only Faust knows
            await owner.process(partition_manager, batch)

    await append_numbers(log, topic, 0, 0, MANY)
    async with running(backend, log, group, {topic: Careless()}) as app:
        await owner.until(lambda: owner.total() >= MANY)
        assert app.partition_manager.counts.reopened == 2
    assert numbers(owner.taken[TopicPartition(topic, 0)]) == list(range(MANY))


async def test_3_an_event_whose_agent_was_cancelled_at_the_stop_is_not_committed(
    backend: KafkaWorkers, log: Log, topic: str, group: str
) -> None:
    """The same at shutdown: the batch whose body is cancelled must come again."""
    owner = CountingOwner()
    fail = True

    async def give_up(batch: PartitionBatch, lease: BatchLease) -> None:
        if fail:
            raise Failure

    owner.before_done = give_up
    await append_numbers(log, topic, 0, 0, 100)
    async with running(backend, log, group, {topic: owner}):
        await owner.until(lambda: owner.count("failed") >= 1)
    assert await backend.committed(group) == {}
    fail = False
    async with running(backend, log, group, {topic: owner}):
        await owner.until(lambda: owner.total() >= 100)
    assert numbers(owner.taken[TopicPartition(topic, 0)]) == list(range(100))


async def test_4_the_next_owner_waits_for_the_batch_in_flight(
    backend: KafkaWorkers, log: Log, topic: str, group: str
) -> None:
    """Faust let a partition go while a batch of it was in flight: the batch wrote its results after
    the new owner had recovered, and the new owner did the same work again without them.
    """
    leaving, joining = CountingOwner(), CountingOwner()
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def dawdle(batch: PartitionBatch, lease: BatchLease) -> None:
        entered.set()
        await go_on.wait()

    leaving.before_done = dawdle
    for partition in range(2):
        await append_numbers(log, topic, partition, 0, MANY)

    async def join() -> None:
        async with running(backend, log, group, {topic: joining}):
            await eventually(
                lambda: leaving.total() + joining.total() >= 2 * MANY, "both have read all"
            )

    async with running(backend, log, group, {topic: leaving}):
        await entered.wait()
        joined = asyncio.create_task(join())
        try:
            await leaving.until(lambda: leaving.count("closed") == 1)  # the partition that is idle
            assert joining.history == []
        finally:
            go_on.set()
        await joined
    assert joining.count("opened") == 1
    for partition in range(2):
        tp = TopicPartition(topic, partition)
        # Each record once, and where one stopped the other went on.
        taken = numbers([*leaving.taken[tp], *joining.taken[tp]])
        assert sorted(taken) == list(range(MANY))


async def test_5_the_offsets_within_a_batch_are_not_taken_for_done(
    backend: KafkaWorkers, log: Log, topic: str, group: str
) -> None:
    """A batch event carries only its last offset. Faust took the offsets before it for a gap in the
    log, which counts as acknowledged at once, and committed records that nobody had processed.
    """
    tp = TopicPartition(topic, 0)
    owner = CountingOwner()

    class HalfDone(CountingOwner):
        async def process(self, partition_manager: Any, batch: PartitionBatch) -> None:
            async with partition_manager.enter(batch) as lease:
                if lease is not None:
                    lease.done(batch.records[0].offset + 40)
                    self._note("batch", batch.tp)

    await append_numbers(log, topic, 0, 0, 100)
    half = HalfDone()
    async with running(backend, log, group, {topic: half}) as app:
        await half.until(lambda: half.count("batch") == 1)
        async with asyncio.timeout(TIMEOUT):
            await app.partition_manager.until(lambda: app.partition_manager.counts.commits >= 1)
        assert (await backend.committed(group))[tp] == 40
    assert (await backend.committed(group))[tp] == 40
    async with running(backend, log, group, {topic: owner}):
        await owner.until(lambda: owner.total() >= 60)
    assert numbers(owner.taken[tp]) == list(range(40, 100))


async def test_6_a_fetch_from_elsewhere_is_repeated(
    backend: KafkaWorkers, log: Log, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard for what we have not thought of: each of the five above showed itself as a fetch
    that began after the offset it should have begun at.
    """
    owner = CountingOwner()
    await append_numbers(log, topic, 0, 0, MANY)
    async with running(backend, log, group, {topic: owner}) as app:
        await owner.until(lambda: owner.total() >= MANY)
        thread = app.consumer._thread
        tp = next(tp for tp in thread._consumer.assignment() if tp.partition == 0)
        await append_numbers(log, topic, 0, MANY, 50)
        await owner.until(lambda: owner.total() >= MANY + 50)
        # Somebody moves the client's position without our knowing.
        thread._consumer.seek(tp, MANY + 80)
        await append_numbers(log, topic, 0, MANY + 50, 100)
        await owner.until(lambda: owner.total() >= MANY + 150)
        assert app.partition_manager.counts.refetches == 1
        assert app.partition_manager.counts.gaps == 0
    assert numbers(owner.taken[TopicPartition(topic, 0)]) == list(range(MANY + 150))


async def test_6_a_gap_that_the_broker_shows_twice_is_accepted(
    backend: KafkaWorkers, log: Log, topic: str, group: str
) -> None:
    """Records that are gone from the broker (retention) must not stop the partition for ever."""
    tp = TopicPartition(topic, 0)
    owner = CountingOwner()
    owner.starts[tp] = 10
    await append_numbers(log, topic, 0, 0, 100)
    admin = await backend.admin()
    try:
        await admin.delete_records({KafkaTopicPartition(*tp): RecordsToDelete(before_offset=60)})
    finally:
        await admin.close()
    async with running(backend, log, group, {topic: owner}) as app:
        await owner.until(lambda: owner.total() >= 40)
        assert app.partition_manager.counts.refetches == app.partition_manager.counts.gaps == 1
    assert numbers(owner.taken[tp]) == list(range(60, 100))
