"""What a mail knows of a cart and an order: what events have said, then what the feed says."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.products import Product
from streams.runtime.product_feed import control_record
from tests.harness import HOUR, Harness
from tests.products.test_products import files

CART = """
id: w06-cart
title: {it: Carrello}
trigger: cart.changed
entry: {once_per: cart}
steps:
  - {id: reminder, wait: 1h, send: cart-reminder, kind: informative}
"""
STATUS = """
id: w02-shipped
title: {it: Spedito}
trigger: order.shipped
entry: {once_per: order}
steps:
  - {id: shipped, send: order-shipped, class: transactional, kind: transactional}
"""
MOKA = {
    "sku": "moka", "name": "Moka Alba", "price": "34.90", "url": "https://shop.example/moka",
    "image_url": "https://shop.example/moka.jpg", "guide_url": "https://shop.example/guida",
    "review_url": "https://shop.example/voti", "stock": 2, "rating": 4.5,
}  # fmt: skip


def fed(text: str, **fields: Any) -> Harness:
    harness = Harness(files(text)).subscribed()
    harness.append(control_record([Product.model_validate(MOKA | fields)]))
    return harness


def variables(harness: Harness) -> Any:
    (mail,) = harness.commands
    return mail.variables


def in_cart(harness: Harness, **data: Any) -> Any:
    harness.tell("cart.product_added", product_id="moka", quantity=2, **data).at(HOUR)
    return variables(harness)["cart"]


def test_the_feed_says_what_the_shops_events_leave_out() -> None:
    cart = in_cart(fed(CART))
    assert cart["total"] == "69.80"
    assert cart["lines"] == [
        {
            "product_id": "moka", "name": "Moka Alba", "price": "34.90", "quantity": 2,
            "url": "https://shop.example/moka", "image_url": "https://shop.example/moka.jpg",
            "guide_url": "https://shop.example/guida", "review_url": "https://shop.example/voti",
            "stock": 2, "rating": 4.5,
        }
    ]  # fmt: skip


def test_what_the_event_says_is_what_the_customer_saw() -> None:
    seen = {
        "name": "Moka",
        "price": "30.00",
        "url": "https://m.example",
        "image_url": "https://i.example",
    }
    line = in_cart(fed(CART), **seen)["lines"][0]
    assert line | seen == line


@pytest.mark.parametrize("fields", [{"currency": "USD"}, {"sku": "tazza"}])
def test_no_total_while_a_price_is_not_known(fields: dict[str, str]) -> None:
    cart = in_cart(fed(CART, **fields))
    assert (cart["total"], cart["lines"][0]["price"]) == (None, None)


def test_a_line_in_another_currency_says_so_and_there_is_no_total() -> None:
    harness = fed(CART).tell("cart.product_added", product_id="tazza", price="9.00", currency="EUR")
    cart = in_cart(harness.at(1), price="5000", currency="JPY")
    assert (cart["currency"], cart["total"]) == ("JPY", None)
    assert [(line["price"], line.get("currency")) for line in cart["lines"]] == [
        ("9.00", "EUR"),
        ("5000.00", None),
    ]


@pytest.mark.parametrize("fields", [{"stock": 0}, {"stock": None, "availability": "out_of_stock"}])
def test_what_is_sold_out_has_no_pieces_left(fields: dict[str, Any]) -> None:
    harness = fed(CART, **fields).tell("cart.product_added", product_id="tazza", price="9.00")
    assert [line.get("stock") for line in in_cart(harness)["lines"]] == [None, 0]


def test_what_is_bought_is_not_for_sale_any_more() -> None:
    harness = fed(STATUS).order("o1").tell(
        "order.shipped", order_id="o1", carrier="BRT", tracking_number="IT1",
        order_url="https://shop.example/o1",
    )  # fmt: skip
    order = variables(harness)["order"]
    assert (order["carrier"], order["tracking_number"]) == ("BRT", "IT1")
    assert order["url"] == "https://shop.example/o1"
    assert not {"stock", "rating"} & order["lines"][0].keys()
    product = variables(harness)["product"]
    assert (product["price"], product["guide_url"]) == ("9.90", "https://shop.example/guida")


def test_the_favourite_has_the_currency_of_its_order() -> None:
    harness = fed(STATUS).order("o1", currency="CHF").tell("order.shipped", order_id="o1")
    product = variables(harness)["product"]
    assert (product["price"], product["currency"]) == ("9.90", "CHF")


def test_of_an_order_from_before_our_time_the_parcel_is_known() -> None:
    link = "https://track.example/" + "1" * 170
    harness = fed(STATUS).tell("order.shipped", order_id="o0", carrier="BRT", tracking_url=link)
    order = variables(harness)["order"]
    assert (order["id"], order["carrier"], order["tracking_url"]) == ("o0", "BRT", link)
    assert variables(harness)["product"] is None


def test_an_address_is_kept_whole_or_not_at_all() -> None:
    link = "https://track.example/" + "1" * 200
    harness = fed(STATUS).tell("order.shipped", order_id="o0", tracking_url=link)
    assert variables(harness)["order"]["tracking_url"] is None


def test_the_carrier_may_come_with_the_delivery() -> None:
    harness = fed(STATUS).order("o1").tell("order.delivered", order_id="o1", carrier="BRT")
    assert harness.customer().orders[0].carrier == "BRT"
