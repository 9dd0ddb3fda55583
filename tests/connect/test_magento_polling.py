"""A Magento is polled: whatever happens there is told once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.events import Event
from schemas.instant import from_datetime
from schemas.time_units import MINUTE_MS
from streams.clock import VirtualClock
from streams.connect.connector import ShopNews
from streams.connect.magento.connector import HISTORY_PAGE, PAGE, MagentoConnector
from streams.connect.magento.settings import MagentoConnection
from tests.connect.heard import hear, order_kept
from tests.connect.magento_shop import TOKEN, MagentoShop, item, product
from tests.harness import Harness

MARCH = from_datetime(datetime(2026, 3, 2, 9, 15, tzinfo=UTC))


async def at_once(_seconds: float) -> None:
    """Nobody waits in a test."""


class Polled:
    """A shop and a connector that polls it, with what it was told."""

    def __init__(self, shop: MagentoShop, connector: MagentoConnector) -> None:
        self.shop = shop
        self.connector = connector
        self.cursors: dict[str, str] = {}
        self.last = ShopNews()

    async def poll(self, *resources: str) -> list[Event]:
        """Poll once; return what was told."""
        self.last = ShopNews()
        for resource in resources or ("orders",):
            cursor = self.cursors.get(resource, "")
            pages = self.connector.changed(
                resource, cursor, since=MARCH - MINUTE_MS, now=self.shop.clock.now()
            )
            async for page in pages:
                self.connector.heard(page.news)
                self.last.add(page.news)
                self.cursors[resource] = page.cursor
        return self.last.events

    def pass_(self, minutes: float) -> None:
        """Let time pass."""
        self.shop.clock.advance(self.shop.clock.now() + int(minutes * MINUTE_MS))


def connection(url: str, **fields: Any) -> MagentoConnection:
    """Return a connection to a shop at an address."""
    return MagentoConnection.model_validate(
        {"name": "negozio", "kind": "magento", "url": url, "token": "env:MAGENTO_TOKEN", **fields}
    )


@pytest.fixture
async def polled(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Polled]:
    monkeypatch.setenv("MAGENTO_TOKEN", TOKEN)
    shop = MagentoShop(VirtualClock(MARCH))
    made = MagentoConnector(connection(await shop.start()), shop.clock)
    made._api._pause = at_once
    yield Polled(shop, made)
    await made.close()
    await shop.stop()


def of(events: list[Event], type_: str) -> list[Event]:
    return [each for each in events if each.type == type_]


async def test_an_order_is_told_in_utc_and_to_the_cent(polled: Polled) -> None:
    polled.shop.add_order(301, coupon_code="MARZO", discount_amount=-5.1)
    (event,) = await polled.poll()
    assert (event.type, event.id) == ("order.completed", "order:000000301:completed")
    assert event.customer == "12" and event.named and event.time == MARCH
    said = event.data.model_dump(mode="json", exclude_none=True)
    assert (said["order_id"], said["total"], said["discount"]) == ("000000301", "52.00", "5.10")
    assert (said["subtotal"], said["shipping"], said["tax"]) == ("47.10", "4.90", "9.38")
    assert (said["coupon"], said["cart_id"], said["email"]) == ("MARZO", "1301", "anna@example.it")
    assert [(line["product_id"], line["price"]) for line in said["products"]] == [
        ("MOKA-3", "47.10")
    ]


async def test_a_configurable_product_is_one_line_and_so_is_a_bundle(polled: Polled) -> None:
    polled.shop.add_order(
        301,
        items=[
            item(1, sku="T-M-ROSSO", name="Maglia", product_type="configurable", qty_ordered=2),
            item(2, sku="T-M-ROSSO", name="Maglia-M-Rosso", parent_item_id=1, price_incl_tax=0),
            item(3, sku="CESTO", name="Cesto", product_type="bundle", price_incl_tax=0),
            item(4, sku="A", parent_item_id=3, price_incl_tax=10, row_total_incl_tax=10),
            item(5, sku="B", parent_item_id=3, price_incl_tax=5, row_total_incl_tax=15.5),
        ],
    )
    (event,) = await polled.poll()
    lines = [
        (each.product_id, each.variant, each.quantity, str(each.price))
        for each in event.data.products
    ]
    assert lines == [("T-M-ROSSO", "Maglia-M-Rosso", 2, "47.10"), ("CESTO", None, 1, "25.50")]


@pytest.mark.parametrize(
    ("state", "method", "complete_on", "told"),
    [
        ("new", "banktransfer", "paid", True),
        ("new", "stripe", "paid", False),
        ("pending_payment", "stripe", "paid", False),
        ("pending_payment", "stripe", "created", True),
        ("payment_review", "stripe", "paid", False),
        ("processing", "stripe", "paid", True),
        ("complete", "stripe", "paid", True),
    ],
)
async def test_when_an_order_is_a_purchase(
    polled: Polled, state: str, method: str, complete_on: str, told: bool
) -> None:
    url = polled.connector._shop_connection.url
    connector = MagentoConnector(connection(url, complete_on=complete_on), polled.shop.clock)
    polled.shop.add_order(301, state, payment={"method": method})
    again = Polled(polled.shop, connector)
    assert bool(of(await again.poll(), "order.completed")) is told
    await connector.close()


async def test_sums_are_in_the_shops_currency(polled: Polled) -> None:
    polled.shop.add_order(
        301,
        order_currency_code="CHF",
        grand_total=49.4,
        items=[item(501, price_incl_tax=44.75, base_price_incl_tax=47.1)],
    )
    (event,) = await polled.poll()
    assert (str(event.data.total), event.data.currency) == ("52.00", "EUR")
    assert str(event.data.products[0].price) == "47.10"
    assert event.data.subtotal is None  # only there in francs


async def test_a_shipment_tells_its_parcel_and_complete_is_not_delivered(polled: Polled) -> None:
    polled.shop.add_order(301, "complete")
    polled.shop.tables["shipments"].append(
        {"entity_id": 7, "increment_id": "000000007", "order_id": 301,
         "created_at": polled.shop.now(), "updated_at": polled.shop.now(),
         "items": [{"order_item_id": 501, "sku": "MOKA-3", "qty": 1}],
         "tracks": [{"track_number": "IT123", "title": "Corriere", "carrier_code": "custom"}]}
    )  # fmt: skip
    events = await polled.poll("orders", "shipments")
    assert [each.id for each in events] == [
        "order:000000301:completed",
        "shipment:7:shipped:IT123",
    ]
    assert (events[1].data.order_id, events[1].data.carrier) == ("000000301", "Corriere")
    assert [line.product_id for line in events[1].data.products] == ["MOKA-3"]


async def test_credit_memos_are_refunds_in_part(polled: Polled) -> None:
    polled.shop.add_order(301)
    for id_, total, state in ((5, 10.0, 2), (6, 42.0, 2), (7, 52.0, 3)):
        polled.shop.tables["creditmemos"].append(
            {"entity_id": id_, "order_id": 301, "grand_total": total, "base_grand_total": total,
             "state": state, "created_at": polled.shop.now(), "updated_at": polled.shop.now(),
             "items": [{"order_item_id": 501, "sku": "MOKA-3", "qty": 1}]}
        )  # fmt: skip
    events = await polled.poll("creditmemos")
    assert [(each.id, str(each.data.sum())) for each in events] == [
        ("creditmemo:5", "10.00"),
        ("creditmemo:6", "42.00"),
    ]
    assert polled.last.passed_over == 1


async def test_a_change_is_an_update_and_a_cancellation_is_told(polled: Polled) -> None:
    row = polled.shop.add_order(301)
    await polled.poll()
    polled.pass_(30)
    polled.shop.touch(row, grand_total=40.0, base_grand_total=40.0)
    events = await polled.poll()
    assert [each.type for each in events] == ["order.completed", "order.updated"]
    assert str(events[1].data.total) == "40.00" and events[1].time == MARCH + 30 * MINUTE_MS
    polled.pass_(30)
    polled.shop.touch(row, state="canceled")
    assert of(await polled.poll(), "order.cancelled")[0].id == "order:000000301:cancelled"


async def test_an_order_that_is_paid_after_a_cancellation_lives(polled: Polled) -> None:
    row = polled.shop.add_order(301, "canceled")
    heard = await polled.poll()
    assert of(heard, "order.cancelled")
    polled.pass_(30)
    polled.shop.touch(row, state="processing")
    harness = hear(Harness(), [*heard, *await polled.poll()])
    kept = order_kept(harness, heard[0].customer, "000000301")
    assert kept is not None and kept.status not in ("cancelled", "refunded")


async def test_a_guest_is_a_visitor_and_the_account_with_that_address_is_that_visitor(
    polled: Polled,
) -> None:
    polled.shop.add_order(301, customer_is_guest=1, customer_id=None)
    polled.shop.add_customer(
        12, "Anna@example.it",
        addresses=[{"default_billing": True, "city": "Milano", "country_id": "IT"}],
    )  # fmt: skip
    events = await polled.poll("orders", "customers")
    ordered, created = events
    assert ordered.customer == ordered.anonymous_id and not ordered.named
    assert created.customer == "12" and created.anonymous_id == ordered.customer
    assert (created.data.city, created.data.country, created.data.locale) == (
        "Milano", "IT", "it-IT",
    )  # fmt: skip


async def test_an_objection_is_heard_and_a_yes_of_long_ago_overrides_nothing(
    polled: Polled, tmp_path: Path
) -> None:
    polled.connector.keep_in(tmp_path / "connect")
    yes = {"extension_attributes": {"is_subscribed": True}}
    no = {"extension_attributes": {"is_subscribed": False}}
    anna = polled.shop.add_customer(12, "anna@example.it", **yes)
    bea = polled.shop.add_customer(13, "bea@example.it", **no)
    told = of(await polled.poll("customers"), "list.subscribed")
    assert [(each.customer, each.time) for each in told] == [("12", MARCH)]

    polled.pass_(60)  # both move house: nobody has said anything to the newsletter
    polled.shop.touch(anna, lastname="Neri")
    polled.shop.touch(bea, lastname="Neri")
    assert {each.type for each in await polled.poll("customers")} == {
        "customer.created",
        "customer.updated",
    }

    polled.pass_(60)
    polled.shop.touch(anna, **no)
    polled.shop.touch(bea, **yes)
    said = [each for each in await polled.poll("customers") if each.type.startswith("list.")]
    assert [(each.customer, each.type) for each in said] == [
        ("12", "list.unsubscribed"),
        ("13", "list.subscribed"),
    ]
    assert {each.time for each in said} == {MARCH + 120 * MINUTE_MS}
    polled.pass_(1)
    assert not [each for each in await polled.poll("customers") if each.type.startswith("list.")]


async def test_an_open_quote_is_a_checkout(polled: Polled) -> None:
    shop = polled.shop
    lines = [{"item_id": 1, "sku": "MOKA-3", "qty": 2, "name": "Moka 3 tazze", "price": 47.1}]
    known = {"id": 12, "email": "anna@example.it"}
    for id_, active, customer, guest, billing in (
        (88, True, known, False, {}),
        (89, False, known, False, {}),
        (90, True, {"email": None}, True, {"email": None}),
        (91, True, {"email": None}, True, {"email": "ospite@example.it"}),
    ):
        shop.tables["carts"].append(
            {"id": id_, "is_active": active, "items_count": 1, "customer": customer,
             "customer_is_guest": guest, "billing_address": billing, "items": lines,
             "currency": {"quote_currency_code": "EUR"}, "created_at": shop.now(),
             "updated_at": shop.now()}
        )  # fmt: skip
    first, guest_ = await polled.poll("carts")
    assert first.type == "checkout.started" and first.customer == "12"
    assert (first.data.cart_id, first.data.email) == ("88", "anna@example.it")
    assert [(each.product_id, each.quantity) for each in first.data.products] == [("MOKA-3", 2)]
    assert guest_.data.cart_id == "91" and not guest_.named
    assert polled.last.passed_over == 2


async def test_products_are_known_by_sku_with_what_goes_with_them(polled: Polled) -> None:
    moka = product(9, "MOKA-3", 49.9, special_price="47.1", special_to_date="2026-03-02 00:00:00")
    moka["product_links"] = [
        {"link_type": "crosssell", "linked_product_sku": "CAFFE"},
        {"link_type": "upsell", "linked_product_sku": "MOKA-6"},
    ]
    shirt = product(20, "MAGLIA", 0)
    shirt["type_id"] = "configurable"
    shirt["extension_attributes"]["configurable_product_links"] = [18, 19]
    late = product(21, "CAFFE", 5.0, special_price="4", special_from_date="2026-04-01 00:00:00")
    off = product(22, "VECCHIO", 5.0)
    off["status"] = 2
    free = product(23, "SENZA", 0)
    polled.shop.tables["products"] = [
        moka, product(18, "M-S", 19.9), product(19, "M-M", 17.9), shirt, late, off, free,
    ]  # fmt: skip
    polled.shop.tables["categories"] = [{"id": 3, "name": "Cucina"}]
    await polled.poll("products")
    found = {each.sku: each for each in polled.last.products}
    assert "SENZA" not in found
    known = found["MOKA-3"]
    assert (str(known.price), str(known.list_price), known.category) == ("47.10", "49.90", "Cucina")
    assert (known.complements, known.upgrades) == (["CAFFE"], ["MOKA-6"])
    assert known.image_url == "https://cdn.example.it/media/catalog/product/m/o/x.jpg"
    assert known.url is not None and known.url.endswith("/moka-3.html")
    assert str(found["MAGLIA"].price) == "17.90"
    assert str(found["CAFFE"].price) == "5.00"
    assert found["VECCHIO"].availability == "out_of_stock"


async def test_pages_end_though_the_last_one_comes_again(polled: Polled) -> None:
    polled.shop.most_pages = 12
    for id_ in range(1, 2 * PAGE + 51):
        polled.shop.add_order(id_)
        polled.pass_(0.1)
    events = await polled.poll()
    assert len({each.id for each in events}) == 2 * PAGE + 50


async def test_an_order_that_is_changed_while_pages_are_read_costs_no_other(polled: Polled) -> None:
    rows = []
    for id_ in range(1, 2 * PAGE + 51):
        rows.append(polled.shop.add_order(id_))
        polled.pass_(0.1)
    moved = iter(rows)

    def life(table: str) -> None:
        if table == "orders":
            polled.shop.touch(next(moved), state="complete")

    polled.shop.on_page = life
    told = {each.id for each in of(await polled.poll(), "order.completed")}
    polled.shop.on_page = None
    polled.pass_(1)
    told |= {each.id for each in of(await polled.poll(), "order.completed")}
    assert told == {f"order:{id_:09}:completed" for id_ in range(1, 2 * PAGE + 51)}


async def test_a_second_that_fills_pages_is_read_by_id(polled: Polled) -> None:
    for id_ in range(1, 2 * PAGE + 11):
        polled.shop.add_order(id_)
    polled.pass_(0.5)
    polled.shop.add_order(900)
    polled.pass_(1)
    events = await polled.poll()
    assert len(events) == len({each.id for each in events}) == 2 * PAGE + 11


async def test_history_tells_how_much_there_is_and_goes_on(polled: Polled) -> None:
    for id_ in range(1, HISTORY_PAGE + 11):
        polled.shop.add_order(id_)
    pages = [page async for page in polled.connector.history("orders", "")]
    assert [(page.rows, page.total) for page in pages] == [
        (HISTORY_PAGE, HISTORY_PAGE + 10),
        (10, HISTORY_PAGE + 10),
    ]
    rest = [page async for page in polled.connector.history("orders", pages[0].cursor)]
    assert [page.rows for page in rest] == [10]


async def test_check_tells_rights_and_a_wrong_token(polled: Polled) -> None:
    polled.shop.throttled = 1
    polled.shop.forbidden = {"carts", "storeConfigs"}
    checks = {each.name: each for each in await polled.connector.check()}
    assert checks["rest"].status == "ok" and checks["clock"].status == "ok"
    assert checks["rights of the token"].text == "not allowed: carts"
    url = polled.connector._shop_connection.url
    polled.connector._token = None
    stranger = MagentoConnector(connection(url, token="env:PATH"), polled.shop.clock)
    checks = {each.name: each for each in await stranger.check()}
    assert checks["rest"].status == "fail" and "bearer" in checks["rest"].remedy
    await stranger.close()


def test_a_connection_with_neither_token_nor_client_is_refused() -> None:
    with pytest.raises(ValueError, match="token or client_id"):
        connection("https://negozio.example.it", token=None)
