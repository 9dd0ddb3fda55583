"""Producers that write in transactions: what they take back never was, and nothing is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from schemas.records import OutRecord
from schemas.stored import PROGRESS_KEY, Progress, pack_progress
from streams.clock import SystemClock
from streams.log import Log, LogError, OffsetRange, TopicSpec
from streams.operate.check import CheckStatus
from streams.operate.doctor import check_clock, check_lag
from streams.operate.short_logs import fill_up, follow_up
from streams.runtime.transports.batch import TopicPartition
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, topics
from tests.broker import KafkaBroker
from tests.keys import SIGNER
from tests.runtime.transports.kafka_backend import KafkaWorkers, unique
from tests.runtime.transports.machine import (
    TIMEOUT,
    CountingOwner,
    append_numbers,
    numbers,
    running,
)

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


async def _commit(log: Log, producer: AIOKafkaProducer, topic: str) -> None:
    await producer.commit_transaction()
    async with asyncio.timeout(TIMEOUT):
        while (await log.offsets(topic))[0].pending:  # the broker is told, and has still to do it
            pass


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
    await _commit(log, producer, topic)
    assert (await log.offsets(topic))[0] == OffsetRange(0, 7)  # with the transaction's end


async def test_doctor_and_topics_create_beside_an_open_transaction(
    fresh_broker: KafkaBroker, log: Log, producer: AIOKafkaProducer
) -> None:
    await log.create_topics(topics(1))
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"anna", b"{}")] * 3)
    await producer.begin_transaction()
    await _say(producer, CUSTOMER_EVENTS, 3, 2)
    await producer.flush()
    progress = pack_progress(Progress(next_offset=5))  # of who has read what isn't committed
    await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, progress)])
    clock, named = SystemClock(), "partition 0 from offset 3"
    check = await check_clock(log, clock)
    assert check.status is CheckStatus.WARN and f"{named} (3 records)" in check.text
    check = await check_lag(log, clock)
    assert "waiting: 1 record;" in check.text and f"{named} (3 records)" in check.text
    assert await fill_up(log, lambda: SIGNER) == {}

    progress = pack_progress(Progress(next_offset=20))
    await log.append(CUSTOMERS_CHANGELOG, 0, [OutRecord(PROGRESS_KEY, progress)])
    with pytest.raises(LogError, match="while a producer's transaction is open"):
        await fill_up(log, lambda: SIGNER)
    assert (await log.offsets(CUSTOMER_EVENTS))[0] == OffsetRange(0, 3, 3)
    await _commit(log, producer, CUSTOMER_EVENTS)
    assert await fill_up(log, lambda: SIGNER) == {TopicPartition(CUSTOMER_EVENTS, 0): 5}
    assert (await log.offsets(CUSTOMER_EVENTS))[0] == OffsetRange(0, 21)
    assert (await follow_up(log, lambda: SIGNER)).resent == 5
    assert (await log.offsets(CUSTOMER_EVENTS))[0] == OffsetRange(0, 26)
