"""What comes late to a cart: it holds what it would if all had come in order of their own times."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from schemas.bounds import kept_bytes
from schemas.customer.shopping import CART_CHANGES_KEPT, CART_CHANGES_TOTAL_BYTES
from tests.harness import DAY, HOUR, MINUTE, Harness

Change = tuple[float, str, dict[str, Any]]
ADDED, REMOVED = "cart.product_added", "cart.product_removed"
MOKA = {"product_id": "moka", "price": "9.90", "name": "Moka"}
TWO: list[Change] = [
    (10, ADDED, MOKA | {"quantity": 2}),
    (20, REMOVED, {"product_id": "moka", "quantity": 1}),
    (30, ADDED, MOKA | {"name": "Moka Alba", "quantity": 3}),
]
HISTORIES: dict[str, list[Change]] = {
    "taken out": [(10, ADDED, MOKA), (20, REMOVED, {"product_id": "moka"})],
    "taken out and put in again": [
        (10, ADDED, MOKA), (20, REMOVED, {"product_id": "moka"}), (30, ADDED, MOKA)
    ],
    "one of two taken out, three more": TWO,
    "more taken out than there was": [
        (10, ADDED, MOKA), (20, REMOVED, {"product_id": "moka", "quantity": 5}), (30, ADDED, MOKA)
    ],
    "the latest of two sizes": [
        (10, ADDED, MOKA | {"variant": "S"}), (20, ADDED, MOKA | {"variant": "L"}),
        (30, REMOVED, {"product_id": "moka"}),
    ],
    "a checkout older than the cart": [
        (10, ADDED, MOKA), (20, "checkout.started", {"products": [MOKA | {"quantity": 2}]}),
        (30, ADDED, {"product_id": "tazza"}), (40, REMOVED, {"product_id": "moka", "quantity": 1}),
    ],
    "an order older than what was put in since": [
        (10, ADDED, MOKA), (20, "order.completed", {"order_id": "o1", "products": [MOKA]}),
        (30, ADDED, MOKA), (40, ADDED, {"product_id": "tazza"}),
    ],
    "a step before its checkout": [
        (10, ADDED, MOKA), (20, "checkout.started", {}),
        (30, "checkout.step_completed", {"step": "payment"}),
    ],
}  # fmt: skip


def arrived(changes: list[Change]) -> tuple[Any, ...]:
    shop = Harness().at(HOUR)
    for number, (minute, type_, data) in enumerate(changes):
        shop.tell(type_, happened=minute * MINUTE, id_=f"e{minute}", **data)
        if number % 2:
            shop.tell(type_, happened=minute * MINUTE, id_=f"e{minute}", **data)
    cart = shop.customer().cart
    lines = sorted((line.product_id, line.variant, line.quantity, line.name, line.price or 0)
                   for line in cart.lines)  # fmt: skip
    return lines, cart.step if lines else "", cart.id


@pytest.mark.parametrize("name", HISTORIES)
def test_whatever_the_order_in_which_it_comes(name: str) -> None:
    changes = HISTORIES[name]
    wanted = arrived(changes)
    for order in itertools.permutations(changes):
        assert arrived(list(order)) == wanted, [minute for minute, *_ in order]


def test_the_cart_is_what_was_done_to_it() -> None:
    assert arrived(TWO)[0] == [("moka", "", 4, "Moka Alba", Decimal("9.90"))]
    kept = HISTORIES["an order older than what was put in since"]
    assert [line[0] for line in arrived(kept)[0]] == ["moka", "tazza"]


def test_an_older_addition_says_no_newer_price() -> None:
    shop = Harness().at(HOUR).add(happened=30 * MINUTE)
    shop.tell(ADDED, happened=10 * MINUTE, product_id="moka", price="8.00", brand="Alba")
    [line] = shop.customer().cart.lines
    assert (str(line.price), line.brand, line.quantity) == ("9.90", "Alba", 2)


def test_a_removal_waits_a_week_for_its_addition() -> None:
    for days, there in ((6, 0), (8, 1)):
        shop = Harness().tell(REMOVED, product_id="moka", happened=0)
        shop.at(days * DAY).add("tazza").add(happened=-60)
        names = [line.product_id for line in shop.customer().cart.lines]
        assert names == ["tazza", "moka"][: 1 + there]


def test_what_a_cart_remembers_is_bounded() -> None:
    shop = Harness()
    for number in range(300):
        shop.at(number).add(f"p{number % 7}", variant="x" * 90)
        shop.tell(REMOVED, product_id=f"p{number % 5}", variant="y", quantity=1)
    cart = shop.customer().cart
    assert len(cart.changes) <= CART_CHANGES_KEPT
    assert kept_bytes(cart.changes) <= CART_CHANGES_TOTAL_BYTES
    assert sum(line.quantity for line in cart.lines) == 300, "the removals named what wasn't there"


def test_clocks_that_differ_leave_nothing_to_be_reminded_of() -> None:
    """The shop's orders say that they are older than the checkouts that they come from."""
    shop = Harness().subscribed().at(10 * MINUTE)
    shop.tell("checkout.started", products=[MOKA], cart_id="c1")
    shop.order(happened=8 * MINUTE)
    shop.tell("checkout.step_completed", products=[MOKA], happened=10.5 * MINUTE)
    assert shop.customer().cart.lines == []
