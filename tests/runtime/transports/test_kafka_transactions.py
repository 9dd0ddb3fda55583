"""Producers that write in transactions: what they take back never was, and nothing is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from streams.log import Log, OffsetRange, TopicSpec
from streams.runtime.transports.batch import TopicPartition
from tests.broker import KafkaBroker
from tests.runtime.transports.kafka_backend import KafkaWorkers, unique
from tests.runtime.transports.machine import CountingOwner, append_numbers, numbers, running

pytestmark = pytest.mark.kafka


@pytest.fixture
async def backend(kafka_broker: KafkaBroker, tmp_path: Path) -> AsyncIterator[KafkaWorkers]:
    backend = KafkaWorkers(kafka_broker, tmp_path)
    yield backend
    await backend.close()


@pytest.fixture
async def log(backend: KafkaWorkers) -> Log:
    return await backend.open_log()


@pytest.fixture
async def producer(kafka_broker: KafkaBroker) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka_broker.bootstrap, transactional_id=unique("shop")
    )
    await producer.start()
    yield producer
    await producer.stop()


async def _say(producer: AIOKafkaProducer, topic: str, first: int, count: int) -> None:
    for number in range(first, first + count):
        await producer.send(topic, str(number).encode(), partition=0)


async def test_what_was_aborted_never_was_and_the_ends_of_transactions_are_no_gaps(
    backend: KafkaWorkers, log: Log, producer: AIOKafkaProducer
) -> None:
    topic = unique("transactions")
    await log.create_topics([TopicSpec(name=topic, partitions=1)])
    tp, owner = TopicPartition(topic, 0), CountingOwner()
    async with running(backend, log, unique("group"), {topic: owner}) as app:
        for turn in range(5):
            async with producer.transaction():
                await _say(producer, topic, 10 * turn, 10)
            await owner.until(lambda: owner.total() >= 10 * (turn + 1))  # noqa: B023  # awaited here
            await producer.begin_transaction()
            await _say(producer, topic, 1_000, 3)
            await producer.flush()
            await producer.abort_transaction()
        await append_numbers(log, topic, 0, 50, 5)
        await owner.until(lambda: owner.total() >= 55)
        counts = app.partition_manager.counts
        assert (counts.refetches, counts.gaps) == (0, 0)
    assert numbers(owner.taken[tp]) == list(range(55))
    span = (await log.offsets(topic))[0]
    again = [each async for chunk in log.read(topic, 0, span.start, span.end) for each in chunk]
    assert numbers(again) == list(range(55))


async def test_what_an_open_transaction_has_written_is_pending(
    log: Log, producer: AIOKafkaProducer
) -> None:
    topic = unique("pending")
    await log.create_topics([TopicSpec(name=topic, partitions=1)])
    await append_numbers(log, topic, 0, 0, 3)
    assert (await log.offsets(topic))[0] == OffsetRange(0, 3)
    await producer.begin_transaction()
    await _say(producer, topic, 3, 2)
    await producer.flush()
    await append_numbers(log, topic, 0, 5, 1)
    span = (await log.offsets(topic))[0]
    assert (span, span.high_watermark) == (OffsetRange(0, 3, 3), 6)
    await producer.commit_transaction()
    assert (await log.offsets(topic))[0] == OffsetRange(0, 7)  # with the transaction's end
