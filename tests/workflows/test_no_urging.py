"""No urging about nothing: what is worthless, sold out or emptied is no reminder and no code."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.products import Product
from streams.runtime.product_feed import control_record
from tests.harness import DAY, HOUR, MINUTE, SHIPPED, Harness
from tests.products.test_products import feed, files

SERIES = "w06-abandoned-cart-a"
THRICE = ("reminder", "free-shipping-code", "free-shipping", "last-call")
NO_EXIT = """
id: w06-cart
title: {it: Carrello}
trigger: checkout.started
entry: {once_per: customer}
steps:
  - {id: reminder, wait: 1h, send: cart-reminder, kind: informative}
"""
ASKED_WHY = """
id: w06-why
title: {it: Perché}
trigger: cart.emptied
entry: {once_per: cart}
steps:
  - {id: why, wait: 1h, send: survey, kind: informative}
"""
IN_CART = """
id: w31-told
title: {{it: Prezzo}}
trigger: {{product: {change}, of: in_cart}}
entry: {{once_per: product, again_after: 30d}}
steps:
  - {{id: told, wait: 1h, send: price-drop, kind: promotional, products: trigger}}
"""


def shop(*texts: str) -> Harness:
    return Harness({**SHIPPED, **files(*texts)} if texts else SHIPPED).subscribed()


def skipped(harness: Harness) -> dict[str, str]:
    return {d.step: d.reason for d in harness.said(SERIES) if d.decision == "skipped"}


@pytest.mark.parametrize("price", ["0", "0.00", 0])
def test_a_cart_of_value_zero_is_no_reminder_and_no_code(price: Any) -> None:
    harness = shop().tell("cart.product_added", product_id="campione", price=price, quantity=2)
    harness.at(4 * DAY)
    assert harness.mails == []
    assert harness.customer().coupons == []
    assert skipped(harness) == dict.fromkeys(THRICE, "no_value")


def test_a_price_that_nobody_knows_is_not_zero() -> None:
    harness = shop().tell("cart.product_added", product_id="campione", price="0")
    harness.tell("cart.product_added", product_id="moka").at(2 * HOUR)
    assert [mail.step for mail in harness.mails] == ["reminder"]


def test_the_feed_may_say_that_it_costs_nothing() -> None:
    harness = feed(shop(), price="0.00").tell("cart.product_added", product_id="moka")
    assert skipped(harness.at(2 * HOUR)) == {"reminder": "no_value"}


@pytest.mark.parametrize("fields", [{"stock": 0}, {"availability": "out_of_stock"}])
def test_what_is_sold_out_when_the_step_fires_is_not_urged(fields: dict[str, Any]) -> None:
    harness = feed(shop(), stock=5).add("moka").at(2 * HOUR)
    feed(harness, **fields).at(2 * DAY)
    assert [mail.step for mail in harness.mails] == ["reminder"]
    assert skipped(harness) == {"free-shipping-code": "sold_out", "free-shipping": "sold_out"}
    feed(harness, stock=2).at(4 * DAY)
    assert [mail.step for mail in harness.mails] == ["reminder", "last-call"]


def test_one_line_that_can_be_bought_is_enough() -> None:
    harness = feed(shop(), stock=0).add("moka").add("tazza").at(2 * HOUR)
    assert [mail.step for mail in harness.mails] == ["reminder"]


def test_a_gift_beside_what_is_sold_out_is_nothing() -> None:
    harness = feed(shop(), stock=0).add("moka")
    harness.tell("cart.product_added", product_id="omaggio", price="0").at(2 * HOUR)
    assert skipped(harness) == {"reminder": "no_value"}


def test_an_emptied_cart_is_over_without_an_exit_too() -> None:
    harness = Harness(files(NO_EXIT)).subscribed()
    line = {"product_id": "moka", "price": "9.90"}
    harness.tell("checkout.started", products=[line]).at(MINUTE)
    harness.tell("cart.product_removed", product_id="moka").at(2 * HOUR)
    assert [said.reason for said in harness.said("w06") if said.decision == "skipped"] == [
        "empty_cart"
    ]


def test_a_cart_of_which_the_shop_says_nothing_is_not_emptied() -> None:
    harness = Harness(files(NO_EXIT)).subscribed().tell("checkout.started").at(2 * HOUR)
    assert [mail.step for mail in harness.mails] == ["reminder"]


def test_who_is_asked_why_the_cart_was_emptied_may_be() -> None:
    harness = Harness(files(ASKED_WHY)).subscribed().add("moka").at(MINUTE)
    harness.tell("cart.product_removed", product_id="moka").at(2 * HOUR)
    assert [mail.step for mail in harness.mails] == ["why"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"price": "40.00"}, {"price": "30.00"}, True),
        ({"price": "40.00"}, {"price": "0.00"}, False),
        ({"price": "0.00"}, {"price": "30.00"}, False),
        ({"price": "40.00"}, {"price": "30.00", "currency": "USD"}, False),
        ({"price": "40.00"}, {"price": "30.00", "stock": 0}, False),
    ],
)
def test_a_price_drop_is_a_lower_price_of_the_same_currency(
    before: dict[str, Any], after: dict[str, Any], told: bool
) -> None:
    harness = feed(Harness(files(IN_CART.format(change="price_drop"))).subscribed(), **before)
    feed(harness.add("moka"), **after).at(2 * HOUR)
    assert [mail.step for mail in harness.mails] == ["told"] * told


@pytest.mark.parametrize(("price", "told"), [("30.00", True), ("0", False)])
def test_back_in_stock_without_a_price_is_no_news(price: str, told: bool) -> None:
    harness = Harness(files(IN_CART.format(change="back_in_stock"))).subscribed()
    feed(harness, stock=0).add("moka")
    feed(harness, stock=3, price=price).at(2 * HOUR)
    assert [mail.step for mail in harness.mails] == ["told"] * told


def test_what_is_gone_again_when_the_mail_is_due_is_not_told() -> None:
    harness = feed(Harness(files(IN_CART.format(change="back_in_stock"))).subscribed(), stock=0)
    feed(harness.add("moka"), stock=3)
    feed(harness, stock=0).at(2 * HOUR)
    assert [(said.decision, said.reason) for said in harness.said("w31")][-2] == (
        "skipped",
        "sold_out",
    )


def test_a_novelty_without_a_price_is_not_announced() -> None:
    launch = IN_CART.format(change="launch").replace("of: in_cart", "of: interested")
    harness = Harness(files(launch)).subscribed()
    for _ in range(2):
        harness.tell("product.viewed", product_id="altra", category="moka")
    new = Product(sku="nova", name="Nova", price=0, category="moka", announce=True)
    harness.append(control_record([new]))
    assert harness.at(2 * HOUR).mails == []
