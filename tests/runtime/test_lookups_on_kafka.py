"""Two workers on a real broker: what one keeps, the other tells at once, and so do commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from agents.mail.message.tokens import Preferences, Tokens
from schemas.customer import decode_customer
from schemas.records import Record
from streams.clock import SystemClock
from streams.http.internal.owners import Owners, read_address
from streams.log import Log
from streams.operate.timeline import from_log
from streams.partitioner import partition_of
from streams.runtime.definitions import publish, read_files
from streams.runtime.factories import (
    consumer_group,
    log_from,
    lookups_of,
    record_signer,
    signing_keys,
)
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.settings.values import Address, parse_address
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, topics
from tests.any_hour import without_policy
from tests.broker import KafkaBroker
from tests.runtime.test_worker import LOOPBACK, event, tell

pytestmark = pytest.mark.kafka


def settings_of(broker: KafkaBroker, directory: Path, number: int) -> Settings:
    return Settings(
        broker=f"kafka://{broker.bootstrap}",
        data_dir=directory / f"data-{number}",
        worker_id=f"worker-{number}-of-the-lookups",
        admin_bind=LOOPBACK,
        public_bind=LOOPBACK,
        internal_bind=Address("127.0.0.1", 0),
        token_keys="k1:a-secret-of-these-tests",
        workflows_dir=without_policy(directory / "workflows"),
        partitions=2,
        topic_prefix="uno.",
    )


class Shop:
    """Two workers, of which each has partitions, and their log."""

    def __init__(self, log: Log, workers: list[Worker]) -> None:
        self.log = log
        self.workers = workers
        self.settings = workers[0].settings

    def owner(self, customer: str, partitions: int) -> Worker | None:
        """Return who has the customer's partition open."""
        partition = partition_of(customer.encode(), partitions)
        tp = TopicPartition(CUSTOMER_EVENTS, partition)
        return next((each for each in self.workers if tp in each.partition_manager.open()), None)

    async def until_shared(self) -> None:
        """Wait until each worker has partitions, and all of them are open."""
        async with asyncio.timeout(90):
            for worker in self.workers:
                await worker.partition_manager.until(partial(_is_open, worker))

    async def settled(self) -> None:
        """Wait until all that is in the log has been decided and written."""
        spans = await self.log.offsets(CUSTOMER_EVENTS)
        async with asyncio.timeout(60):
            for number, span in spans.items():
                tp = TopicPartition(CUSTOMER_EVENTS, number)
                (worker,) = (each for each in self.workers if tp in each.partition_manager.owned())
                await worker.partition_manager.until(partial(_is_done, worker, tp, span.end))


def _is_open(worker: Worker) -> bool:
    return (
        bool(worker.partition_manager.owned())
        and worker.partition_manager.owned() == worker.partition_manager.open()
    )


def _is_done(worker: Worker, tp: TopicPartition, end: int) -> bool:
    return (worker.partition_manager.watermark(tp) or 0) >= end


@pytest.fixture
async def shop(fresh_broker: KafkaBroker, tmp_path: Path) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        configured = [settings_of(fresh_broker, tmp_path / str(n), n) for n in (1, 2)]
        log = log_from(configured[0], SystemClock())
        await log.start()
        stack.push_async_callback(log.stop)
        await log.create_topics(topics(2))
        files = read_files(configured[0].workflows_dir)
        await publish(log, files, record_signer(configured[0]))
        workers = [Worker(each) for each in configured]
        for worker in workers:
            stack.push_async_callback(worker.stop)
        async with asyncio.timeout(60):
            await asyncio.gather(*(worker.start() for worker in workers))
        shop = Shop(log, workers)
        await shop.until_shared()
        yield shop


def unreadable(worker: Worker, topic: str) -> None:
    """Have this worker's log fail when the topic is read: who asks the owner doesn't notice."""
    read = worker.log.read

    def refusing(name: str, partition: int, start: int, stop: int) -> object:
        assert name != topic, f"{topic} was read"
        return read(name, partition, start, stop)

    worker.log.read = refusing  # type: ignore[method-assign,assignment]


async def page_of(worker: Worker, customer: str) -> str:
    tokens = Tokens(signing_keys(worker.settings))
    token = tokens.make(Preferences(customer, "m1", SystemClock().now()))
    url = f"http://127.0.0.1:{worker.public_port}/p/{token}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_the_page_is_right_on_the_worker_that_has_not_the_customer(shop: Shop) -> None:
    customers = ["anna-of-lookups", "bruno-of-lookups", "carla-of-lookups", "dino-of-lookups"]
    count = await shop.log.partitions(CUSTOMER_EVENTS)
    for name in customers:
        await tell(
            shop.log,
            event("customer.created", f"{name}-1", name, email=f"{name}@example.it"),
            event("list.subscribed", f"{name}-2", name, list=f"letters-{name[0]}", confirmed=True),
        )
    lookups = lookups_of(shop.settings, shop.log)
    assert lookups is not None
    for worker in shop.workers:
        unreadable(worker, CUSTOMERS_CHANGELOG)
    await shop.settled()
    elsewhere = 0
    for name in customers:
        stored = await lookups.record(name.encode())
        assert stored is not None
        assert decode_customer(name, stored).profile.email == f"{name}@example.it"
        for worker in shop.workers:
            elsewhere += worker is not shop.owner(name, count)
            page = await page_of(worker, name)
            assert f'name="list:letters-{name[0]}" value="yes" checked' in page
    assert elsewhere == len(customers)

    # A worker that comes back under its id answers elsewhere than before: the group tells the new
    # address.
    await shop.workers[1].stop()
    shop.workers[1] = Worker(shop.workers[1].settings)
    try:
        async with asyncio.timeout(60):
            await shop.workers[1].start()
        await shop.until_shared()
        unreadable(shop.workers[0], CUSTOMERS_CHANGELOG)
        for name in customers:
            page = await page_of(shop.workers[0], name)
            assert f'name="list:letters-{name[0]}" value="yes" checked' in page
    finally:
        await shop.workers[1].stop()


async def test_who_stays_has_ready_what_it_is_given(shop: Shop) -> None:
    """Who is told to stop lets the others read the changelog first, and leaves the group then: what
    is read once the partition is theirs is what came in between, here next to nothing."""
    names = [f"{number}-of-standby" for number in range(40)]
    for name in names:
        await tell(shop.log, event("customer.created", f"{name}-1", name, email=f"{name}@a.it"))
    await shop.settled()
    leaving, staying = shop.workers
    theirs = {tp for tp in leaving.partition_manager.owned() if tp.topic == CUSTOMER_EVENTS}
    assert theirs
    before = _read_in_openings(staying)
    await leaving.stop()
    async with asyncio.timeout(60):
        await staying.partition_manager.until(
            lambda: theirs <= staying.partition_manager.open() and _is_open(staying)
        )
    kept = [name for name in names if shop.owner(name, 2) is staying]
    assert kept == names
    assert _read_in_openings(staying) - before < len(names) // 4


def _read_in_openings(worker: Worker) -> float:
    return worker.metrics.registry.get_sample_value("ritorno_recovery_records_total") or 0.0


async def test_a_story_is_told_without_reading_everybodys(shop: Shop) -> None:
    names = [f"{name}-of-stories" for name in ("anna", "bruno", "carla", "dino", "emma")]
    for name in names:
        await tell(
            shop.log,
            event("customer.created", f"{name}-1", name, email=f"{name}@example.it"),
            event("list.subscribed", f"{name}-2", name, list="newsletter", confirmed=True),
        )
    lookups = lookups_of(shop.settings, shop.log)
    assert lookups is not None
    await shop.settled()
    read: list[Record] = []
    pick, told = shop.log.pick, list[str]()

    async def picking(
        topic: str, partition: int, offsets: Sequence[int]
    ) -> AsyncIterator[Sequence[Record]]:
        async for chunk in pick(topic, partition, offsets):
            read.extend(chunk)
            yield chunk

    for name in names:
        plain = await from_log(shop.log, name, lambda *_: None)
        assert plain.decisions
        read.clear()
        shop.log.pick = picking  # type: ignore[method-assign]
        asked = await from_log(shop.log, name, lambda *_: None, lookups=lookups, told=told.append)
        shop.log.pick = pick  # type: ignore[method-assign]
        later = await from_log(shop.log, name, lambda *_: None)
        # Mails go on being tried meanwhile: what is asked lies between what is read.
        assert asked.events == later.events[: len(asked.events)]
        assert plain.events == asked.events[: len(plain.events)]
        assert asked.decisions == later.decisions[: len(asked.decisions)]
        assert plain.decisions == asked.decisions[: len(plain.decisions)]
        assert len(read) <= 10
        assert told == []


async def test_each_partition_has_an_owner_that_answers(shop: Shop) -> None:
    owners = Owners(shop.log, consumer_group(shop.settings), Path("/nowhere"))
    count = await shop.log.partitions(CUSTOMER_EVENTS)
    addresses = {await owners.owner(partition) for partition in range(count)}
    assert len(addresses) == 2
    assert None not in addresses
    assert read_address(b'{"internal": "10.0.0.1:99"}') == parse_address("10.0.0.1:99")
    assert read_address(b"") is None
