"""Lines of carts and orders: told apart by product and variant, in any quantity."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from agents.commerce.cart import take_out
from schemas.bounds import kept_bytes
from schemas.customer.shopping import (
    CART_CHANGES_KEPT,
    CART_CHANGES_TOTAL_BYTES,
    Cart,
    LineItem,
)
from schemas.events.odd import OddField
from schemas.quantity import exact
from schemas.validation import payload_model, validated_json
from tests.harness import Harness

S = {"sku": "maglia-S", "variant": "S", "name": "Maglia S"}
L = {"sku": "maglia-L", "variant": "L", "name": "Maglia L"}


def cart(*changes: tuple[str, dict[str, Any]]) -> list[tuple[str, str, Any]]:
    shop = Harness()
    for number, (what, data) in enumerate(changes):
        shop.at(number).tell(f"cart.product_{what}", **{"product_id": "maglia", **data})
    lines = shop.customer().cart.lines
    return [(line.product_id, line.sku or line.variant, line.quantity) for line in lines]


def test_two_sizes_are_two_lines_and_the_same_again_is_one() -> None:
    found = cart(("added", S), ("added", L), ("added", S | {"quantity": 2}))
    assert found == [("maglia", "maglia-S", 3), ("maglia", "maglia-L", 1)]


@pytest.mark.parametrize(
    ("named", "left"),
    [
        ({"sku": "maglia-S"}, ["maglia-L"]),
        ({"variant": "S"}, ["maglia-L"]),
        ({"variant": "s"}, ["maglia-L"]),  # as people write it
        ({"sku": "maglia-L", "variant": "L"}, ["maglia-S"]),
        ({"product_id": "maglia-S"}, ["maglia-L"]),  # named by its unit only
        ({}, ["maglia-S"]),  # the latest of several
        ({"sku": "maglia-M"}, ["maglia-S", "maglia-L"]),  # not in it
        ({"variant": "M"}, ["maglia-S", "maglia-L"]),
    ],
)
def test_a_removal_takes_the_variant_that_it_names(named: dict[str, Any], left: list[str]) -> None:
    found = cart(("added", S), ("added", L), ("removed", named))
    assert [sku for _, sku, _ in found] == left


def test_a_removal_without_a_variant_takes_the_only_line() -> None:
    assert cart(("added", L), ("removed", {})) == []
    assert cart(("added", L | {"quantity": 3}), ("removed", {"quantity": 1})) == [
        ("maglia", "maglia-L", 2)
    ]


def test_size_and_colour_tell_apart_where_nothing_else_does() -> None:
    red, blue = {"size": "M", "color": "rosso"}, {"size": "M", "colour": "blu"}
    found = cart(("added", red), ("added", blue), ("removed", red))
    assert found == [("maglia", "M / blu", 1)]


def test_a_product_known_by_its_unit_alone_is_that_variant() -> None:
    found = cart(("added", {"product_id": None, "sku": "maglia-S"}), ("added", S), ("added", L))
    assert [quantity for *_, quantity in found] == [2, 1]


def test_a_checkout_lists_each_variant_once() -> None:
    shop = Harness().tell("cart.product_added", product_id="maglia", **S)
    listed = [{"product_id": "maglia", **each} for each in (S, L, S)]
    shop.tell("checkout.started", products=listed)
    found = [(line.sku, line.quantity) for line in shop.customer().cart.lines]
    assert found == [("maglia-S", 2), ("maglia-L", 1)]


def test_a_product_in_two_sizes_is_one_product_bought_and_two_pieces() -> None:
    lines = [{"product_id": "maglia", "price": "30.00", **each} for each in (S, L)]
    found = Harness().tell("order.completed", order_id="o1", products=lines).customer()
    assert [line.variant for line in found.orders[0].lines] == ["S", "L"]
    assert found.purchases.products["maglia"].orders == 1
    assert (found.statistics.items, found.statistics.spent) == (2, {"EUR": Decimal(60)})


def test_what_is_sold_by_weight_is_counted_by_weight() -> None:
    shop = Harness().tell("cart.product_added", product_id="parma", price="20.00", quantity="0.35")
    shop.tell("cart.product_added", product_id="parma", price="20.00", quantity=0.4)
    found = shop.customer().cart
    assert (found.lines[0].quantity, found.total()) == (Decimal("0.75"), Decimal("15.00"))
    shop.tell("cart.product_removed", product_id="parma", quantity=0.75)
    assert shop.customer().cart.lines == []


def test_a_returned_line_counts_as_its_sum_says() -> None:
    lines = [{"product_id": "a", "price": "30.00", "quantity": 2},
             {"product_id": "b", "price": "20.00", "quantity": -1}]  # fmt: skip
    found = Harness().tell("order.completed", order_id="o1", products=lines).customer()
    assert found.statistics.spent == {"EUR": Decimal(40)}
    assert found.statistics.items == 1


def test_nothing_less_than_nothing_lies_in_a_cart() -> None:
    value = json.dumps({"product_id": "p", "quantity": -1}).encode()
    data, odd = validated_json(payload_model("cart.product_added"), value)
    assert data.quantity == 0
    assert odd == (OddField("quantity", "-1", "range", kept=True),)


def test_whole_pieces_are_kept_as_before() -> None:
    kept = msgspec.msgpack.encode(["moka", 2, "34.90"])  # of before there were variants
    line = msgspec.msgpack.decode(kept, type=LineItem)
    assert (line.quantity, line.price, line.sku) == (2, Decimal("34.90"), "")
    assert msgspec.msgpack.encode(exact(Decimal("2.0"))) == msgspec.msgpack.encode(2)
    assert str(exact(Decimal("1.500"))) == "1.5"


def test_what_is_taken_out_leaves_no_more_changes_than_there_is_room_for() -> None:
    lines = [LineItem(f"p{number:03}" + "y" * 150, 1, updated=1) for number in range(90)]
    found = Cart(lines=lines, changed=1)
    take_out(found, list(lines[:80]))
    assert len(found.lines) == 10
    assert len(found.changes) <= CART_CHANGES_KEPT
    assert kept_bytes(found.changes) <= CART_CHANGES_TOTAL_BYTES
