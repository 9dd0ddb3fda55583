"""A topic that is deleted and made anew, or given more partitions, under a running worker."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from streams.log import Log
from streams.operate.short_logs import fill_up, follow_up
from streams.runtime import topic_watch
from streams.runtime.failures import WorkerFailed
from streams.runtime.log_identity import topic_id_of
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.topology import CUSTOMER_EVENTS, topics
from tests.broker import KafkaBroker
from tests.keys import SIGNER
from tests.runtime.test_worker import SIGNED_UP, Inbox, all_done, event, inbox, tell
from tests.runtime.test_worker_on_kafka import log, settings

__all__ = ["inbox", "log", "settings"]

pytestmark = pytest.mark.kafka


@pytest.fixture
async def admin(fresh_broker: KafkaBroker) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=fresh_broker.bootstrap)
    await client.start()
    yield client
    await client.close()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_watch, "EVERY_MS", 200)


async def started(settings: Settings) -> Worker:
    worker = Worker(settings)
    await worker.start()
    return worker


async def test_a_topic_made_anew_stops_the_worker_and_goes_on_when_somebody_says_so(
    log: Log, settings: Settings, inbox: tuple[Inbox, str], admin: AIOKafkaAdminClient
) -> None:
    worker = await started(settings)
    try:
        async with asyncio.timeout(60):
            await tell(log, *SIGNED_UP)
            assert (await inbox[0].next())["To"] == "Anna <anna@example.it>"
            await all_done(worker)
            before = await topic_id_of(log, CUSTOMER_EVENTS)
            await admin.delete_topics([CUSTOMER_EVENTS])
            spec = next(each for each in topics(2) if each.name == CUSTOMER_EVENTS)
            while not await log.create_topics([spec]):  # until it is gone
                pass
            assert await topic_id_of(log, CUSTOMER_EVENTS) not in ("", before)
            with pytest.raises(
                WorkerFailed, match=r"customer-events was deleted (and made anew )?while"
            ):
                await worker.wait_stopped()
    finally:
        await worker.stop()
    # More than had been read: who went on by offsets would read what lies behind them.
    views = [event("page.viewed", f"v{number}", "anna") for number in range(40)]
    new = (
        event("customer.created", "e11", "bruno", email="bruno@example.it"),
        event("list.subscribed", "e12", "bruno", list="newsletter", confirmed=True),
    )
    await tell(log, *new, *views)
    worker = await started(settings)
    try:
        async with asyncio.timeout(60):
            manager = worker.partition_manager
            await manager.until(lambda: len(manager.problems()) == 2)
            reasons = " ".join(manager.problems().values())
            assert re.search(r"another one than was read|and was read up to", reasons)
            await fill_up(log, lambda: SIGNER)
            await follow_up(log, lambda: SIGNER)
            assert (await inbox[0].next())["To"] == "bruno@example.it"
            await all_done(worker)
    finally:
        await worker.stop()


async def test_more_partitions_stop_the_worker_and_none_starts(
    log: Log, settings: Settings, inbox: tuple[Inbox, str], admin: AIOKafkaAdminClient
) -> None:
    worker = await started(settings)
    try:
        async with asyncio.timeout(60):
            await tell(log, *SIGNED_UP)
            await inbox[0].next()
            await all_done(worker)
            await admin.create_partitions({CUSTOMER_EVENTS: NewPartitions(total_count=3)})
            with pytest.raises(WorkerFailed, match=r"customer-events has 3 partitions and had 2"):
                await worker.wait_stopped()
    finally:
        await worker.stop()
    with pytest.raises(WorkerFailed, match=r"has 3 partitions and had 2 when its customers were"):
        await started(settings)
