"""From a PrestaShop or a Magento through the real doors into the log, and from the log to the
customers: the same order by push, poll and back-fill is one, in whatever order it comes."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from aiohttp import ClientSession

from schemas.customer import Customer
from schemas.records import OutRecord, Record
from schemas.time_units import MINUTE_MS
from schemas.topics import CUSTOMER_EVENTS
from schemas.wire import parse_published, to_record
from streams.clock import VirtualClock
from streams.connect.backfill import backfill
from streams.connect.connector import ShopConnector, ShopUnavailable
from streams.connect.counts import ShopCounts
from streams.connect.magento.connector import MagentoConnector
from streams.connect.news_sink import NewsSink
from streams.connect.polling import Polling
from streams.connect.prestashop.connector import PrestaShopConnector
from streams.connect.receivers import ShopReceivers
from streams.http.ingest.intake import Intake
from streams.http.ingest.server import IngestServer
from streams.log import LogUnavailable
from streams.settings.values import Address
from streams.tools.cli import run_arguments
from streams.topology import topics
from tests.connect import test_magento_polling as magento
from tests.connect import test_magento_receiver as adobe
from tests.connect import test_prestashop_polling as presta
from tests.connect import test_prestashop_receiver as module
from tests.connect.magento_shop import TOKEN, MagentoShop
from tests.connect.prestashop_shop import KEY, PrestaShop
from tests.harness import START, Harness
from tests.keys import SIGNER
from tests.runtime.doubles import MemoryLog

MARCH = presta.MARCH


class Connected:
    """A shop, the log, and all that lies between them."""

    def __init__(
        self, shop: PrestaShop | MagentoShop, connector: ShopConnector, data_dir: Path
    ) -> None:
        self.shop, self.connector, self.data_dir = shop, connector, data_dir
        self.log = MemoryLog(shop.clock)
        self.intake = Intake(self.log)
        self.sink = NewsSink(self.log, self.intake, clock=shop.clock, signer=lambda: SIGNER)
        self.counts = ShopCounts(["negozio"])
        self.polling = Polling(
            [connector], self.sink, clock=shop.clock, data_dir=data_dir, counts=self.counts
        )
        self.address = ""

    async def start(self) -> IngestServer:
        """Open the port."""
        await self.log.create_topics(topics(partitions=1, replication=1))
        receivers = ShopReceivers(
            [self.connector], self.sink, clock=self.shop.clock, counts=self.counts
        )
        server = IngestServer([receivers.mount])
        bound = await server.start(Address("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{bound.port}/connect/negozio"
        return server

    async def push(self, order: int) -> int:
        """Let the shop push an order; return the status."""
        if isinstance(self.shop, PrestaShop):
            delivery = module.signed(module.push("orders", order), time=self.shop.clock.now())
            body, headers = delivery.body, dict(delivery.headers)
        else:
            row = next(each for each in self.shop.tables["orders"] if each["entity_id"] == order)
            body = adobe.event(adobe.ORDER_SAVED, row)
            headers = adobe.signatures(body)
        async with (
            ClientSession() as session,
            session.post(self.address, data=body, headers=headers) as response,
        ):
            return response.status

    async def poll(self) -> None:
        """Poll once."""
        await self.polling.poll(self.connector)

    def order(self, id_: int) -> None:
        """Place an order of 52 euros, of customer 12."""
        if isinstance(self.shop, PrestaShop):
            self.shop.add_order(id_, 12)
        else:
            self.shop.add_order(id_)

    def refund(self, id_: int, order: int, total: str) -> None:
        """Give a part of an order back."""
        now = self.shop.local() if isinstance(self.shop, PrestaShop) else self.shop.now()
        if isinstance(self.shop, PrestaShop):
            self.shop.tables["order_slip"].append(
                {"id": str(id_), "id_customer": "12", "id_order": str(order),
                 "total_products_tax_incl": total, "total_shipping_tax_incl": "0.000000",
                 "date_add": now, "date_upd": now}
            )  # fmt: skip
        else:
            self.shop.tables["creditmemos"].append(
                {"entity_id": id_, "order_id": order, "base_grand_total": float(total),
                 "state": 2, "created_at": now, "updated_at": now}
            )  # fmt: skip

    def told(self) -> list[Record]:
        """Return the events in the log."""
        return [each for partition in self.log.topics[CUSTOMER_EVENTS] for each in partition
                if each.key is not None]  # fmt: skip


@pytest.fixture(params=["prestashop", "magento"])
async def connected(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Connected]:
    for name, value in {"PRESTA_KEY": KEY, "NEW": module.SECRET, "MAGENTO_TOKEN": TOKEN}.items():
        monkeypatch.setenv(name, value)
    clock = VirtualClock(MARCH)
    shop: PrestaShop | MagentoShop
    connector: PrestaShopConnector | MagentoConnector
    if request.param == "prestashop":
        shop = PrestaShop(clock)
        there = presta.connection(await shop.start(), secret="env:NEW", live_since=MARCH)
        connector = PrestaShopConnector(there, clock)
    else:
        shop = MagentoShop(clock)
        here = magento.connection(await shop.start(), client_id=adobe.CLIENT, live_since=MARCH)
        connector = MagentoConnector(here, clock, fetch_key=adobe.Adobe().fetch)
    connector._api._pause = presta.at_once
    shop.add_customer(12, "anna@example.it")
    made = Connected(shop, connector, tmp_path)
    server = await made.start()
    yield made
    await server.stop()
    await connector.close()
    await shop.stop()


def play(records: Iterable[Record], *customers: str) -> list[Customer]:
    """Return what customers are after these events; no workflow is live but the shipped ones."""
    harness = played(records)
    return [harness.customer(each) for each in customers]


def played(records: Iterable[Record]) -> Harness:
    """Return a partition that has had these events."""
    harness = Harness()
    harness.now = START
    for record in records:
        harness.append(OutRecord(record.key, record.value, record.headers))
    return harness


def of_file(path: Path) -> Iterator[OutRecord]:
    """Yield the events of a file as they are published."""
    for line in path.read_bytes().splitlines():
        yield to_record(parse_published(line))


async def test_push_poll_and_history_of_an_order_are_one_order(connected: Connected) -> None:
    connected.order(71)
    assert await connected.push(71) == 200
    assert await connected.push(71) == 200
    connected.shop.clock.advance(MARCH + MINUTE_MS)
    await connected.poll()
    await backfill(connected.connector, ["customers", "orders"], connected.sink,
                   data_dir=connected.data_dir)  # fmt: skip
    records = connected.told()
    completed = [each for each in records if dict(each.headers)["ce_type"] == b"order.completed"]
    assert len(completed) == 4
    assert len({dict(each.headers)["ce_id"] for each in completed}) == 1
    (anna,) = play(records, "12")
    assert anna.statistics.count == 1 and anna.statistics.spent["EUR"] == Decimal(52)


async def test_an_order_of_a_file_is_the_one_that_is_polled(
    connected: Connected, tmp_path: Path
) -> None:
    connected.order(71)
    await connected.poll()
    if isinstance(connected.shop, PrestaShop):
        file = (
            "id_order,id_customer,email,date_add,total_paid_tax_incl,iso_code,os_name\n"
            "71,12,anna@example.it,2026-03-02 10:15:00,52.000000,EUR,Pagamento accettato\n"
        )
    else:
        file = (
            "ID,Purchase Date,Grand Total (Purchased),Customer Email,Status\n"
            "000000071,2026-03-02 10:15:00,52.00,anna@example.it,Processing\n"
        )
    (tmp_path / "ordini.csv").write_text(file, encoding="utf-8")
    source = dict(connected.told()[0].headers)["ce_source"].decode()
    out = str(tmp_path / "eventi.ndjson")
    arguments = ["import", str(tmp_path / "ordini.csv"), "--source", source, "--out", out]
    assert await asyncio.to_thread(run_arguments, arguments) == 0
    read = list(of_file(Path(out)))
    polled = [OutRecord(each.key, each.value, each.headers) for each in connected.told()]
    named = b"71" if isinstance(connected.shop, PrestaShop) else b"000000071"
    for records in (read + polled, polled + read):
        told = [each for each in records if dict(each.headers)["ce_type"] == b"order.completed"]
        ids = {dict(each.headers)["ce_id"] for each in told}
        assert ids == {b"order:%s:completed" % named}
        harness = Harness()
        for each in records:
            harness.append(each)
        assert harness.customer("12").statistics.count == 1
        assert harness.customer("12").statistics.spent["EUR"] == Decimal(52)


async def test_refunds_add_up_and_never_to_more_than_was_paid(connected: Connected) -> None:
    connected.order(71)
    connected.refund(5, 71, "10.0")
    await connected.poll()
    (anna,) = play(connected.told(), "12")
    assert anna.statistics.refunded["EUR"] == Decimal(10)
    connected.shop.clock.advance(MARCH + 10 * MINUTE_MS)
    connected.refund(6, 71, "42.0")
    connected.refund(7, 71, "42.0")
    await connected.poll()
    (anna,) = play(connected.told(), "12")
    assert anna.statistics.refunded["EUR"] == Decimal(52)


async def test_in_whatever_order_it_comes_it_is_the_same(connected: Connected) -> None:
    connected.order(71)
    await connected.poll()
    connected.shop.clock.advance(MARCH + 10 * MINUTE_MS)
    connected.refund(5, 71, "10.0")
    if isinstance(connected.shop, PrestaShop):
        connected.shop.move(71, 4)
    else:
        connected.shop.touch(connected.shop.tables["orders"][0], state="complete")
        now = connected.shop.now()
        connected.shop.tables["shipments"].append(
            {"entity_id": 7, "order_id": 71, "created_at": now, "updated_at": now, "tracks": []}
        )
    await connected.poll()
    by_id = {dict(each.headers)["ce_id"]: each for each in connected.told()}
    orders = [each for id_, each in by_id.items() if not id_.startswith(b"customer")]
    assert len(orders) >= 4
    outcomes = set()
    for some in itertools.permutations(orders[:5]):
        (anna,) = play(some, "12")
        (order,) = anna.orders
        numbers = anna.statistics
        outcomes.add((numbers.count, str(numbers.spent), str(numbers.refunded), order.status,
                      str(order.total), order.time))  # fmt: skip
    assert len(outcomes) == 1
    assert next(iter(outcomes))[3] == "shipped"


async def test_a_guests_order_is_the_accounts(connected: Connected) -> None:
    if isinstance(connected.shop, PrestaShop):
        connected.shop.add_customer(13, "bea@example.it", is_guest="1")
        connected.shop.add_order(71, 13)
    else:
        connected.shop.add_order(71, customer_is_guest=1, customer_id=None,
                                 customer_email="bea@example.it")  # fmt: skip
    await connected.poll()
    connected.shop.clock.advance(MARCH + 10 * MINUTE_MS)
    connected.shop.add_customer(14, "Bea@example.it")
    await connected.poll()
    harness = played(connected.told())
    bea = harness.customer("14")
    assert bea.statistics.count == 1 and bea.profile.email.lower() == "bea@example.it"
    assert {each.became for each in map(harness.customer, bea.visitors)} == {"14"}


async def test_while_the_log_is_down_the_shop_is_to_send_it_again(connected: Connected) -> None:
    def down(topic: str, _partition: int, _records: Sequence[OutRecord]) -> int | None:
        if topic == CUSTOMER_EVENTS:
            raise LogUnavailable("the broker does not answer")
        return None

    connected.order(71)
    connected.log.fault = down
    assert await connected.push(71) == 503
    with pytest.raises(LogUnavailable):
        await connected.poll()
    connected.log.fault = lambda *_: None
    assert await connected.push(71) == 200
    await connected.poll()
    (anna,) = play(connected.told(), "12")
    assert anna.statistics.count == 1


@pytest.mark.parametrize("says", ["<html>In manutenzione</html>", "{}", '{"errors": []}', '""'])
async def test_a_shop_in_maintenance_has_told_nothing(connected: Connected, says: str) -> None:
    """Its page is no empty list: what happens meanwhile must not be passed over."""
    await connected.poll()
    connected.order(71)
    connected.shop.says = says
    for minutes in (5, 10):
        connected.shop.clock.advance(MARCH + minutes * MINUTE_MS)
        with pytest.raises(ShopUnavailable):
            await connected.poll()
    connected.shop.says = ""
    await connected.poll()
    (anna,) = play(connected.told(), "12")
    assert anna.statistics.count == 1


async def test_history_starts_no_workflow(connected: Connected) -> None:
    connected.shop.clock.advance(MARCH + MINUTE_MS)
    for id_ in range(71, 91):
        connected.order(id_)
    await backfill(connected.connector, connected.connector.resources, connected.sink,
                   data_dir=connected.data_dir)  # fmt: skip
    harness = played(connected.told()).at(90 * 86_400)
    assert harness.customer("12").statistics.count == 20
    assert harness.commands == []


async def test_a_wrong_signature_leaves_nothing_behind(connected: Connected) -> None:
    async with (
        ClientSession() as session,
        session.post(connected.address, json={"resource": "orders", "ids": [71]}) as response,
    ):
        assert response.status == 401
    assert connected.told() == []
    assert connected.counts.deliveries["negozio", "unsigned"] == 1


async def test_only_adobes_challenge_is_answered(connected: Connected) -> None:
    query = {"challenge": "8ec8d794-e0ab-42df-9017-e3dada8e84f7"}
    async with ClientSession() as session, session.get(connected.address, params=query) as answer:
        text = await answer.text()
        if isinstance(connected.shop, PrestaShop):
            assert answer.status == 404
        else:
            assert (answer.status, text, answer.content_type) == (
                200, query["challenge"], "text/plain",
            )  # fmt: skip


async def test_a_poll_that_fails_in_the_middle_goes_on(connected: Connected) -> None:
    for id_ in range(71, 71 + 130):
        connected.order(id_)
        connected.shop.clock.advance(connected.shop.clock.now() + 1_000)
    written = itertools.count()

    def fails_once(topic: str, _partition: int, records: Sequence[OutRecord]) -> int | None:
        if topic == CUSTOMER_EVENTS and next(written) == 2:
            return len(records) // 2
        return None

    connected.log.fault = fails_once
    for _ in range(3):
        try:
            await connected.poll()
        except Exception as error:  # the double's own crash
            assert "Crash" in type(error).__name__
    (anna,) = play(connected.told(), "12")
    assert anna.statistics.count == 130
    state = json.loads((connected.data_dir / "connect" / "negozio.json").read_text())
    assert "through" in state["cursors"]["orders"]
