"""What Shopify's resources are in our events, and what actors make of them in any order."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from schemas.events import Event
from schemas.validation import Unreadable
from streams.connect.facts import Subject, as_history, event_of, guest_key
from streams.connect.shopify.carts import Carts, checkout_events
from streams.connect.shopify.customers import (
    consent_events,
    copy_events,
    customer_events,
    erasure_events,
)
from streams.connect.shopify.orders import order_events
from streams.connect.shopify.products import products_of
from streams.connect.shopify.settings import ShopifyConnection
from tests.connect.heard import became, hear, order_kept
from tests.connect.shapes import (
    ANNA,
    SHOP,
    shopify_checkout,
    shopify_consent,
    shopify_customer,
    shopify_fulfillment,
    shopify_line,
    shopify_order,
    shopify_product,
    shopify_refund,
)
from tests.harness import START, Harness


def connection(**fields: Any) -> ShopifyConnection:
    return ShopifyConnection.model_validate(
        {"name": "negozio", "kind": "shopify", "shop": SHOP, "secret": "env:S", **fields}
    )


SHOPIFY = connection()


def types(events: list[Event]) -> list[str]:
    return [each.type for each in events]


def of_type(events: list[Event], type_: str) -> Event:
    return next(each for each in events if each.type == type_)


def test_a_paid_order() -> None:
    events = order_events(shopify_order(), SHOPIFY)
    assert types(events) == ["customer.updated", "order.completed", "order.updated"]
    order = of_type(events, "order.completed")
    assert (order.id, order.source) == ("order:820001:completed", f"shopify:{SHOP}")
    assert (order.customer, order.anonymous_id, order.named) == ("70001", guest_key(ANNA), True)
    assert order.time == START - 45 * 60_000
    data = order.data
    assert (data.total, data.shipping, data.currency) == (Decimal("52.00"), Decimal("4.90"), "EUR")
    assert (data.cart_id, data.checkout_id, data.payment_method) == ("c1-aa", "k1-aa", "paypal")
    assert data.order_url == "https://negozio.example.it/o/k1-aa"
    (line,) = data.products
    assert (line.product_id, line.sku, line.price) == ("9001", "MOKA-3", Decimal("47.10"))
    assert order.hints is not None
    assert (order.hints.campaign, order.hints.locale) == ("newsletter / marzo", "it-IT")
    assert all(not each.odd for each in events)


def test_the_same_order_is_the_same_event_however_it_is_told() -> None:
    told, again = (order_events(shopify_order(), SHOPIFY) for _ in range(2))
    assert [each.id for each in told] == [each.id for each in again]
    edited = shopify_order(total_price="60.00")  # within the same second
    assert of_type(told, "order.updated").id != of_type(
        order_events(edited, SHOPIFY), "order.updated"
    ).id  # fmt: skip


@pytest.mark.parametrize(
    ("status", "complete_on", "completed"),
    [
        ("paid", "paid", True), ("authorized", "paid", True), ("partially_paid", "paid", True),
        ("pending", "paid", False), ("pending", "created", True), ("voided", "created", False),
        ("partially_refunded", "paid", True), ("refunded", "paid", True),
    ],
)  # fmt: skip
def test_when_an_order_counts(status: str, complete_on: str, completed: bool) -> None:
    events = order_events(
        shopify_order(financial_status=status), connection(complete_on=complete_on)
    )
    assert ("order.completed" in types(events)) == completed


def test_a_test_is_nothing_and_the_till_without_a_customer_is_nobodys() -> None:
    assert order_events(shopify_order(test=True), SHOPIFY) == []
    till = shopify_order(customer=None, email="", contact_email=None, source_name="pos")
    assert order_events(till, SHOPIFY) == []


def test_sums_are_the_shops_money() -> None:
    both = {
        "shop_money": {"amount": "52.00", "currency_code": "EUR"},
        "presentment_money": {"amount": "60.00", "currency_code": "USD"},
    }
    order = shopify_order(
        total_price_set=both, presentment_currency="USD",
        refunds=[shopify_refund(amount="60.00", transactions=[
            {"kind": "refund", "status": "success", "amount": "60.00", "currency": "USD"}])],
    )  # fmt: skip
    events = order_events(order, SHOPIFY)
    assert of_type(events, "order.completed").data.total == Decimal("52.00")
    refund = of_type(events, "order.refunded").data
    assert (refund.total, refund.currency) == (Decimal("52.00"), "EUR")
    both["shop_money"]["currency_code"] = "CHF"
    with pytest.raises(Unreadable, match="CHF"):
        order_events(order, SHOPIFY)


def test_a_line_typed_in_by_hand_is_kept_by_its_title() -> None:
    line = shopify_line(product_id=None, sku="", title="Incisione a mano", price="5.00")
    (found,) = of_type(
        order_events(shopify_order(line_items=[line]), SHOPIFY), "order.completed"
    ).data.products
    assert (found.product_id, found.name) == ("Incisione a mano", "Incisione a mano")


def test_a_variant_is_named() -> None:
    line = shopify_line(variant_title="M / Rosso")
    events = order_events(shopify_order(line_items=[line]), SHOPIFY)
    assert of_type(events, "order.completed").data.products[0].variant == "M / Rosso"


@pytest.mark.parametrize(
    "broken", [{"id": None}, {"processed_at": "yesterday"}, {"line_items": [1, None, {}], "id": ""}]
)
def test_what_cant_be_understood_names_its_field(broken: dict[str, Any]) -> None:
    with pytest.raises(Unreadable, match=next(iter(broken)) + "|id"):
        order_events(shopify_order(**broken), SHOPIFY)


# In any order.


def life() -> list[dict[str, Any]]:
    """Return webhooks of one order: placed, sent, half of it given back, all of it."""
    line = shopify_line(quantity=2, price="23.55")
    placed = shopify_order(line_items=[line])
    half = shopify_refund(61, "23.55", refund_line_items=[
        {"quantity": 1, "line_item_id": 1, "line_item": line}])  # fmt: skip
    rest = shopify_refund(62, "28.45", processed_at="2026-03-13T09:00:00+01:00",
                          refund_line_items=[
        {"quantity": 1, "line_item_id": 1, "line_item": line}])  # fmt: skip
    sent = shopify_order(line_items=[line], updated_at="2026-03-03T09:00:00+01:00",
                         fulfillments=[shopify_fulfillment()])  # fmt: skip
    return [
        placed,
        sent,
        shopify_order(line_items=[line], updated_at="2026-03-12T09:00:00+01:00",
                      financial_status="partially_refunded", refunds=[half]),
        shopify_order(line_items=[line], updated_at="2026-03-13T09:00:00+01:00",
                      financial_status="refunded", refunds=[half, rest]),
    ]  # fmt: skip


def test_whatever_order_webhooks_come_in_the_outcome_is_the_same() -> None:
    outcomes = set()
    for order in itertools.permutations(life()):
        harness = Harness()
        for webhook in (*order, *order):  # and each twice
            hear(harness, order_events(webhook, SHOPIFY))
        assert harness.refusals == []
        kept, sums = order_kept(harness, "70001", "820001"), harness.customer("70001").statistics
        assert kept is not None
        outcomes.add((kept.status, kept.total, str(kept.returned), str(sums)))
    assert len(outcomes) == 1
    status, total, *_ = next(iter(outcomes))
    assert (status, total) == ("refunded", Decimal("52.00"))


def test_a_part_then_all_and_never_below_zero() -> None:
    harness, (placed, _, half, all_) = Harness(), life()
    hear(harness, order_events(placed, SHOPIFY))
    hear(harness, order_events(half, SHOPIFY))
    kept = order_kept(harness, "70001", "820001")
    assert kept is not None
    assert (kept.status, kept.returned) == ("completed", {0: 1})
    hear(harness, order_events(all_, SHOPIFY))
    again = shopify_refund(63, "500.00", processed_at="2026-03-14T09:00:00+01:00")
    hear(harness, order_events({**all_, "refunds": [*all_["refunds"], again]}, SHOPIFY))
    kept = order_kept(harness, "70001", "820001")
    assert kept is not None
    assert kept.status == "refunded"
    sums = harness.customer("70001").statistics
    assert sums.spent == sums.refunded == {"EUR": Decimal("52.00")}


def test_money_that_has_not_gone_is_no_refund_yet() -> None:
    waiting = {"kind": "refund", "status": "pending", "amount": "47.10", "currency": "EUR"}
    order = shopify_order(refunds=[shopify_refund(transactions=[waiting])])
    assert "order.refunded" not in types(order_events(order, SHOPIFY))
    order = shopify_order(refunds=[shopify_refund(transactions=[])])
    assert "order.refunded" not in types(order_events(order, SHOPIFY))


def test_a_parcel_is_sent_once_and_arrives_once() -> None:
    parcel = shopify_fulfillment(shipment_status="delivered", updated_at="2026-03-05T09:00:00Z")
    events = order_events(shopify_order(fulfillments=[parcel]), SHOPIFY)
    assert of_type(events, "order.shipped").data.tracking_number == "IT123"
    assert of_type(events, "order.delivered").id == "fulfillment:31:delivered"
    for status in ("open", "pending", "cancelled", "error"):
        order = shopify_order(fulfillments=[shopify_fulfillment(status=status)])
        assert "order.shipped" not in types(order_events(order, SHOPIFY))


def test_a_cancelled_order() -> None:
    order = shopify_order(cancelled_at="2026-03-04T09:00:00+01:00", cancel_reason="customer")
    harness = hear(Harness(), order_events(order, SHOPIFY))
    kept = order_kept(harness, "70001", "820001")
    assert kept is not None
    assert kept.status == "cancelled"


# Who it is.


def guest_order(**changes: Any) -> dict[str, Any]:
    return shopify_order(820002, customer=None, **changes)


def test_a_guest_is_told_of_the_order_and_becomes_the_account_with_that_address() -> None:
    guest = guest_key(ANNA)
    harness = hear(Harness(), order_events(guest_order(), SHOPIFY))
    assert "order-confirmation" in [each.template for each in harness.commands]
    assert harness.customer(guest).profile.ground == "ordered"
    hear(harness, customer_events(shopify_customer(), SHOPIFY, is_new=True))
    assert became(harness, guest) == "70001"
    hear(harness, order_events(shopify_order(), SHOPIFY))
    assert {each.id for each in harness.customer("70001").orders} == {"820001", "820002"}
    assert harness.customer("70001").statistics.count == 2
    assert harness.refusals == []


def test_whoever_has_an_account_may_order_as_a_guest_later() -> None:
    harness = hear(Harness(), customer_events(shopify_customer(), SHOPIFY, is_new=True))
    hear(harness, order_events(guest_order(), SHOPIFY))
    hear(harness, order_events(guest_order(), SHOPIFY))  # and by a poll
    assert {each.id for each in harness.customer("70001").orders} == {"820002"}
    assert harness.customer("70001").statistics.count == 1


@pytest.mark.parametrize("file_first", [True, False])
def test_an_order_of_a_file_that_knows_only_the_address_is_the_same_order(
    file_first: bool,
) -> None:
    """As an export has it: no number of the customer, the address and the order's number."""
    guest = guest_key(ANNA)
    of_the_file = event_of(
        "order.completed", "order:820001:completed", source=f"shopify:{SHOP}", time=START,
        subject=Subject(guest, guest), data={"order_id": "820001", "total": "52.00", "email": ANNA},
    )  # fmt: skip
    told = [as_history([of_the_file]), order_events(shopify_order(), SHOPIFY)]
    harness = Harness()
    for events in told if file_first else told[::-1]:
        hear(harness, events)
    assert became(harness, guest) == "70001"
    assert harness.customer("70001").statistics.count == 1
    assert [each.id for each in harness.customer("70001").orders] == ["820001"]
    assert harness.refusals == []


def test_the_browsers_id_in_a_note_attribute_is_the_customers() -> None:
    attributes = [{"name": "ritorno_anonymous_id", "value": "a-7"}]
    harness = Harness()
    harness.visitors.add("a-7")
    harness.add(customer="a-7")
    hear(harness, order_events(shopify_order(note_attributes=attributes), SHOPIFY))
    assert became(harness, "a-7") == "70001"


def test_a_prefix_keeps_the_customers_of_two_shops_apart() -> None:
    (event, *_) = order_events(shopify_order(), connection(customer_prefix="it-"))
    assert event.customer == "it-70001"


# Consent.


def test_consent_comes_from_its_own_field_with_its_time() -> None:
    (event,) = consent_events(shopify_consent(), SHOPIFY)
    assert (event.type, event.data.list, event.data.confirmed) == (
        "list.subscribed", "newsletter", True,
    )  # fmt: skip
    assert event.time == START - 2 * 3_600_000
    harness = hear(Harness(), [event])
    assert harness.customer("70001").consents["marketing"].given
    (over,) = consent_events(
        shopify_consent("unsubscribed", consent_updated_at="2026-03-02T10:00:00+01:00"), SHOPIFY
    )
    hear(harness, [over, event])
    assert not harness.customer("70001").consents["marketing"].given


def test_a_single_opt_in_is_a_place_on_the_list_and_consent_where_the_shop_says_so() -> None:
    single = shopify_consent(opt_in_level="single_opt_in")
    assert not hear(Harness(), consent_events(single, SHOPIFY)).customer("70001").consents
    counts = connection(single_opt_in_counts=True)
    harness = hear(Harness(), consent_events(single, counts))
    assert harness.customer("70001").consents["marketing"].given


@pytest.mark.parametrize("state", ["not_subscribed", "pending", "invalid", "", "SUBSCRIBE"])
def test_no_other_state_says_anything(state: str) -> None:
    assert consent_events(shopify_consent(state), SHOPIFY) == []


def test_without_a_time_nothing_was_agreed_to_and_an_order_is_no_consent() -> None:
    assert consent_events(shopify_consent(consent_updated_at=None), SHOPIFY) == []
    order = shopify_order(buyer_accepts_marketing=True)
    assert not {"list.subscribed", "consent.given"} & set(types(order_events(order, SHOPIFY)))


def test_a_customer_may_bring_it_along() -> None:
    consent = shopify_consent()["email_marketing_consent"]
    events = customer_events(shopify_customer(email_marketing_consent=consent), SHOPIFY)
    assert types(events) == ["customer.updated", "list.subscribed"]
    assert events[1].id == consent_events(shopify_consent(), SHOPIFY)[0].id


def test_who_asks_to_be_forgotten_is_also_as_a_guest() -> None:
    body = {"shop_domain": SHOP, "customer": {"id": 70001, "email": ANNA}}
    events = erasure_events(body, SHOPIFY, START)
    assert [(each.type, each.customer) for each in events] == [
        ("customer.erasure_requested", "70001"), ("customer.erasure_requested", guest_key(ANNA)),
    ]  # fmt: skip
    harness = hear(Harness(), order_events(guest_order(), SHOPIFY))
    hear(harness, order_events(shopify_order(), SHOPIFY))
    hear(harness, events)
    assert not harness.customer("70001").orders
    assert not harness.customer(guest_key(ANNA)).orders
    (copy,) = copy_events({**body, "data_request": {"id": 9}}, SHOPIFY, START)
    assert (copy.type, copy.id) == ("customer.data_requested", "customer:70001:asked:9")


# Carts and checkouts.


def test_a_checkout_has_its_link_back_and_its_step() -> None:
    (started,) = checkout_events(shopify_checkout(), SHOPIFY, is_new=True)
    assert (started.type, started.id) == ("checkout.started", "checkout:k1-aa:started")
    assert started.customer == guest_key(ANNA)
    assert started.data.cart_url == "https://negozio.example.it/checkouts/k1-aa/recover?key=1"
    steps = [
        ({}, "contact"), ({"email": ""}, "started"),
        ({"shipping_address": {"city": "Milano"}}, "shipping_address"),
        ({"shipping_lines": [{"title": "Corriere"}]}, "shipping_method"),
    ]  # fmt: skip
    for changes, step in steps:
        (event,) = checkout_events(shopify_checkout(**changes), SHOPIFY, is_new=False)
        assert (event.type, event.data.step) == ("checkout.step_completed", step)
    assert checkout_events(shopify_checkout(completed_at="x"), SHOPIFY, is_new=False) == []
    (nobodys,) = checkout_events(shopify_checkout(email=None), SHOPIFY, is_new=True)
    assert nobodys.customer == nobodys.anonymous_id == "checkout:k1-aa"


def cart(second: int, *lines: dict[str, Any]) -> dict[str, Any]:
    return {"id": "c1-aa", "token": "c1-aa", "line_items": list(lines),
            "updated_at": f"2026-03-02T10:00:{second:02}+01:00"}  # fmt: skip


def test_a_cart_tells_what_has_changed_in_it() -> None:
    carts, moka, tea = Carts(SHOPIFY), shopify_line(), shopify_line(product_id=2, sku="TE")
    told = [
        carts.events(cart(1, moka), is_new=True),
        carts.events(cart(2, {**moka, "quantity": 3}, tea), is_new=False),
        carts.events(cart(3, {**moka, "quantity": 1}), is_new=False),
        carts.events(cart(2, moka), is_new=False),  # late
    ]
    changes = [[(e.type[13:], e.data.product_id, e.data.quantity) for e in each] for each in told]
    assert changes == [
        [("added", "9001", 1)],
        [("added", "9001", 2), ("added", "2", 1)],
        [("removed", "9001", 2), ("removed", "2", 1)],
        [],
    ]
    harness = Harness()
    for each in told:
        hear(harness, each)
    lines = harness.customer("cart:c1-aa").cart.lines
    assert [(line.product_id, line.quantity) for line in lines] == [("9001", 1)]


def test_a_cart_that_is_not_known_has_its_quantities_right() -> None:
    harness, moka = Harness(), shopify_line(quantity=2)
    hear(harness, Carts(SHOPIFY).events(cart(1, moka), is_new=True))
    hear(harness, Carts(SHOPIFY).events(cart(5, {**moka, "quantity": 3}), is_new=False))
    lines = harness.customer("cart:c1-aa").cart.lines
    assert [(line.product_id, line.quantity) for line in lines] == [("9001", 3)]


# Products.


def test_a_product_is_a_row_for_each_variant() -> None:
    one, other = products_of(shopify_product(), SHOPIFY)
    assert (one.sku, one.id, one.price, one.list_price) == (
        "MOKA-3", "9001", Decimal("47.10"), Decimal("49.90"),
    )  # fmt: skip
    assert (other.sku, other.id, other.available, other.list_price) == (
        "90012",
        "9001",
        False,
        None,
    )
    assert one.url == f"https://{SHOP}/products/moka-3"
    assert (one.availability, one.stock, one.category) == ("in_stock", 4, "Caffè")
    variant = shopify_product()["variants"][0]
    for changes, available in (
        ({"status": "draft"}, False),
        ({"variants": [{**variant, "inventory_quantity": 0}]}, False),
        (
            {"variants": [{**variant, "inventory_quantity": 0, "inventory_policy": "continue"}]},
            True,
        ),
        ({"variants": [{**variant, "inventory_management": None}]}, True),
    ):
        (first, *_) = products_of(shopify_product(**changes), SHOPIFY)
        assert first.available == available
    assert products_of(shopify_product(variants=[]), SHOPIFY) == []
