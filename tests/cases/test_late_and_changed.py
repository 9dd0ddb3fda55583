"""Late, twice, in the wrong order: what is right of the cases about orders and carts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.cases.played import Played, lines_of, played

REFUNDS = "04-partial-refunds"
EDITED = "06-order-edited"
VARIANTS = "08-variants"
OVERTAKEN = "29-shipped-before-completed"


# 04: refunds add up.


@pytest.mark.parametrize(
    ("customer", "kept", "status"),
    [
        ("small", "95.00", "completed"),
        ("twice", "0.00", "refunded"),
        ("adds-up", "0.00", "refunded"),
        ("by-products", "60.00", "completed"),
    ],
)
def test_refunds_add_up(customer: str, kept: str, status: str) -> None:
    found = played(REFUNDS)
    assert found.refusals == []
    assert found.kept(customer) == Decimal(kept)
    assert [order.status for order in found.customers[customer].orders] == [status]


def test_five_euros_back_do_not_end_the_conversation() -> None:
    assert {"w03-product-guide", "w04-review-request"} <= set(played(REFUNDS).steps("small"))


def test_a_whole_refund_ends_it() -> None:
    assert played(REFUNDS).steps("twice") == ["w01-confirmation"]


# 06: an order is what was said of it last.


def test_an_order_has_the_total_and_the_lines_of_the_latest_statement() -> None:
    found = Played(lines_of(EDITED)[:3], frozenset())
    order = found.customers["rosa"].orders[0]
    assert order.total == 40
    assert [line.product_id for line in order.lines] == ["tazza"]
    assert found.kept("rosa") == 40
    assert found.customers["rosa"].statistics.items == 1
    assert found.customers["rosa"].purchases.products.keys() == {"tazza"}
    assert found.customers["rosa"].purchases.largest == {"EUR": 40}


def test_the_status_cancelled_cancels() -> None:
    found = played(EDITED)
    assert found.customers["rosa"].orders[0].status == "cancelled"
    assert found.kept("rosa") == 0
    exits = [(each["decision"], each["reason"]) for each in found.decisions]
    assert ("exited", "order.cancelled") in exits


# 08: lines are told apart by product and variant.


def test_the_other_size_stays_in_the_cart() -> None:
    found = played(VARIANTS)
    lines = found.customers["rosa"].cart.lines
    assert [(line.name, line.price, line.quantity) for line in lines] == [
        ("Maglia lunga", Decimal("40.00"), 1)
    ]
    assert found.steps("rosa") == ["reminder", "free-shipping", "last-call"]


# 29: what overtakes its order waits for it.


def test_tracking_and_delivery_that_overtake_the_order_are_applied() -> None:
    found = played(OVERTAKEN)
    order = found.customers["rosa"].orders[0]
    assert (order.status, order.tracking_number) == ("delivered", "IT1")
    assert order.tracking_url == "https://track.example/IT1"
    at = {mail.step: mail.time for mail in found.mails}
    assert at["w03-product-guide"] == "2026-03-04T10:00:02Z"  # two days after the delivery
    assert at["w04-review-request"] == "2026-03-07T10:00:02Z"  # five
