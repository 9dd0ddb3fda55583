"""A whole worker in this process, on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.customer import decode_customer
from schemas.customer.consent import LISTS_KEPT
from schemas.topics import CUSTOMERS_CHANGELOG
from streams.clock import SystemClock
from streams.log import Log
from streams.operate.check import CheckStatus
from streams.operate.topic_checks import check_topics
from streams.runtime.definitions import publish, read_files
from streams.runtime.factories import log_from
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.topology import topics
from tests.any_hour import without_policy
from tests.broker import KafkaBroker
from tests.faults.run import SESSION_SECONDS
from tests.keys import SIGNER, TOKEN_KEYS
from tests.runtime.test_ugly_customers import letters, ugly
from tests.runtime.test_worker import (
    LOOPBACK,
    SIGNED_UP,
    Inbox,
    all_done,
    commands,
    event,
    everything,
    forge,
    inbox,
    tell,
)

__all__ = ["inbox"]

pytestmark = pytest.mark.kafka


@pytest.fixture
async def settings(
    fresh_broker: KafkaBroker, tmp_path: Path, inbox: tuple[Inbox, str]
) -> AsyncIterator[Settings]:
    yield Settings(
        broker=f"kafka://{fresh_broker.bootstrap}",
        data_dir=tmp_path / "data",
        worker_id="worker-of-the-runtime-tests",
        kafka_session_seconds=SESSION_SECONDS,
        admin_bind=LOOPBACK,
        public_bind=LOOPBACK,
        smtp_url=inbox[1],
        workflows_dir=without_policy(tmp_path / "workflows"),
        token_keys=TOKEN_KEYS,
    )


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[Log]:
    log = log_from(settings, SystemClock())
    await log.start()
    await log.create_topics(topics(2))
    await publish(log, read_files(settings.workflows_dir), SIGNER)
    yield log
    await log.stop()


async def test_what_topics_create_makes_is_right_on_kafka(log: Log, settings: Settings) -> None:
    checks = await check_topics(log, settings)
    assert [check for check in checks if check.status is not CheckStatus.OK] == []


async def test_from_the_event_to_the_mail_over_a_broker_restart(
    log: Log, settings: Settings, inbox: tuple[Inbox, str], kafka_broker: KafkaBroker
) -> None:
    worker = Worker(settings)
    try:
        async with asyncio.timeout(60):
            await worker.start()
            assert set(await forge(worker)) == {b"unsigned", b"reserved"}
            await tell(log, *SIGNED_UP)
            assert (await inbox[0].next())["To"] == "Anna <anna@example.it>"

            await asyncio.to_thread(kafka_broker.restart)
            await tell(
                log,
                SIGNED_UP[1],
                event("customer.created", "e11", "bruno", email="bruno@example.it"),
                event("list.subscribed", "e12", "bruno", list="newsletter", confirmed=True),
            )
            assert (await inbox[0].next())["To"] == "bruno@example.it"
            await all_done(worker)
            assert {each["customer"] for each in await commands(worker)} == {"anna", "bruno"}
            assert inbox[0].mails.empty()
    finally:
        began = asyncio.get_running_loop().time()
        await worker.stop()
        assert asyncio.get_running_loop().time() - began < 10


async def test_who_would_have_filled_a_record_stops_nobody_on_kafka(
    log: Log, settings: Settings
) -> None:
    worker = Worker(settings)
    try:
        async with asyncio.timeout(120):
            await worker.start()
            await tell(log, *ugly("v-full"))
            await tell(log, event("customer.identified", "f1", "full", anonymous_id="v-full"))
            await tell(log, event("page.viewed", "f2", "full"))
            await all_done(worker)
        changelog = await everything(log, CUSTOMERS_CHANGELOG)
        states = {record.key: record.value for record in changelog}
        customer = decode_customer("full", states[b"full"] or b"")
        assert (customer.statistics.count, len(customer.lists)) == (2, LISTS_KEPT)
        assert await letters(log) == set()
    finally:
        await worker.stop()
