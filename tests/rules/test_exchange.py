"""Amounts are compared in the shop's currency: at the rates of their time, or not at all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from agents.rules.conditions import compile_condition, fill
from agents.rules.evaluation import EvaluationContext
from agents.rules.fields import FieldRegistry
from schemas.definitions.conditions import Condition
from schemas.definitions.rates import Rates
from schemas.instant import from_datetime
from schemas.signals import OrderNoticed
from schemas.yaml_text import Document
from tests.harness import DAY, HOUR, SHIPPED, Harness
from tests.products.test_products import files

RATES = """
id: rates
definition: rates
currency: EUR
rates:
  - {from: "2026-01-01", worth: {JPY: "0.006", USD: "0.90"}}
  - {from: "2026-03-03", worth: {JPY: "0.01"}}
"""
LOYALTY = """
id: loyalty
definition: loyalty
points_per_unit: "1"
currency: EUR
tiers: [{name: silver, title: {it: Silver}, from: 1000}]
"""
BIG = """
id: w29-big
title: {it: Grande}
trigger: {on: cart.changed, where: {cart.total: {at_least: 300}}}
entry: {once_per: cart}
steps: [{id: big, send: cart-reminder, kind: informative}]
"""
MEMBERS = """
id: w29-members
title: {it: Soci}
trigger: order.completed
entry: {once_per: order, if: {orders.spent: {at_least: 100}}}
steps: [{id: thanks, send: thank-you, kind: informative}]
"""


def asked(shop: Harness, **test: Any) -> bool:
    condition = Condition.model_validate({"orders.spent": test} if test else {})
    check = compile_condition(condition, FieldRegistry())
    live = shop.definitions.live(shop.live)
    return check(EvaluationContext(shop.customer(), shop.now, None, {}, live))


def in_yen(shop: Harness, price: str, product: str = "moka") -> Harness:
    return shop.tell("cart.product_added", product_id=product, price=price, currency="JPY")


def test_five_thousand_yen_are_no_big_cart() -> None:
    shop = in_yen(Harness(files(BIG, RATES)).subscribed(), "5000")
    assert shop.mails == []
    assert [mail.step for mail in in_yen(shop, "45000", "tazza").mails] == ["big"]


def test_without_a_rate_nothing_is_compared_and_that_is_said() -> None:
    shop = in_yen(Harness(files(BIG)).subscribed(), "500000")
    in_yen(shop.at(1), "500000", "tazza")
    assert shop.mails == []
    assert shop.details("w29") == [("", "not_entered", "no rate: JPY")]


def test_the_shipped_big_cart_is_one_in_euros() -> None:
    shop = in_yen(Harness(SHIPPED | {"w29-big-cart": FILES_BIG}), "5000")
    assert [d.decision for d in shop.said("w29-big-cart")] == ["not_entered"]


FILES_BIG = files(BIG.replace("w29-big", "w29-big-cart"))["w29-big-cart"]


def test_lines_in_two_currencies_are_two_sums_and_one_that_is_compared() -> None:
    shop = Harness(files(BIG, RATES)).subscribed()
    shop.tell("cart.product_added", product_id="tazza", price="299.00", currency="EUR")
    in_yen(shop, "500")
    cart = shop.customer().cart
    assert {code: str(total) for code, total in cart.totals().items()} == {
        "EUR": "299.00",
        "JPY": "500",
    }
    assert [mail.step for mail in shop.mails] == ["big"]


def test_a_checkout_in_another_currency_replaces() -> None:
    shop = in_yen(Harness(files(RATES)), "500")
    line = {"product_id": "moka", "price": "3.00"}
    shop.at(1).tell("checkout.started", currency="EUR", products=[line])
    cart = shop.customer().cart
    assert (cart.currency, str(cart.total()), len(cart.totals())) == ("EUR", "3.00", 1)


def test_each_order_counts_at_the_rate_of_its_day() -> None:
    shop = Harness(files(RATES))
    shop.tell("order.completed", order_id="o1", total="1000", currency="JPY")  # 6 euros
    shop.at(2 * DAY).tell("order.completed", order_id="o2", total="1000", currency="JPY")  # 10
    shop.at(3 * DAY).tell("order.completed", order_id="o3", total="10", currency="USD")  # 9
    shop.tell("order.completed", order_id="o4", total="5", currency="EUR")
    assert asked(shop, at_least=30, at_most=30)


def test_a_sum_without_a_rate_is_neither_above_nor_below() -> None:
    shop = Harness(files(MEMBERS, RATES)).subscribed()
    shop.tell("order.completed", order_id="o1", total="500", currency="CHF")
    assert not asked(shop, at_least=0)
    assert not asked(shop, below=10**6)
    assert ("", "not_entered", "no rate: CHF") in shop.details("w29-members")


@pytest.mark.parametrize(("definitions", "points"), [((LOYALTY, RATES), [60]), ((LOYALTY,), [])])
def test_points_are_given_for_what_an_order_is_worth(
    definitions: tuple[str, ...], points: list[int]
) -> None:
    shop = Harness(files(*definitions))
    shop.tell("order.completed", order_id="o1", total="10100", currency="JPY")
    assert [earned.points for earned in shop.customer().points] == points
    noticed = [e.content for e in shop.effects if isinstance(e.content, OrderNoticed)]
    assert [(n.what, n.detail) for n in noticed] == ([] if points else [("no_rate", "JPY")])


def test_a_shop_in_yen_compares_yen() -> None:
    rates = RATES.replace("currency: EUR", "currency: JPY").replace("JPY: ", "CNY: ")
    shop = in_yen(Harness(files(BIG, rates)).subscribed(), "400")
    assert [mail.step for mail in shop.mails] == ["big"]


def test_yen_have_no_decimals_in_texts() -> None:
    customer = in_yen(Harness(), "12500").customer()
    evaluation = EvaluationContext(customer, 0)
    assert fill("{cart.total} {cart.currency}", evaluation, language="it") == "12.500 JPY"
    customer = Harness().add().customer()
    assert fill("{cart.total}", EvaluationContext(customer, 0), language="it") == "9,90"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (('"2026-03-03"', '"2025-03-03"'), "from 2025-03-03 stands behind from 2026-01-01"),
        (('"2026-03-03"', '"2026-02-30"'), "not an RFC 3339 time"),
        (("USD", "EUR"), "has a rate of EUR, the shop's own"),
        (("0.90", "0"), "greater than 0"),
        (("USD", "usd"), "match pattern"),
    ],
)
def test_what_can_be_no_rates_is_refused(changed: tuple[str, str], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Rates.model_validate(Document(RATES.replace(*changed)).content)


def test_an_event_s_amount_is_in_the_event_s_currency() -> None:
    text = BIG.replace("cart.total: {at_least: 300}", "event.price: {at_least: 300}")
    shop = in_yen(Harness(files(text.replace("cart.changed", "cart.product_added"), RATES)), "5000")
    assert shop.said("w29-big") == []
    in_yen(shop.subscribed().at(HOUR), "60000", "tazza")
    assert [mail.step for mail in shop.mails] == ["big"]


def test_the_tables_are_read_once_however_many_there_are() -> None:
    first = date(2019, 1, 1)
    tables = [
        {"from": str(first + timedelta(days=day)), "worth": {"USD": day + 1}} for day in range(2000)
    ]
    content = {"definition": "rates", "currency": "EUR", "rates": tables}
    rates = Rates.model_validate(content)
    begins = from_datetime(datetime(2019, 1, 1, tzinfo=UTC))
    assert [rates.worth("USD", begins + day * DAY * 1000) for day in (-1, 0, 1, 1999, 5000)] == [
        None, 1, 2, 2000, 2000,
    ]  # fmt: skip
    assert rates.worth("USD", begins + DAY * 1000 - 1) == 1
    assert rates.by_currency is rates.by_currency
    assert rates == Rates.model_validate(content)
    assert rates.model_dump() == Rates.model_validate(content).model_dump()
