"""Orders that change, are given back, or come after what is told of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agents.commerce import order_words
from schemas.bounds import kept_bytes
from schemas.customer.shopping import EARLY_TOTAL_BYTES, Order
from schemas.signals import OrderNoticed
from tests.harness import DAY, HOUR, Harness

GUIDE, REVIEW = "w03-product-guide", "w04-review-request"
MOKA = {"product_id": "moka", "price": "60.00"}
CUP = {"product_id": "tazza", "price": "40.00"}


def bought(**more: Any) -> Harness:
    said = {"order_id": "o1", "total": "100.00", "products": [MOKA, CUP]} | more
    return Harness().subscribed().tell("order.completed", **said)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("Cancelled (out of stock)", "cancelled"),
        ("CANCELLED_BY_CUSTOMER", "cancelled"),
        ("Order has been cancelled by the customer", "cancelled"),
        ("annulée", "cancelled"),
        ("not cancelled", None),
        ("partially cancelled", None),
        ("cancel requested", None),
        ("wc-on-hold", "alive"),
        ("Warten auf Godot", None),
    ],
)
def test_words_for_a_status(word: str, said: str | None) -> None:
    assert order_words.meaning(word) == said


def the_order(harness: Harness) -> Order:
    return harness.customer().orders[0]


def kept(harness: Harness) -> Decimal:
    numbers = harness.customer().statistics
    return numbers.spent.get("EUR", Decimal(0)) - numbers.refunded.get("EUR", Decimal(0))


def noticed(harness: Harness) -> list[str]:
    found = (e.content for e in harness.effects if isinstance(e.content, OrderNoticed))
    return [each.what for each in found]


@pytest.mark.parametrize(
    ("refunds", "left", "status"),
    [
        ([{"total": "5.00"}], "95.00", "completed"),
        ([{"amount": "5.00"}], "95.00", "completed"),
        ([{"total": "60.00"}, {"total": "60.00"}], "0.00", "refunded"),
        ([{"total": "0.00"}], "100.00", "completed"),
        ([{"total": "0.00", "products": [CUP]}], "60.00", "completed"),
        ([{"products": [{"product_id": "tazza"}]}], "60.00", "completed"),
        ([{"products": [{"product_id": "tazza"}]}, {"products": [MOKA]}], "0.00", "refunded"),
        ([{"refund_id": "r", "total": "5.00"}] * 2, "95.00", "completed"),
        ([{"transactions": [{"amount": "5.00"}]}], "95.00", "completed"),
        (
            [{"refund_line_items": [{"quantity": 1, "line_item": CUP}]}],
            "60.00",
            "completed",
        ),
        ([{}], "0.00", "refunded"),
    ],
)
def test_refunds_add_up(refunds: list[dict[str, Any]], left: str, status: str) -> None:
    harness = bought()
    for refund in refunds:
        harness.at(HOUR).tell("order.refunded", order_id="o1", **refund)
    assert harness.refusals == []
    assert (kept(harness), the_order(harness).status) == (Decimal(left), status)


def test_the_shipping_apart_all_is_back() -> None:
    harness = bought(total="105.00", shipping="5.00").at(HOUR)
    harness.tell("order.refunded", order_id="o1", total="100.00")
    assert (kept(harness), the_order(harness).status) == (Decimal(5), "refunded")


@pytest.mark.parametrize("types", [("cancelled", "refunded"), ("refunded", "cancelled")])
def test_money_goes_back_once(types: tuple[str, str]) -> None:
    harness = bought().at(HOUR).tell("order.refunded", order_id="o1", total="30.00")
    for type_ in types:
        harness.tell(f"order.{type_}", order_id="o1", total="100.00")
    assert kept(harness) == 0
    assert the_order(harness).status == types[-1]


def test_more_than_was_paid_is_told_of_and_does_not_count() -> None:
    harness = bought().at(HOUR).tell("order.refunded", order_id="o1", total="130.00")
    assert kept(harness) == 0
    assert noticed(harness) == ["refund_exceeds_total"]


def test_what_is_given_back_is_not_owned() -> None:
    harness = bought().at(HOUR).tell("order.refunded", order_id="o1", products=[CUP])
    assert harness.customer().purchases.products.keys() == {"moka"}
    shown = [c for c in harness.at(30 * DAY).commands if c.step == GUIDE]
    lines = shown[0].variables["order"]["lines"]  # type: ignore[index, call-overload]
    assert [line["product_id"] for line in lines] == ["moka"]


def test_what_no_parcel_has_held_is_not_asked_about() -> None:
    harness = bought().at(HOUR).tell("order.shipped", order_id="o1", products=[CUP])
    shown = [c for c in harness.at(30 * DAY).commands if c.step in (GUIDE, REVIEW)]
    names = [
        [line["product_id"] for line in each.variables["order"]["lines"]]  # type: ignore[index, call-overload]
        for each in shown
    ]
    assert names == [["tazza"], ["tazza"]]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("canceled", "cancelled"),
        ("Annullato", "cancelled"),
        ("wc-failed", "cancelled"),
        ("Refunded", "refunded"),
        ("partially_shipped", "shipped"),
        ("delivered", "delivered"),
        ("on-hold", "completed"),
        ("xyz", "completed"),
    ],
)
def test_a_status_in_the_shops_own_word(word: str, status: str) -> None:
    harness = bought().at(HOUR).tell("order.updated", order_id="o1", status=word)
    assert the_order(harness).status == status
    assert noticed(harness) == (["unknown_status"] if word == "xyz" else [])


def test_what_failed_and_goes_on_is_bought_after_all() -> None:
    harness = bought().at(HOUR).tell("order.updated", order_id="o1", status="failed")
    assert kept(harness) == 0
    harness.at(2 * HOUR).tell("order.updated", order_id="o1", status="processing")
    assert (kept(harness), the_order(harness).status) == (Decimal(100), "completed")


def test_an_update_without_a_total_counts_by_its_lines() -> None:
    harness = bought(total="105.00").at(HOUR)
    harness.tell("order.updated", order_id="o1", products=[CUP])
    assert the_order(harness).total == Decimal("45.00")


def test_a_purchase_sent_again_with_another_content_is_an_update() -> None:
    harness = bought().at(HOUR).tell("order.completed", order_id="o1", total="40", products=[CUP])
    assert (kept(harness), harness.customer().statistics.count) == (Decimal(40), 1)
    harness.at(2 * HOUR).tell(
        "order.completed", order_id="o1", total="100.00", products=[MOKA, CUP]
    )
    assert kept(harness) == 40  # the first one, once more


@pytest.mark.parametrize("undone", ["refunded", "cancelled"])
def test_an_order_that_was_undone_before_it_came_begins_nothing_and_that_is_said(
    undone: str,
) -> None:
    harness = Harness().subscribed().at(HOUR).tell(f"order.{undone}", order_id="o1")
    order = {"order_id": "o1", "total": "100.00", "products": [MOKA]}
    harness.at(2 * HOUR).tell("order.completed", **order)
    said = [(each.decision, each.reason) for each in harness.said("w05-post-purchase")]
    assert said == [("not_entered", f"order.{undone}")]
    assert harness.mails == []
    harness.tell("order.completed", **order | {"total": "90.00"})
    assert len(harness.said("w05-post-purchase")) == 1


def test_a_review_before_its_order_makes_the_request_needless() -> None:
    harness = Harness().subscribed().at(HOUR).tell("product.reviewed", product_id="moka")
    harness.tell("order.completed", order_id="o1", total="60", products=[MOKA], happened=0)
    assert REVIEW not in [mail.step for mail in harness.at(30 * DAY).mails]


def test_what_waits_for_orders_keeps_to_its_room() -> None:
    harness = Harness()
    for number in range(200):
        harness.tell("order.shipped", order_id=f"o{number}", tracking_number=f"T{number}" * 9)
    early = harness.customer().early
    assert kept_bytes(early) <= EARLY_TOTAL_BYTES
    assert early[-1].order.id == "o199"
    assert set(noticed(harness)) == {"forgotten"}
    harness.at(100 * DAY).tell("order.shipped", order_id="new")
    assert [each.order.id for each in harness.customer().early] == ["new"]


def test_of_an_order_of_which_only_the_number_is_known_nothing_changes() -> None:
    harness = bought()
    for number in range(2, 24):
        harness.at(number * HOUR).order(f"o{number}", total="1")
    before = harness.customer().statistics.spent
    harness.tell("order.updated", order_id="o1", total="5.00")
    assert harness.customer().statistics.spent == before
    assert noticed(harness) == ["not_kept"]
