"""Whatever stands in a field of a shop's row: it becomes events that can be published, or is
refused with a reason, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event
from schemas.records import Record
from schemas.wire import parse_record, to_record
from streams.connect.json_fields import Row
from streams.connect.magento import carts as magento_carts
from streams.connect.magento import orders as magento_orders
from streams.connect.magento import people as magento_people
from streams.connect.magento.products import Prices
from streams.connect.magento.products import fed_product as magento_product
from streams.connect.prestashop import carts, orders, people
from streams.connect.prestashop.products import fed_product
from streams.connect.prestashop.receiver import facts_of_sign_up
from streams.connect.prestashop.states import read_states
from tests.connect import magento_shop, prestashop_shop
from tests.examples import examples

NOW = "2026-03-02 10:15:00"
PRESTA = orders.PrestaShopSource(
    source="prestashop:negozio.example.it",
    url="https://negozio.example.it",
    zone=prestashop_shop.ROME,
    single_opt_in_counts=True,
    states=read_states(prestashop_shop.STATES),
    currencies={1: "EUR"},
)
MAGENTO = magento_orders.MagentoSource(
    source="magento:negozio.example.it", url="https://negozio.example.it", single_opt_in_counts=True
)
CUSTOMER = {
    "id": "12", "email": "anna@example.it", "is_guest": "0", "newsletter": "1", "deleted": "0",
    "newsletter_date_add": NOW, "ip_registration_newsletter": "192.0.2.7", "id_lang": "1",
    "birthday": "1980-05-01", "date_add": NOW, "date_upd": NOW,
}  # fmt: skip
ORDER = {
    "id": "71", "reference": "XKBKNABJK", "id_customer": "12", "id_cart": "88", "id_currency": "1",
    "current_state": "4", "payment": "Bonifico", "date_add": NOW, "date_upd": "2026-03-03 10:00:00",
    "total_paid_tax_incl": "52.000000", "total_paid_tax_excl": "42.6", "total_products_wt": "47.1",
    "associations": {"order_rows": [prestashop_shop.order_row(140)]},
}  # fmt: skip
HISTORY = {"id": "1", "id_order_state": "2", "date_add": NOW}
SLIP = {
    "id": "5", "id_order": "71", "id_customer": "12", "date_add": NOW,
    "total_products_tax_incl": "10.000000", "total_shipping_tax_incl": "0.000000",
    "associations": {"order_slip_details": [{"id_order_detail": "140", "product_quantity": "1"}]},
}  # fmt: skip
CART = {
    "id": "88", "id_customer": "12", "id_currency": "1", "date_upd": NOW,
    "associations": {"cart_rows": [{"id_product": "9", "quantity": "2"}]},
}  # fmt: skip
MAGENTO_ORDER = magento_shop.order(301, "closed", NOW)
MAGENTO_PART = {
    "entity_id": 7, "order_id": 301, "created_at": NOW, "grand_total": Decimal("10"), "state": 2,
    "items": [{"order_item_id": 501, "qty": 1}], "tracks": [{"track_number": "IT1", "title": "C"}],
}  # fmt: skip
MAGENTO_CUSTOMER = {
    "id": 12, "email": "anna@example.it", "firstname": "Anna", "created_at": NOW, "updated_at": NOW,
    "addresses": [{"city": "Milano"}], "extension_attributes": {"is_subscribed": True},
}  # fmt: skip
QUOTE = {
    "id": 88, "is_active": True, "customer": {"id": 12, "email": "anna@example.it"},
    "items": [{"sku": "MOKA-3", "qty": 1, "price": Decimal("47.1")}], "updated_at": NOW,
    "currency": {"quote_currency_code": "EUR"},
}  # fmt: skip
SUBSCRIBER = {
    "subscriber_email": "anna@example.it", "subscriber_status": 1, "change_status_at": NOW,
    "customer_id": 0,
}  # fmt: skip

Told = Callable[[Row], list[Event]]
ROWS: dict[str, tuple[dict[str, Any], Told]] = {
    "order": (ORDER, lambda row: orders.facts_of_order(row, _joined(CUSTOMER), PRESTA)),
    "history": (
        HISTORY,
        lambda row: orders.facts_of_order(ORDER, _joined(CUSTOMER, row), PRESTA),
    ),
    "order's customer": (
        CUSTOMER,
        lambda row: orders.facts_of_order(ORDER, _joined(row), PRESTA),
    ),
    "slip": (SLIP, lambda row: orders.facts_of_slip(row, ORDER, _joined(CUSTOMER), PRESTA)),
    "customer": (CUSTOMER, lambda row: people.facts_of_customer(row, PRESTA)),
    "cart": (CART, lambda row: carts.facts_of_cart(row, CUSTOMER, {}, PRESTA)),
    "thread": (
        {"id": "3", "id_customer": "0", "email": "anna@example.it", "date_add": NOW},
        lambda row: people.facts_of_thread(row, {}, PRESTA),
    ),
    "sign-up": (
        {"email": "anna@example.it", "subscribed": True, "time": 1_772_445_600_000},
        lambda row: facts_of_sign_up(row, PRESTA),
    ),
    "product": (
        prestashop_shop.product(9, "Moka"),
        lambda row: _none(fed_product(row, PRESTA, {3: "Cucina"}, [row], "EUR")),
    ),
    "Magento's order": (MAGENTO_ORDER, lambda row: magento_orders.facts_of_order(row, MAGENTO)),
    "Magento's shipment": (
        MAGENTO_PART,
        lambda row: magento_orders.facts_of_shipment(row, MAGENTO_ORDER, MAGENTO),
    ),
    "Magento's credit memo": (
        MAGENTO_PART,
        lambda row: magento_orders.facts_of_credit_memo(row, MAGENTO_ORDER, MAGENTO),
    ),
    "Magento's customer": (
        MAGENTO_CUSTOMER,
        lambda row: magento_people.facts_of_customer(row, MAGENTO),
    ),
    "Magento's subscriber": (
        SUBSCRIBER,
        lambda row: magento_people.facts_of_subscriber(row, MAGENTO),
    ),
    "Magento's quote": (QUOTE, lambda row: magento_carts.facts_of_cart(row, MAGENTO)),
    "Magento's product": (
        magento_shop.product(9, "MOKA-3", 47),
        lambda row: _none(magento_product(row, MAGENTO, {3: "C"}, Prices(), now=0)),
    ),
}

_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
    st.sampled_from(
        ["", "0", "-1", "1e999", "NaN", "0000-00-00 00:00:00", "2026-10-25 02:30:00", "\x00", "[]",
         "9" * 100, "a@b.it", "1,5", "2026-03-29 02:30:00", "9999-12-31 23:59:59"]
    ),
)  # fmt: skip
_VALUES = st.recursive(
    _ODD,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("name", ROWS)
@examples(12)
@given(data=st.data())
def test_any_row_becomes_events_or_is_refused(name: str, data: st.DataObject) -> None:
    row, tell = ROWS[name]
    fields = data.draw(st.sets(st.sampled_from(sorted(row)), max_size=4))
    changed = dict(row)
    for field in sorted(fields):
        inner = changed[field]
        if isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
            changed[field] = _changed_inside(inner, data)
        else:
            changed[field] = data.draw(_VALUES)
    try:
        events = tell(changed)
    except ValueError as refused:
        assert str(refused)
        return
    for event in events:
        record = to_record(event)
        read = parse_record(Record("t", 0, 0, 0, record.key, record.value, record.headers))
        assert (read.id, read.type, read.customer, read.time) == (
            event.id, event.type, event.customer, event.time,
        )  # fmt: skip
        assert tell(changed) == events


@pytest.mark.parametrize("name", ROWS)
def test_the_rows_as_they_are_become_events(name: str) -> None:
    row, tell = ROWS[name]
    assert tell(row) or name.endswith("product")


def _changed_inside(inner: Any, data: st.DataObject) -> Any:
    if isinstance(inner, dict):
        key = data.draw(st.sampled_from(sorted(inner)))
        within = inner[key]
        deeper = isinstance(within, dict | list) and within and data.draw(st.booleans())
        return {**inner, key: _changed_inside(within, data) if deeper else data.draw(_VALUES)}
    return [_changed_inside(inner[0], data) if isinstance(inner[0], dict) and inner[0]
            else data.draw(_VALUES), *inner[1:]]  # fmt: skip


def _joined(customer: Row, history: Row | None = None) -> orders.Joined:
    return orders.Joined(customer, histories=[history] if history is not None else [])


def _none(_data: object) -> list[Event]:
    return []


def test_times_of_magento_are_utc() -> None:
    assert magento_orders.instant({"t": NOW}, "t") == orders.instant_of(NOW, UTC)
