"""R04: an erasure reaches state, changelog, queue, log and files.

A whole worker on the embedded log, looked at from outside: what was erased is in no byte of any
file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from agents.definitions.published import Definitions
from agents.links.names import PREFIX, is_link
from agents.partition import customers
from schemas import topics
from schemas.decisions import DECISION
from schemas.records import OutRecord, Record
from schemas.reference import of_visitor
from schemas.stored import HEAD_SIZE, NEVER, WAITING_PREFIX, pack
from schemas.time_units import DAY_MS
from streams.clock import VirtualClock
from streams.log import Log
from streams.operate.lookup import latest_states
from streams.operate.privacy.eraser import BACKOFF
from streams.operate.privacy.erasing import Erasing
from streams.operate.privacy.traces import TraceFinder, Traces
from streams.partitioner import partition_of
from streams.runtime.definitions import load
from streams.runtime.factories import link_key, record_signer
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.transports.consumer import BatchConsumer
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.settings.values import Address
from streams.tools.publisher import publish, read_lines
from streams.tools.replay import replay_topic
from streams.topology import topics as all_topics
from tests.any_hour import without_policy
from tests.keys import SIGNER
from tests.mail.servers import scripted
from tests.runtime.doubles import START
from tests.runtime.test_worker import all_done, event, everything, tell

LOOPBACK = Address("127.0.0.1", 0)
LIMIT = 20

SECRETS = (b"anna.rossi@example.it", b"Annabella", b"Caffettiera Segreta", b"ORDINE-ANNA-1")
OTHERS = (b"bruno@example.it", b"Brunone", b"ORDINE-BRUNO-1")


def life(who: str, first_name: str, email: str, product: str, order: str) -> list[Any]:
    """What a customer leaves in the log: as a visitor, then with cart, order and consent."""
    line = {"product_id": "p1", "name": product, "price": "19.90", "quantity": 1}
    return [
        event("product.viewed", f"{who}1", f"visitor-{who}", **line),
        event("customer.identified", f"{who}2", who, anonymous_id=f"visitor-{who}",
              email=email, first_name=first_name),
        event("list.subscribed", f"{who}3", who, list="newsletter", confirmed=True),
        event("cart.product_added", f"{who}4", who, cart_id="c1", currency="EUR", **line),
        event("order.completed", f"{who}5", who, order_id=order, total="19.90", currency="EUR",
              products=[line]),
        event("order.completed", f"{who}6", who, order_id="", note=first_name),  # a dead letter
    ]  # fmt: skip


ANNA = life("anna", "Annabella", "anna.rossi@example.it", "Caffettiera Segreta", "ORDINE-ANNA-1")
BRUNO = life("bruno", "Brunone", "bruno@example.it", "Moka", "ORDINE-BRUNO-1")
REFUSED = (b"Via Segreta 1", b"Via Segreta 2", b"Via Bruno 3")
BROKEN = (
    b'{"type": "track", "event": "Odd", "userId": "anna", "properties": {"a": "Via Segreta 1"}}\n'
    b'{"type": "track", "userId": "anna", "properties": {"a": "Via Segreta 2"\n'
    b'{"type": "track", "userId": "bruno", "properties": {"a": "Via Bruno 3"\n'
)
"""Lines that `publish` refuses; whom they are about can be read all the same."""

FORGET = event("customer.erasure_requested", "forget", "anna", source="letter")


class Shop:
    """A worker with its files."""

    def __init__(self, settings: Settings, clock: VirtualClock, root: Path) -> None:
        self.settings, self.clock, self.root = settings, clock, root
        self.worker = Worker(settings, clock=clock)

    @property
    def log(self) -> EmbeddedLog:
        assert isinstance(self.worker.log, EmbeddedLog)
        return self.worker.log

    async def tell(self, *records: Any) -> None:
        await tell(self.worker.log, *records)
        await self.done()

    async def done(self) -> None:
        """Wait until all events are dealt with, and all mails, and all that follows of them."""
        while True:
            version = self.log.version
            await all_done(self.worker)
            await asyncio.wait_for(self.worker.mailer.until_idle(), LIMIT)
            if version == self.log.version:
                return

    async def erased(self, customer: str = "anna") -> None:
        """Wait until log and stores are clean of a customer."""
        erasing, eraser = Erasing(self.log), self.worker.eraser
        async with asyncio.timeout(LIMIT):
            while not (await erasing.is_done(customer) and eraser.idle):
                passed = asyncio.ensure_future(eraser.passed())
                self.clock.advance(self.clock.now() + round(BACKOFF.longest * 1_000))
                await passed

    async def carry_out(self) -> None:
        """Carry out what is open without the worker's eraser, once the mailer has committed."""
        erasing = Erasing(self.log, record_signer(self.settings))
        async with asyncio.timeout(LIMIT):
            while not await erasing.carry_out():
                await self.done()

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(LIMIT):
            while True:
                version = self.log.version
                if await condition():
                    return
                await self.log.wait_beyond(version)

    def files_with(self, word: bytes) -> list[str]:
        files = (path for path in self.root.rglob("*") if path.is_file())
        return [path.name for path in files if word in path.read_bytes()]


@asynccontextmanager
async def opened(
    root: Path,
    smtp_url: str,
    store: Literal["rocksdict", "memory"] = "memory",
    **more: Any,
) -> AsyncIterator[Shop]:
    settings = Settings(
        broker=f"embedded://{root}/log", data_dir=root / "data", admin_bind=LOOPBACK,
        public_bind=LOOPBACK, smtp_url=smtp_url, partitions=2, tick_seconds=3600, store=store,
        **more,
    )  # fmt: skip
    shop = Shop(settings, VirtualClock(START), root)
    try:
        await asyncio.wait_for(shop.worker.start(), LIMIT)
        yield shop
    finally:
        await shop.worker.stop()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with (
        scripted() as relay,
        opened(tmp_path, f"smtp://127.0.0.1:{relay.port}") as shop,
    ):
        yield shop


@pytest.mark.row("R04")
async def test_nothing_is_left_in_any_file(tmp_path: Path) -> None:
    """The stores are in files as well."""
    async with (
        scripted() as relay,
        opened(tmp_path, f"smtp://127.0.0.1:{relay.port}", "rocksdict") as shop,
    ):
        await shop.tell(*ANNA, *BRUNO)
        await publish(
            shop.log, read_lines(BytesIO(BROKEN)), clock=shop.clock, signer=lambda: SIGNER
        )
        for word in (*SECRETS, *OTHERS, *REFUSED):
            assert shop.files_with(word), word
        await shop.tell(FORGET)
        await shop.erased()
    for word in (*SECRETS, *REFUSED[:2]):
        assert shop.files_with(word) == [], word
    for word in (*OTHERS, *REFUSED[2:]):
        assert shop.files_with(word), word


async def records(log: Log) -> dict[str, list[Record]]:
    return {spec.name: await everything(log, spec.name) for spec in all_topics(2)}


async def test_offsets_times_and_everybody_else_stay(shop: Shop) -> None:
    await shop.tell(*ANNA, *BRUNO)
    before = await records(shop.log)
    await shop.tell(FORGET)
    await shop.erased()
    after = await records(shop.log)

    def places(records: list[Record]) -> set[tuple[int, int, int]]:
        return {(r.partition, r.offset, r.timestamp) for r in records}

    assert places(before[topics.CUSTOMER_EVENTS]) <= places(after[topics.CUSTOMER_EVENTS])
    for topic, found in before.items():
        others = [
            r
            for r in found
            if b"bruno" in (r.key or b"") + (r.value or b"")
            and not (r.key or b"").startswith(PREFIX.encode())  # of links only the last states stay
        ]
        now = {(r.partition, r.offset): r for r in after[topic]}
        assert all(now[r.partition, r.offset] == r for r in others), topic

    # The facts add up as before, and say nothing of whom.
    assert len(after[topics.FACTS]) >= len(before[topics.FACTS])
    decisions = [DECISION.validate_json(r.value or b"") for r in after[topics.FACTS]]
    assert not [d for d in decisions if d.customer == "anna" and d.decision != "exited"]
    assert [d for d in decisions if d.customer == ""]

    keys = {topic: {r.key for r in found} for topic, found in after.items()}
    assert b"anna" not in keys[topics.CUSTOMER_EVENTS]
    assert b"anna" not in keys[topics.SEND_COMMANDS]
    assert b"anna" not in keys[topics.DEAD_LETTERS]
    (signal,) = (r for r in after[topics.CUSTOMER_SIGNALS] if r.key == b"anna")
    assert b"customer.erased" in (signal.value or b"")  # others have to learn of it


async def test_a_replay_of_what_is_left_gives_what_is_kept(shop: Shop) -> None:
    await shop.tell(*ANNA, *BRUNO)
    await shop.tell(FORGET)
    await shop.erased()
    await shop.done()
    definitions = Definitions(link_key=link_key(shop.worker.settings))
    for (_, version), content in (await load(shop.log)).items():
        definitions.add(version, content)
    outcome = await replay_topic(
        shop.log, topic=topics.CUSTOMER_EVENTS, until=shop.clock.now(), definitions=definitions
    )
    assert not [each for each in outcome.refusals if each[1] not in ("invalid_event",)]
    live = (await latest_states(shop.log, "bruno"))["bruno"]
    assert outcome.customers["bruno"] == live
    assert "anna" not in outcome.customers or len(outcome.customers["anna"]) == HEAD_SIZE


async def test_who_comes_back_is_somebody_new(shop: Shop) -> None:
    await shop.tell(*ANNA)
    await shop.tell(FORGET)
    again = [
        event("customer.updated", "again1", "anna", email="new@example.it"),
        event("order.completed", "again2", "anna", order_id="NUOVO-1", total="5", currency="EUR"),
    ]
    await shop.tell(*again)
    await shop.erased()
    kept = [r for r in await everything(shop.log, topics.CUSTOMER_EVENTS) if r.key == b"anna"]
    assert [r.header("ce_id") for r in kept][:2] == [b"again1", b"again2"]
    state = (await latest_states(shop.log, "anna"))["anna"]
    assert b"new@example.it" in state
    assert shop.files_with(b"NUOVO-1")


async def test_a_mail_that_waits_is_taken_back_and_forgotten(tmp_path: Path) -> None:
    """The relay is down; the erasure waits for the queue to let go, and then nothing is left."""
    async with opened(tmp_path, "smtp://127.0.0.1:9") as shop:
        await tell(shop.log, *ANNA)
        await all_done(shop.worker)

        async def waits() -> bool:
            states = await everything(shop.log, topics.MAILER_CHANGELOG)
            return any(b"order-confirmation" in (r.value or b"") for r in states)

        await shop.until(waits)
        await tell(shop.log, FORGET)
        await all_done(shop.worker)
        await shop.erased()
        outcomes = [r.header("ce_type") for r in await everything(shop.log, topics.CUSTOMER_EVENTS)]
        assert b"mail.skipped" not in outcomes  # it was told, and blanked with the rest
    for word in SECRETS:
        assert shop.files_with(word) == [], word


ALERTS = """
id: alerts
title: {it: Avvisi}
trigger: {on: order.completed}
entry: {once_per: order}
steps:
  - {id: mail, notify: "mailto:vendite@shop.example", message: {it: "Ha comprato {order.id}"}}
  - {id: hook, notify: "http://127.0.0.1:9/hook", message: {it: "Ha comprato {order.id}"}}
"""


@pytest.mark.parametrize("relay", ["is down", "takes all"])
async def test_what_the_shops_people_are_told_is_taken_back_and_forgotten(
    tmp_path: Path, relay: str
) -> None:
    """Under the shop's own key lies a mail about the customer, and a webhook waits for its host."""
    (tmp_path / "alerts").mkdir()
    workflows = without_policy(tmp_path / "alerts" / "workflows")
    (workflows / "alerts.yaml").write_text(ALERTS)
    async with scripted() as server:
        url = f"smtp://127.0.0.1:{9 if relay == 'is down' else server.port}"
        async with opened(tmp_path, url, workflows_dir=workflows) as shop:
            await tell(shop.log, *ANNA, *BRUNO)
            await all_done(shop.worker)

            async def both_wait() -> bool:
                states = await everything(shop.log, topics.MAILER_CHANGELOG)
                told = [r.value or b"" for r in states if b"Ha comprato ORDINE-ANNA-1" in r.value]
                return any(b"/hook" in each for each in told) and any(
                    b"vendite@" in each for each in told
                )

            await shop.until(both_wait)
            await tell(shop.log, FORGET)
            await all_done(shop.worker)
            await shop.erased()
            assert shop.files_with(b"Ha comprato ORDINE-BRUNO-1")
    for word in SECRETS:
        assert shop.files_with(word) == [], word


async def test_an_erasure_survives_a_restart(shop: Shop) -> None:
    await shop.tell(*ANNA)
    await shop.worker.eraser.stop()  # as if it had been killed before it could do anything
    await shop.tell(FORGET)
    assert not await Erasing(shop.log).is_done("anna")
    await shop.worker.stop()
    shop.worker = Worker(shop.settings, clock=shop.clock)
    await asyncio.wait_for(shop.worker.start(), LIMIT)
    await shop.erased()
    assert b"anna" not in {r.key for r in await everything(shop.log, topics.CUSTOMER_EVENTS)}


async def test_an_erasure_survives_a_kill_before_anything_was_committed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is in the mailer's state, and the group has not heard of it. No command comes
    after the restart that would have it committed: the erasure waited until the commands were too
    old to be kept, a week later."""
    with monkeypatch.context() as patch:

        async def lost(*_: Any) -> bool:
            return False

        patch.setattr(BatchConsumer, "_commit_watermarks", lost)
        await shop.tell(*ANNA)
        await shop.worker.eraser.stop()
        await shop.tell(FORGET)
        await shop.worker.stop()
    shop.worker = Worker(shop.settings, clock=shop.clock)
    await asyncio.wait_for(shop.worker.start(), LIMIT)
    restarted = shop.clock.now()
    await shop.erased()
    assert shop.clock.now() - restarted < DAY_MS
    assert b"anna" not in {r.key for r in await everything(shop.log, topics.CUSTOMER_EVENTS)}


@pytest.mark.parametrize(
    "refused",
    [
        event("visitor.forgotten", "forged", of_visitor("visitor-anna"), customer_id="anna"),
        event("visitor.forgotten", "forged", "visitor-anna", customer_id="anna"),
        event("customer.erasure_requested", "forget-again", "anna")._replace(value=b"[1]"),
    ],
    ids=["forged", "forged-under-the-bare-id", "malformed"],
)
async def test_an_erasure_that_was_refused_holds_up_no_other(
    shop: Shop, refused: OutRecord
) -> None:
    """Its actor never gets as far, and what waited for that waited for ever."""
    await shop.tell(*ANNA, *BRUNO)
    await shop.worker.eraser.stop()
    await shop.tell(FORGET)
    await shop.tell(refused, event("customer.erasure_requested", "forget-2", "bruno"))
    letters = await everything(shop.log, topics.DEAD_LETTERS)
    assert refused.value in [each.value for each in letters]
    await shop.carry_out()
    kept = [(r.key, r.header("ce_id")) for r in await everything(shop.log, topics.CUSTOMER_EVENTS)]
    keys = {key for key, id_ in kept if id_ != refused.headers[0][1]}
    assert not {b"anna", b"bruno", b"visitor-anna", of_visitor("visitor-anna").encode()} & keys


async def test_an_outcome_that_comes_while_the_erasure_looks_is_blanked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart the mailer tells again what it could not note down as told."""
    await shop.tell(*ANNA)
    await shop.worker.eraser.stop()
    await shop.tell(FORGET)
    found = await everything(shop.log, topics.CUSTOMER_EVENTS)
    outcome = next(each for each in found if each.header("ce_type") == b"mail.sent")
    looked = TraceFinder.is_dealt_with
    interrupted = 0

    async def interrupt(finder: TraceFinder, traces: Traces) -> bool:
        nonlocal interrupted
        interrupted += 1
        again = OutRecord(outcome.key, outcome.value, outcome.headers)
        await shop.log.append(topics.CUSTOMER_EVENTS, outcome.partition, [again])
        return await looked(finder, traces)

    monkeypatch.setattr(TraceFinder, "is_dealt_with", interrupt)
    while not await Erasing(shop.log).carry_out():
        await shop.done()
    assert interrupted
    assert b"anna" not in {r.key for r in await everything(shop.log, topics.CUSTOMER_EVENTS)}


async def test_what_is_damaged_stops_no_erasure(shop: Shop) -> None:
    """An event that waited is removed where it may be the person's; a mail that can't be read is
    passed over and named."""
    await shop.tell(*ANNA, *BRUNO)
    await shop.worker.eraser.stop()
    await shop.tell(FORGET, event("customer.erasure_requested", "forget-2", "bruno"))
    damaged = pack(0, NEVER, b"\xc1 anna")
    for topic in (topics.CUSTOMERS_CHANGELOG, topics.MAILER_CHANGELOG):
        for partition in range(2):
            waiting, mail = OutRecord(WAITING_PREFIX + bytes(8), damaged), OutRecord(b"m", damaged)
            written = waiting if topic == topics.CUSTOMERS_CHANGELOG else mail
            await shop.log.append(topic, partition, [written])
    with structlog.testing.capture_logs() as lines:
        await shop.carry_out()
    named = {line["mail"] for line in lines if line["event"].startswith("a mail can't be read")}
    assert {each.partition(" at ")[0] for each in named} <= {
        "mailer-changelog/0", "mailer-changelog/1"
    }  # fmt: skip
    assert named
    partition = partition_of(b"anna", 2)
    left = await everything(shop.log, topics.CUSTOMERS_CHANGELOG)
    assert not [r for r in left if r.value == damaged and r.partition == partition]
    assert {b"anna", b"bruno"}.isdisjoint(
        {r.key for r in await everything(shop.log, topics.CUSTOMER_EVENTS)}
    )


async def test_an_older_state_of_a_mail_is_removed_though_it_is_damaged(shop: Shop) -> None:
    await shop.tell(*ANNA)
    await shop.worker.eraser.stop()
    states = await everything(shop.log, topics.MAILER_CHANGELOG)
    first = next(r for r in states if b"anna.rossi" in (r.value or b""))
    broken = OutRecord(first.key, (first.value or b"")[:HEAD_SIZE] + b"\x02\xc1 Annabella anna")
    await shop.log.redaction().change(first.topic, first.partition, {first.offset: broken})
    await shop.tell(FORGET)
    await shop.carry_out()
    left = await everything(shop.log, topics.MAILER_CHANGELOG)
    assert not [r for r in left if b"Annabella" in (r.value or b"")]


async def test_nothing_is_left_of_who_was_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events waited beside what could not be read, and control records name the customer."""
    async with scripted() as relay:
        url = f"smtp://127.0.0.1:{relay.port}"
        async with opened(tmp_path, url, "rocksdict") as shop:
            await shop.tell(*ANNA, *BRUNO)
            decode = customers.decode_customer

            def older(key: str, stored: bytes) -> Any:
                if key == "anna":
                    raise ValueError
                return decode(key, stored)

            monkeypatch.setattr(customers, "decode_customer", older)
            await shop.worker.stop()
            shop.worker = Worker(shop.settings, clock=shop.clock)
            await shop.worker.start()
            waits = event("customer.updated", "w1", "anna", first_name="Annabella-Wartet")
            with structlog.testing.capture_logs():  # the development's traceback shows every local
                await shop.tell(waits)
            assert shop.worker.customers.held_back() == 1
            for word in (b"Annabella-Wartet", b"ritorno.set_aside"):
                assert shop.files_with(word), word
            await shop.tell(FORGET)
            await shop.erased()
            found = await everything(shop.log, topics.CUSTOMER_EVENTS)
            assert [r for r in found if r.key is None and b"anna" in (r.value or b"")] == []
            assert b"ritorno.set_aside" not in {r.header("ce_type") for r in found}
    # What she did as a visitor stays: which visitor she was can't be read.
    for word in (b"anna.rossi@example.it", b"Annabella", b"ORDINE-ANNA-1"):
        assert shop.files_with(word) == [], word


async def test_a_coupon_pool_forgets_who_asked(shop: Shop) -> None:
    await shop.tell(*ANNA)
    asked = {"campaign": "natale", "run": "w/ORDINE-ANNA-1/1", "step": "s"}
    pool = "ritorno/coupons/natale"
    signer = record_signer(shop.worker.settings)
    for number, who, run in ((1, "anna", asked["run"]), (2, "bruno", "w/1")):
        data = asked | {"run": run, "customer_id": who}
        request = event("coupon.requested", f"q{number}", pool, **data)
        await shop.tell(signer.sign(topics.CUSTOMER_EVENTS, request))
    await shop.tell(FORGET)
    await shop.erased()
    records = await everything(shop.log, topics.CUSTOMER_EVENTS)
    requests = [json.loads(r.value or b"") for r in records if r.key == pool.encode()]
    assert [(r["customer_id"], r["run"]) for r in requests] == [("erased", ""), ("bruno", "w/1")]
    for record in records:
        if record.key == pool.encode():
            signer.check(topics.CUSTOMER_EVENTS, record)  # a replay finds that they were asked for


async def test_links_forget_whose_they_were(shop: Shop) -> None:
    cart = {"cart_id": "c1", "product_id": "moka"}
    seen = event("cart.product_added", "l1", "anna", **cart)
    other = event("cart.product_added", "l2", "bruno", **cart)
    await shop.tell(*ANNA, *BRUNO, seen, other)
    await shop.tell(FORGET)
    await shop.erased()
    signer = record_signer(shop.worker.settings)
    links = []
    for record in await everything(shop.log, topics.CUSTOMER_EVENTS):
        if record.key and is_link(record.key.decode()):
            signer.check(topics.CUSTOMER_EVENTS, record)
            links.append(json.loads(record.value or b"")["customer_id"])
    assert "anna" not in links
    assert {"erased", "bruno"} <= set(links)
    for record in await everything(shop.log, topics.CUSTOMERS_CHANGELOG):
        if record.key and is_link(record.key.decode()):
            assert b"anna" not in (record.value or b"")


async def test_ids_that_look_like_anything(shop: Shop) -> None:
    """One id is part of another, one is full of what JSON and SQL would read differently."""
    odd = "x\"\\%_'; DROP TABLE records; --è"
    for who in ("1", "11", odd):
        await tell(
            shop.log, *life(who, f"Nome-{who}", f"n{len(who)}@example.it", "Moka", f"O-{who}")
        )
    await shop.done()
    await tell(
        shop.log,
        event("customer.erasure_requested", "f1", "1"),
        event("customer.erasure_requested", "f2", odd),
    )
    await shop.done()
    for who in ("1", odd):
        await shop.erased(who)
    records = await everything(shop.log, topics.CUSTOMER_EVENTS)
    kept = {r.key for r in records if r.key and not is_link(r.key.decode())}
    assert kept == {b"11", b"visitor-11", of_visitor("visitor-11").encode()}
    facts = [
        DECISION.validate_json(r.value or b"") for r in await everything(shop.log, topics.FACTS)
    ]
    assert {d.customer for d in facts if d.decision == "sent"} == {"11", ""}
