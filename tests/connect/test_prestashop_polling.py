"""A PrestaShop is polled: whatever happens there is told once, also at night in October."""

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
from streams.connect.connector import ShopNews, ShopRefuses, ShopUnavailable
from streams.connect.prestashop.connector import HISTORY_PAGE, PAGE, PrestaShopConnector
from streams.connect.prestashop.settings import PrestaShopConnection
from tests.connect.prestashop_shop import KEY, PrestaShop, order_row, product

MARCH = from_datetime(datetime(2026, 3, 2, 9, 15, tzinfo=UTC))
OCTOBER = from_datetime(datetime(2026, 10, 25, 0, 0, tzinfo=UTC))
"""02:00 in Rome; an hour later it is 02:00 again."""


async def at_once(_seconds: float) -> None:
    """Nobody waits in a test."""


class Polled:
    """A shop and a connector that polls it, with what it was told."""

    def __init__(self, shop: PrestaShop, connector: PrestaShopConnector) -> None:
        self.shop = shop
        self.connector = connector
        self.cursors: dict[str, str] = {}
        self.since = shop.clock.now()
        self.last = ShopNews()

    async def poll(self, *resources: str) -> list[Event]:
        """Poll once; return what was told."""
        self.last = ShopNews()
        for resource in resources or ("orders",):
            pages = self.connector.changed(
                resource,
                self.cursors.get(resource, ""),
                since=self.since,
                now=self.shop.clock.now(),
            )
            async for page in pages:
                self.connector.heard(page.news)
                self.last.add(page.news)
                self.cursors[resource] = page.cursor
        return self.last.events

    def pass_(self, minutes: float) -> None:
        """Let time pass."""
        self.shop.clock.advance(self.shop.clock.now() + int(minutes * MINUTE_MS))


def connection(url: str, **fields: Any) -> PrestaShopConnection:
    """Return a connection to a shop at an address."""
    return PrestaShopConnection.model_validate(
        {"name": "negozio", "kind": "prestashop", "url": url, "key": "env:PRESTA_KEY", **fields}
    )


@pytest.fixture
async def polled(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Polled]:
    async for each in _polled(monkeypatch, MARCH):
        yield each


@pytest.fixture
async def october(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Polled]:
    async for each in _polled(monkeypatch, OCTOBER - 10 * MINUTE_MS):
        yield each


async def _polled(
    monkeypatch: pytest.MonkeyPatch, now: int, **fields: Any
) -> AsyncIterator[Polled]:
    monkeypatch.setenv("PRESTA_KEY", KEY)
    clock = VirtualClock(now)
    shop = PrestaShop(clock)
    url = await shop.start()
    made = PrestaShopConnector(connection(url, **fields), clock)
    made._api._pause = at_once
    yield Polled(shop, made)
    await made.close()
    await shop.stop()


def of(events: list[Event], type_: str) -> list[Event]:
    return [each for each in events if each.type == type_]


async def test_an_order_is_told_with_all_that_belongs_to_it(polled: Polled) -> None:
    polled.shop.add_customer(12, "Anna.Verdi@example.it")
    polled.shop.add_order(
        71,
        12,
        reference="XKBKNABJK",
        total_discounts_tax_incl="5.000000",
        associations={"order_rows": [order_row(140, product_attribute_id="33")]},
    )
    polled.shop.tables["order_cart_rules"] = [{"id": "1", "id_order": "71", "id_cart_rule": "8"}]
    polled.shop.tables["cart_rules"] = [{"id": "8", "code": "BENVENUTO5"}]
    polled.pass_(1)
    (event,) = await polled.poll()
    assert (event.type, event.id) == ("order.completed", "order:71:completed")
    assert event.source.startswith("prestashop:127.0.0.1")
    assert event.customer == "12" and event.named
    assert event.time == MARCH  # 10:15 in Rome
    said = event.data.model_dump(mode="json", exclude_none=True)
    assert said["order_id"] == "71"  # as files of its database have it
    assert (said["total"], said["subtotal"], said["shipping"]) == ("52.00", "47.10", "4.90")
    assert (said["tax"], said["discount"], said["coupon"]) == ("9.38", "5.00", "BENVENUTO5")
    assert (said["currency"], said["cart_id"]) == ("EUR", "1071")
    assert said["email"] == "Anna.Verdi@example.it"
    line = said["products"][0]
    assert (line["product_id"], line["sku"], line["variant"]) == ("9", "MOKA-3", "33")
    assert (line["price"], line["quantity"]) == ("47.10", 1)


async def test_a_shop_without_orders_answers_an_empty_list(polled: Polled) -> None:
    assert await polled.poll() == []
    assert polled.last == ShopNews()


async def test_a_transfer_is_a_purchase_once_it_has_come(polled: Polled) -> None:
    polled.shop.add_customer(12, "anna@example.it")
    polled.shop.add_order(71, 12, 10)
    polled.pass_(1)
    assert await polled.poll() == []
    polled.pass_(60 * 24)
    polled.shop.move(71, 2)
    polled.pass_(1)
    events = await polled.poll()
    assert [each.id for each in of(events, "order.completed")] == ["order:71:completed"]
    assert of(events, "order.completed")[0].time == MARCH


async def test_states_are_known_by_flags_and_configuration_and_not_by_ids(polled: Polled) -> None:
    polled.shop.add_customer(12, "anna@example.it")
    for order, states in {71: (2, 3), 72: (2, 4, 5), 73: (2, 23), 74: (10, 6), 75: (2, 7)}.items():
        polled.shop.add_order(order, 12, states[0])
        for each in states[1:]:
            polled.pass_(1)
            polled.shop.move(order, each)
    polled.shop.tables["order_carriers"] = [
        {"id": "1", "id_order": "72", "id_carrier": "4", "tracking_number": "IT123"}
    ]
    polled.shop.tables["carriers"] = [
        {"id": "4", "name": "Corriere", "url": "https://corriere.example.it/?n=@"}
    ]
    polled.pass_(1)
    told = {each.id: each for each in await polled.poll() if each.type != "order.updated"}
    assert set(told) == {
        "order:71:completed",
        "order:72:completed",
        "order:72:shipped:IT123",
        "order:72:delivered",
        "order:73:completed",
        "order:73:cancelled",
        "order:74:cancelled",
        "order:75:completed",
        "order:75:refunded",
    }
    shipped = told["order:72:shipped:IT123"]
    assert shipped.data.tracking_url == "https://corriere.example.it/?n=IT123"
    assert shipped.time is not None and told["order:72:delivered"].time is not None
    assert told["order:72:delivered"].time - shipped.time == MINUTE_MS


async def test_two_orders_of_one_cart_are_two(polled: Polled) -> None:
    polled.shop.add_customer(12, "anna@example.it")
    polled.shop.add_order(71, 12, reference="ABCDEFGHI", id_cart="88")
    polled.shop.add_order(72, 12, reference="ABCDEFGHI", id_cart="88")
    events = await polled.poll()
    assert [each.data.order_id for each in events] == ["71", "72"]


async def test_credit_notes_are_refunds_in_part(polled: Polled) -> None:
    polled.shop.add_customer(12, "anna@example.it")
    polled.shop.add_order(71, 12)
    for id_, goods, shipping in ((5, "10.000000", "0.000000"), (6, "37.100000", "4.900000")):
        polled.shop.tables["order_slip"].append(
            {"id": str(id_), "id_customer": "12", "id_order": "71", "conversion_rate": "1",
             "total_products_tax_incl": goods, "total_shipping_tax_incl": shipping,
             "date_add": polled.shop.local(), "date_upd": polled.shop.local(),
             "associations": {"order_slip_details": [
                 {"id": "1", "id_order_detail": "571", "product_quantity": "1"}]}}
        )  # fmt: skip
    events = await polled.poll("order_slip")
    assert [(each.id, str(each.data.sum())) for each in events] == [
        ("order_slip:5", "10.00"),
        ("order_slip:6", "42.00"),
    ]
    assert events[0].data.order_id == "71"
    assert [line.product_id for line in events[0].data.products] == ["9"]


async def test_a_guest_is_a_visitor_and_the_account_with_that_address_is_that_visitor(
    polled: Polled,
) -> None:
    polled.shop.add_customer(12, "anna@example.it", is_guest="1")
    polled.shop.add_order(71, 12)
    polled.pass_(5)
    polled.shop.add_customer(13, "Anna@example.it", birthday="1980-05-01")
    events = await polled.poll("customers", "orders")
    created, ordered = of(events, "customer.created"), of(events, "order.completed")
    assert ordered[0].customer == ordered[0].anonymous_id and not ordered[0].named
    assert [each.customer for each in created] == ["13"]
    assert created[0].anonymous_id == ordered[0].customer
    assert created[0].data.birthday == "1980-05-01" and created[0].data.locale == "it-IT"


async def test_an_order_of_nobody_is_counted_and_told_to_nobody(polled: Polled) -> None:
    polled.shop.add_order(71, 0)
    assert await polled.poll() == []
    assert polled.last.passed_over == 1


async def test_consent_is_what_was_said_to_the_newsletter_with_date_and_ip(polled: Polled) -> None:
    polled.shop.add_customer(
        12,
        "anna@example.it",
        newsletter="1",
        newsletter_date_add="2026-03-01 18:00:00",
        ip_registration_newsletter="192.0.2.7",
    )
    polled.shop.add_customer(13, "bea@example.it", optin="1")
    polled.shop.add_customer(
        14, "carla@example.it", newsletter="0", newsletter_date_add="2026-02-01 18:00:00"
    )
    events = await polled.poll("customers")
    told = [each for each in events if each.type.startswith(("list.", "consent."))]
    assert [(each.customer, each.type) for each in told] == [
        ("12", "list.subscribed"),
        ("14", "list.unsubscribed"),
    ]
    assert told[0].data.ip == "192.0.2.7" and not told[0].data.confirmed
    assert told[0].time == from_datetime(datetime(2026, 3, 1, 17, 0, tzinfo=UTC))


async def test_a_no_to_the_newsletter_is_told_once(polled: Polled, tmp_path: Path) -> None:
    """Else whoever says yes to us afterwards would be off the list with each change of address."""
    polled.connector.keep_in(tmp_path / "connect")
    anna = polled.shop.add_customer(
        12, "anna@example.it", newsletter="1", newsletter_date_add="2026-03-01 18:00:00"
    )
    assert of(await polled.poll("customers"), "list.subscribed")
    for newsletter, lastname, told in (
        ("0", "Verdi", 1), ("0", "Neri", 0), ("0", "Bianchi", 0),
        ("1", "Bianchi", 0), ("0", "Bianchi", 1),
    ):  # fmt: skip
        polled.pass_(60)
        anna.update(newsletter=newsletter, lastname=lastname, date_upd=polled.shop.local())
        assert len(of(await polled.poll("customers"), "list.unsubscribed")) == told


async def test_a_message_to_the_shop_is_a_request_to_the_support(polled: Polled) -> None:
    polled.shop.add_customer(12, "anna@example.it")
    now = polled.shop.local()
    for id_, customer, order in (("3", "12", "71"), ("4", "0", "0")):
        polled.shop.tables["customer_threads"].append(
            {"id": id_, "id_customer": customer, "id_order": order, "status": "open",
             "email": "bea@example.it", "date_add": now, "date_upd": now}
        )  # fmt: skip
    known, stranger = await polled.poll("customer_threads")
    assert (known.type, known.customer, known.data.order_id) == ("support.requested", "12", "71")
    assert stranger.anonymous_id == stranger.customer and stranger.data.order_id is None


async def test_a_cart_that_is_no_order_is_a_checkout(polled: Polled) -> None:
    shop = polled.shop
    shop.add_customer(12, "anna@example.it")
    shop.add_order(71, 12, id_cart="88")
    shop.tables["products"] = [product(9, "Moka 3 tazze")]
    row = {"id_product": "9", "id_product_attribute": "0", "quantity": "2"}
    for id_, customer in (("88", "12"), ("89", "12"), ("90", "0")):
        shop.tables["carts"].append(
            {"id": id_, "id_customer": customer, "id_guest": "4", "id_currency": "2",
             "date_add": shop.local(), "date_upd": shop.local(),
             "associations": {"cart_rows": [row]}}
        )  # fmt: skip
    (event,) = await polled.poll("carts")
    assert event.type == "checkout.started" and event.id.startswith("cart:89:2026-03-02T09:15:00Z:")
    said = event.data
    assert (said.checkout_id, said.cart_id, said.currency) == ("89", "89", "CHF")
    line = said.products[0]
    assert (line.product_id, line.name, str(line.price), line.quantity) == (
        "9", "Moka 3 tazze", "47.10", 2,
    )  # fmt: skip
    assert polled.last.passed_over == 2
    shop.tables["carts"][1]["associations"] = []  # PHP's empty object
    shop.tables["carts"][1]["date_upd"] = shop.local(shop.clock.now() + MINUTE_MS)
    polled.pass_(2)
    (emptied,) = await polled.poll("carts")
    assert emptied.data.products == []


async def test_products_come_with_tax_and_stock_once_an_hour(polled: Polled) -> None:
    shop = polled.shop
    shop.tables["products"] = [
        product(9, "Moka 3 tazze", _gross="47.100000", _list="49.900000",
                associations={"accessories": [{"id": "10"}]}),
        product(10, "Caffè", active="0"),
        product(11, "Tazzina"),
    ]  # fmt: skip
    shop.tables["categories"] = [{"id": "3", "name": [{"id": "1", "value": "Cucina"}]}]
    shop.tables["stock_availables"] = [
        {"id": "1", "id_product": "9", "id_product_attribute": "0", "quantity": "4",
         "out_of_stock": "2"},
        {"id": "2", "id_product": "11", "id_product_attribute": "0", "quantity": "0",
         "out_of_stock": "2"},
    ]  # fmt: skip
    await polled.poll("products")
    moka, coffee, cup = polled.last.products
    assert (moka.sku, moka.id, moka.name, moka.category) == ("R-9", "9", "Moka 3 tazze", "Cucina")
    assert (str(moka.price), str(moka.list_price), moka.stock) == ("47.10", "49.90", 4)
    assert moka.complements == ["10"]
    assert moka.image_url is not None and moka.image_url.endswith("/img/p/1/2/5/125.jpg")
    assert [each.availability for each in (moka, coffee, cup)] == [
        "in_stock", "out_of_stock", "out_of_stock",
    ]  # fmt: skip
    polled.pass_(10)
    await polled.poll("products")
    assert polled.last.products == []
    polled.pass_(60)
    await polled.poll("products")
    assert len(polled.last.products) == 3


async def test_the_hour_that_repeats_in_october_loses_and_doubles_no_order(october: Polled) -> None:
    shop = october.shop
    shop.add_customer(12, "anna@example.it")
    placed: dict[str, int] = {}
    times: dict[str, int | None] = {}
    for id_ in range(71, 71 + 48):  # from 01:50 on, one in three minutes, for two hours and a half
        shop.add_order(id_, 12)
        placed[f"order:{id_}:completed"] = shop.clock.now()
        october.pass_(3)
        for event in await october.poll():
            times.setdefault(event.id, event.time)
    assert set(times) == set(placed)
    # What was placed in the second of the two hours may as well have been placed in the first.
    wrong = [placed[id_] - (times[id_] or 0) for id_ in placed if times[id_] != placed[id_]]
    assert wrong == [60 * MINUTE_MS] * 20


async def test_the_hour_that_is_missing_in_march_loses_no_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leap = from_datetime(datetime(2026, 3, 29, 1, 0, tzinfo=UTC))
    async for polled in _polled(monkeypatch, leap - 30 * MINUTE_MS):
        polled.shop.add_customer(12, "anna@example.it")
        told: set[str] = set()
        for id_ in range(71, 91):
            polled.shop.add_order(id_, 12)
            polled.pass_(3)
            told |= {each.id for each in await polled.poll()}
        assert told == {f"order:{id_}:completed" for id_ in range(71, 91)}


async def test_an_order_that_is_changed_while_pages_are_read_costs_no_other(polled: Polled) -> None:
    """By numbered pages the first row of the second page would be passed over."""
    polled.shop.add_customer(12, "anna@example.it")
    for id_ in range(1, 2 * PAGE + 51):
        polled.shop.add_order(id_, 12)
        polled.pass_(0.1)
    moved = iter(range(1, 30))

    def life(resource: str) -> None:
        if resource == "orders":
            polled.shop.move(next(moved), 4)

    polled.shop.on_page = life
    told = {each.id for each in of(await polled.poll(), "order.completed")}
    polled.shop.on_page = None
    polled.pass_(1)
    told |= {each.id for each in of(await polled.poll(), "order.completed")}
    assert told == {f"order:{id_}:completed" for id_ in range(1, 2 * PAGE + 51)}


async def test_a_second_that_fills_pages_is_read_by_id(polled: Polled) -> None:
    polled.shop.add_customer(12, "anna@example.it")
    for id_ in range(1, 2 * PAGE + 11):
        polled.shop.add_order(id_, 12)
    polled.pass_(0.5)
    polled.shop.add_order(900, 12)
    polled.pass_(1)
    events = await polled.poll()
    assert len(events) == len({each.id for each in events}) == 2 * PAGE + 11


async def test_a_poll_goes_on_where_it_was_interrupted(polled: Polled) -> None:
    polled.shop.add_customer(12, "anna@example.it")
    for id_ in range(1, 2 * PAGE + 1):
        polled.shop.add_order(id_, 12)
        polled.pass_(0.1)
    pages = polled.connector.changed("orders", "", since=MARCH, now=polled.shop.clock.now())
    first = await anext(pages)
    await pages.aclose()  # type: ignore[attr-defined]  # it is a generator
    polled.cursors["orders"] = first.cursor
    rest = await polled.poll()
    ids = [each.id for each in (*first.news.events, *rest)]
    assert len(ids) == len(set(ids)) == 2 * PAGE


async def test_a_shop_whose_clock_is_behind_loses_nothing(polled: Polled) -> None:
    polled.shop.skew = -10 * MINUTE_MS
    polled.shop.add_customer(12, "anna@example.it")
    polled.since -= 60 * MINUTE_MS
    told = set()
    for id_ in range(71, 76):
        polled.shop.add_order(id_, 12)
        polled.pass_(1)
        told |= {each.id for each in await polled.poll()}
    assert told == {f"order:{id_}:completed" for id_ in range(71, 76)}


async def test_a_shop_that_is_busy_is_asked_again_and_a_key_without_rights_is_told(
    polled: Polled,
) -> None:
    polled.shop.add_customer(12, "anna@example.it")
    polled.shop.add_order(71, 12)
    polled.shop.throttled = 2
    assert len(await polled.poll()) == 1
    polled.shop.broken = 100
    with pytest.raises(ShopUnavailable):
        await polled.poll()
    polled.shop.broken = 0
    polled.shop.forbidden = {"orders"}
    with pytest.raises(ShopRefuses):
        await polled.poll()


async def test_rights_that_are_missing_cost_what_they_are_about_and_are_told(
    polled: Polled,
) -> None:
    polled.shop.forbidden = {"configurations", "order_histories", "order_carriers"}
    polled.shop.add_customer(12, "anna@example.it")
    polled.shop.add_order(71, 12, 4)
    polled.pass_(1)
    assert {each.id for each in await polled.poll()} == {"order:71:completed", "order:71:shipped"}
    checks = {each.name: each for each in await polled.connector.check()}
    assert checks["web service"].status == "ok"
    assert "order_histories" in checks["rights of the key"].text
    assert checks["zone"].status == "warn"
    assert "cancelled: 6, 23" in checks["order states"].text  # by template and by name
    assert KEY not in repr(checks)


async def test_an_order_that_cannot_be_read_costs_itself(polled: Polled) -> None:
    polled.shop.add_customer(12, "anna@example.it")
    polled.shop.add_order(71, 12, date_add="domani")
    polled.shop.add_order(72, 12)
    events = await polled.poll()
    assert [each.id for each in events] == ["order:72:completed"]
    (unread,) = polled.last.unread
    assert "domani" in unread.why.detail and unread.key == b"12"


async def test_history_is_read_by_id_and_goes_on_where_it_was(polled: Polled) -> None:
    polled.shop.add_customer(12, "anna@example.it")
    for id_ in range(1, HISTORY_PAGE + 11):
        polled.shop.add_order(id_, 12)
    polled.shop.move(3, 6)
    pages = [page async for page in polled.connector.history("orders", "")]
    assert [page.rows for page in pages] == [HISTORY_PAGE, 10]
    ids = [each.id for page in pages for each in page.news.events]
    assert len(ids) == HISTORY_PAGE + 11 and "order:3:cancelled" in ids
    assert not any("updated" in each for each in ids)
    rest = [page async for page in polled.connector.history("orders", pages[0].cursor)]
    assert [page.rows for page in rest] == [10]
    assert [page async for page in polled.connector.history("carts", "")] == []


def test_a_connection_in_the_clear_is_refused() -> None:
    with pytest.raises(ValueError, match="https"):
        connection("http://negozio.example.it")
