"""What goes wrong again and again is told when it begins, once a minute, and when it ends: on a
real broker that is taken away, and a real topic that is gone."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from streams.log import LogUnavailable, TopicSpec
from streams.logging import configure_logging
from streams.runtime import log_lines
from streams.runtime.log_lines import LEFT_OUT
from streams.runtime.logs.kafka import KafkaLog
from streams.runtime.logs.kafka.retry import RetryPolicy
from streams.runtime.worker import STOP_SECONDS
from tests.broker import KafkaBroker
from tests.faults.fleet import Fleet, counts_of
from tests.keys import SECRET
from tests.waiting import poll_pause

SECONDS = 60
STORM = 50
"""Lines that would have been written, until a test believes that it storms."""


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged, in minutes of three seconds."""
    monkeypatch.setattr(log_lines, "MINUTE", 3.0)
    monkeypatch.setattr(log_lines, "QUIET", 1.5)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def told(stream: io.StringIO) -> list[str]:
    return [str(json.loads(line)["message"]) for line in stream.getvalue().splitlines()]


async def until_told(stream: io.StringIO, text: str, times: int = 1) -> None:
    async with asyncio.timeout(SECONDS):
        while sum(text in line for line in told(stream)) < times:
            await poll_pause()


@asynccontextmanager
async def reading(bootstrap: str, topic: str) -> AsyncIterator[None]:
    """A member of a group that reads a topic, as a worker does."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=topic)
    await consumer.start()

    async def read() -> None:
        async for _ in consumer:
            pass

    task = asyncio.ensure_future(read())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        # Its fetcher passes on that it cancels requests, and its group waits for a broker for ever.
        with suppress(asyncio.CancelledError, TimeoutError):
            async with asyncio.timeout(5):
                await consumer.stop()


@pytest.mark.kafka
@pytest.mark.slow
async def test_a_broker_away_and_a_topic_gone_are_a_few_lines(
    kafka_broker: KafkaBroker, stream: io.StringIO
) -> None:
    topic = f"storm-{uuid.uuid4().hex}"
    log = KafkaLog([kafka_broker.bootstrap])
    await log.start()
    await log.create_topics([TopicSpec(name=topic, partitions=2, replication=1, config={})])
    await log.stop()
    async with reading(kafka_broker.bootstrap, topic):
        configure_logging(stream=stream)  # what was to be said of a group's beginning is said
        before, known = LEFT_OUT.total(), len(told(stream))
        await asyncio.to_thread(kafka_broker.kill)
        try:
            await until_told(stream, "such lines were left out)", times=2)
        finally:
            kafka_broker.launch()
        await until_told(stream, "the Kafka client complains no more")
        lines = told(stream)[known:]
        left_out = LEFT_OUT.total() - before
        assert left_out > STORM
        # It begins, it goes on for two minutes or, until the broker has started, a few, it ends.
        assert len(lines) < 15, lines
        assert "such lines were left out)" not in lines[0]

        before, known = left_out + before, len(told(stream))
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_broker.bootstrap)
        await admin.start()
        await admin.delete_topics([topic])
        await admin.close()
        await until_told(stream, f"Topic {topic} not found")
        lines = told(stream)[known:]
        assert len(lines) < 10, lines


@pytest.mark.kafka
@pytest.mark.processes
@pytest.mark.slow
async def test_a_worker_without_its_broker_says_so_and_leaves_when_told_to(
    fresh_broker: KafkaBroker, tmp_path: Path
) -> None:
    """It logged 240 lines a second, and at SIGTERM a traceback of each of its agents; then it hung
    until it was killed."""
    fleet = Fleet(
        tmp_path,
        ritorno_broker=f"kafka://{fresh_broker.bootstrap}",
        ritorno_token_keys=f"k1:{SECRET}",
        ritorno_log_format="json",
        ritorno_partitions="2",
    )
    try:
        fleet.command("topics", "create")
        await fleet.start("one")
        worker, log = fleet.worker("one"), tmp_path / "one" / "log"
        known = len(log.read_text())
        await asyncio.to_thread(fresh_broker.kill)
        async with asyncio.timeout(SECONDS):
            while counts_of(await worker.metrics(), "ritorno_log_lines_left_out_total") < STORM:
                await poll_pause()
        assert await readiness_within_a_second(worker.admin_port) == 503
        assert len(log.read_text()[known:].splitlines()) < 12, log.read_text()[known:]
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.wait, STOP_SECONDS + 5) == 0
    finally:
        fleet.kill()
        await asyncio.to_thread(fresh_broker.launch)
        await asyncio.to_thread(fresh_broker.wait_until_ready)
    lines = [json.loads(line) for line in log.read_text()[known:].splitlines()]
    assert [line for line in lines if "exception" in line] == []
    assert len(lines) < 18, lines


async def readiness_within_a_second(port: int) -> int:
    """Return the status of `/readyz` once it is no longer bridged by the last good answer."""
    url = f"http://127.0.0.1:{port}/readyz"
    async with asyncio.timeout(SECONDS), aiohttp.ClientSession() as http:
        while True:
            async with asyncio.timeout(1), http.get(url) as answer:
                if answer.status != 200:
                    return answer.status
            await poll_pause()


async def test_what_we_say_of_a_broker_is_of_the_same_kind(stream: io.StringIO) -> None:
    log = structlog.get_logger("streams.runtime.ticks")
    logging.getLogger("aiokafka.consumer.fetcher").error("Failed fetch messages from %s", 1)
    with pytest.raises(LogUnavailable) as error, RetryPolicy(["10.0.0.1:9092"]).errors():
        raise TimeoutError
    log.warning("tick not written", partition=1, error=str(error.value))
    log.warning("tick not written", partition=1, error="something else")
    assert told(stream) == ["Failed fetch messages from 1", "tick not written"]
