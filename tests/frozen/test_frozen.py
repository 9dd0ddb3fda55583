"""What an earlier release has left behind is opened, and goes on exactly where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agents.mail.queue.queued_mail import unpack_entry
from schemas.commands import ResumeCommand
from schemas.customer import Customer, decode_customer
from schemas.description import describe
from schemas.reference import of_visitor
from schemas.stored import FORMAT, OWN_PREFIX, format_of, is_erased
from schemas.topics import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, MAILER_CHANGELOG
from streams.clock import Clock, SystemClock, VirtualClock
from streams.log import Log
from streams.mail.inspection import control
from streams.runtime.factories import log_from, record_signer
from streams.runtime.state.memory import MemoryStore
from streams.runtime.state.recovery import recover
from streams.runtime.worker import Worker
from streams.settings import Settings
from tests.any_hour import without_policy
from tests.broker import KafkaBroker
from tests.frozen.copies import KEYS, PARTITIONS, RELEASES, known, load, unpack
from tests.frozen.make import START, event, order, signed_up
from tests.runtime.test_worker import LOOPBACK, Inbox, all_done, inbox, tell

__all__ = ["inbox"]

HOUR = 3_600_000

ReleasesAndStores = pytest.mark.parametrize(
    ("release", "store"),
    [(release, store) for release in RELEASES for store in ("memory", "rocksdict")],
    ids=lambda each: getattr(each, "name", each),
)


def settings_of(directory: Path, relay: str, broker: str, store: str) -> Settings:
    return Settings(
        broker=broker, data_dir=directory / "data", store=store, smtp_url=relay,
        workflows_dir=without_policy(directory / "workflows"), worker_id="frozen",
        token_keys=KEYS, admin_bind=LOOPBACK, public_bind=LOOPBACK, tick_seconds=3600,
        mail_provider_lookup=False,
    )  # fmt: skip


@ReleasesAndStores
async def test_a_data_directory_goes_on(
    release: Path, store: str, tmp_path: Path, inbox: tuple[Inbox, str]
) -> None:
    data = unpack(release, store, tmp_path)
    settings = settings_of(tmp_path, inbox[1], f"embedded://{data}/log", store)
    clock = VirtualClock(START + HOUR)
    await check(settings, clock, known(release, store), inbox[0])


@pytest.mark.kafka
@pytest.mark.parametrize("release", RELEASES, ids=lambda each: each.name)
async def test_the_topics_of_a_broker_go_on(
    release: Path, fresh_broker: KafkaBroker, tmp_path: Path, inbox: tuple[Inbox, str]
) -> None:
    await load(release, fresh_broker.bootstrap)
    settings = settings_of(tmp_path, inbox[1], f"kafka://{fresh_broker.bootstrap}", "memory")
    await check(settings, SystemClock(), known(release, "kafka"), inbox[0])


async def check(settings: Settings, clock: Clock, frozen: dict[str, Any], relay: Inbox) -> None:
    log = log_from(settings, clock)
    await log.start()
    customers, mails = await kept(log)
    await log.stop()
    found = {key: stored for key, stored in customers.items() if not is_erased(stored)}
    described = {key: describe(decode_customer(key, stored)) for key, stored in found.items()}
    for key, fields in frozen["customers"].items():
        assert holds(described[key], fields), key
    assert described.keys() == frozen["customers"].keys()
    assert sorted(customers.keys() - found.keys()) == frozen["erased"]
    assert {id_: unpack_entry(stored).state for id_, stored in mails.items()} == frozen["mails"]
    assert all(format_of(stored) == 1 for stored in (*customers.values(), *mails.values()))

    async for worker in running(settings, clock):
        await goes_on(worker, clock, frozen, relay)
    log = log_from(settings, clock)
    await log.start()
    customers, mails = await kept(log)
    await log.stop()
    assert {format_of(mails[id_]) for id_, state in frozen["mails"].items() if state != "sent"} == {
        FORMAT
    }
    assert format_of(customers["anna"]) == FORMAT, "what changes is written anew"
    assert format_of(customers["carla"]) == 1, "what doesn't, is not"


def holds(found: Any, frozen: Any) -> bool:
    """Whether all that was frozen is there; fields may have come since."""
    if isinstance(frozen, dict):
        return all(name in found and holds(found[name], each) for name, each in frozen.items())
    if isinstance(frozen, list):
        return len(found) == len(frozen) and all(map(holds, found, frozen))
    return bool(found == frozen)


async def running(settings: Settings, clock: Clock) -> AsyncIterator[Worker]:
    worker = Worker(settings, clock=clock)
    try:
        async with asyncio.timeout(90):
            await worker.start()
            await worker.partition_manager.until(
                lambda: worker.partition_manager.open() == worker.partition_manager.owned() != set()
            )
            yield worker
    finally:
        await worker.stop()


async def goes_on(worker: Worker, clock: Clock, frozen: dict[str, Any], relay: Inbox) -> None:
    def now(key: str) -> Customer:
        stored = worker.customers.read_customer(key.encode(), PARTITIONS)
        return Customer(key=key) if stored is None else decode_customer(key, stored)

    before = {key: now(key) for key in ("anna", "bruno", "dario", "elena")}
    for key, fields in frozen["customers"].items():
        assert now(key).views == fields["views"]
    repeated = [event("product.viewed", f"anna-view-{n}", "anna", product_id="p1")
                for n in range(10, 70)]  # fmt: skip
    again = order("o-dario", "dario")
    renamed = [(name, b"another" if name == "ce_id" else value) for name, value in again.headers]
    await tell(worker.log, *repeated, again, again._replace(headers=renamed))
    await all_done(worker)
    assert now("anna").views == before["anna"].views
    assert now("dario").statistics == before["dario"].statistics, "orders count once, for ever"

    await tell(worker.log, event("product.viewed", "new-1", "anna", product_id="tazza"),
               event("product.viewed", "new-2", "v-1", product_id="moka"))  # fmt: skip
    await until_all_done(worker, lambda: now("bruno").views == before["bruno"].views + 1)
    assert now("anna").views == before["anna"].views + 1
    assert now(of_visitor("v-1")).became == "bruno", "it was adopted at the first touch"
    assert now("v-1") == Customer(key="v-1")

    await tell(worker.log, *signed_up("gina"), order("o-gina", "gina"))
    await until_all_done(worker, lambda: bool(now("gina").coupons))
    assert [coupon.code for coupon in now("gina").coupons] == ["CINQUE"], "the only one left"
    await tell(worker.log, *signed_up("hans"), order("o-hans", "hans"), order("o2", "elena"))
    await until_all_done(
        worker, lambda: now("hans").runs != [] and "none" in now("hans").runs[0].results.values()
    )
    assert now("hans").coupons == []

    assert relay.mails.empty(), "what was paused stays paused"
    await control(worker.log, ResumeCommand(time=clock.now()), record_signer(worker.settings))
    if isinstance(clock, VirtualClock):
        clock.advance(clock.now() + 6 * HOUR)
    to = {str((await relay.next())["To"]).partition("<")[2].strip(">") for _ in range(4)}
    assert to == {f"{name}@example.it" for name in ("anna", "bruno", "gina", "hans")}
    await worker.mailer.until_idle()
    assert relay.mails.empty(), "elena is suppressed, and what was sent stays sent"


async def until_all_done(worker: Worker, condition: Callable[[], bool]) -> None:
    while True:
        await all_done(worker)
        if condition():
            return
        await asyncio.sleep(0)


async def kept(log: Log) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the kept customers and mails."""
    found: list[dict[str, bytes]] = []
    for topic in (CUSTOMERS_CHANGELOG, MAILER_CHANGELOG):
        found.append({})
        for number in range(await log.partitions(CUSTOMER_EVENTS)):
            store = MemoryStore()
            await recover(log, topic, number, store)
            found[-1] |= {
                key.decode(): stored
                for key, stored in store.scan()
                if not key.startswith(OWN_PREFIX)
            }
    return found[0], found[1]
