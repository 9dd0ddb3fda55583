"""An optional field never costs the order: what is right of each odd field of case 09b."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from schemas.customer import Customer
from schemas.customer.shopping import Order
from tests.cases.played import lines_of, played

ODD = "09b-order-odd-fields"
ORDERS = (
    "control", "price-empty", "quantity-empty", "quantity-2.0", "quantity-1.5", "quantity-neg",
    "price-neg", "discount-neg", "total-empty", "shipping-empty", "shipping-text", "tax-nan",
    "currency-empty", "currency-blank", "currency-symbol", "email-text", "email-two",
    "products-map", "products-null", "products-empty-string", "line-without-id", "line-id-empty",
    "long-url", "data-image", "long-name", "coupon-list", "coupon-false", "payment-bool",
    "tracking-url-list", "total-comma", "total-currency", "variant-object", "category-list",
)  # fmt: skip


def order(name: str) -> Order:
    [found] = played(ODD).customers[name].orders
    return found


def person(name: str) -> Customer:
    return played(ODD).customers[name]


@pytest.mark.parametrize("name", ORDERS)
def test_the_order_counts_ten_euros(name: str) -> None:
    assert person(name).statistics.count == 1
    assert person(name).statistics.spent == {"EUR": Decimal("10.00")}


def test_nothing_is_refused() -> None:
    assert played(ODD).refusals == []


def test_what_can_be_repaired_is() -> None:
    def line(name: str) -> tuple[str, Decimal, Decimal | None]:
        [found] = order(name).lines
        return found.product_id, Decimal(found.quantity), found.price

    ten = Decimal("10.00")
    assert line("price-empty") == ("p", 1, None)
    assert line("quantity-empty") == ("p", 1, ten)
    assert line("quantity-2.0") == ("p", 2, 5)
    assert line("quantity-1.5") == ("p", Decimal("1.5"), 5)
    for name in (
        "total-empty",
        "currency-blank",
        "currency-symbol",
        "products-map",
        "long-url",
        "total-comma",
        "total-currency",
        "coupon-list",
        "data-image",
        "long-name",
        "variant-object",
        "category-list",
        "payment-bool",
        "tracking-url-list",
    ):
        assert line(name) == ("p", 1, ten), name
    assert {order(name).currency for name in ORDERS} == {"EUR"}
    assert [each.product_id for each in order("line-without-id").lines][-1:] == ["p"]


def test_what_cannot_be_read_is_left_out() -> None:
    assert order("shipping-text").shipping is None
    assert order("tax-nan").tax is None
    assert order("tracking-url-list").tracking_url == ""
    assert order("data-image").lines[0].image_url == ""
    assert order("long-url").lines[0].url == ""
    assert order("coupon-false").coupon == ""
    assert order("products-empty-string").lines == []
    assert person("email-text").profile.email == ""
    assert person("email-two").profile.email == ""


def test_a_person_keeps_what_can_be_read() -> None:
    assert person("php-properties").views == 1
    assert person("php-traits").first_seen
    known = person("email-bad").profile
    assert (known.first_name, known.phone, known.email) == ("Anna", "39055", "")
    assert person("freq").profile.email == "anna@example.com"
    assert person("freq").profile.mail_frequency == ""
    assert person("birthday-int").profile.email == "anna@example.com"
    assert person("birthday-int").profile.birthday == ""


def test_each_odd_field_is_said_with_its_value() -> None:
    lines = [json.loads(line) for line in lines_of(ODD)]
    at = {line["messageId"]: f"line {number}" for number, line in enumerate(lines, start=1)}
    said = {
        ("price-empty", "products.price", "''"),
        ("quantity-empty", "products.quantity", "''"),
        ("total-comma", "total", "'10,00'"),
        ("total-currency", "total", "'10.00 EUR'"),
        ("currency-symbol", "currency", "'€'"),
        ("shipping-text", "shipping", "'free'"),
        ("tax-nan", "tax", "'NaN'"),
        ("email-text", "email", "'n/a'"),
        ("email-two", "email", "'a@example.com, b@example.com'"),
        ("coupon-list", "coupon", "['A', 'B']"),
        ("payment-bool", "payment_method", "False"),
        ("t1", "email", "'anna@'"),
        ("t2", "mail_frequency", "'weekly'"),
        ("t3", "birthday", "{'day': 1}"),
    }
    assert {(at[name], field, value) for name, field, value in said} <= played(ODD).odd
    nothing_odd = {at["control"], at["products-null"], at["quantity-2.0"]}
    assert not nothing_odd & {where for where, *_ in played(ODD).odd}
