"""W05: confirmation at once and to everybody; guide and review request count from the delivery."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.products import Product
from streams.runtime.product_feed import control_record
from tests.harness import DAY, HOUR, Harness

CONFIRMATION, GUIDE, REVIEW = "w01-confirmation", "w03-product-guide", "w04-review-request"
CROSS_SELL = "w05-cross-sell"


def chain(harness: Harness) -> list[tuple[float, str]]:
    return [(mail.at, mail.step) for mail in harness.mails]


def test_without_a_delivery_the_purchase_counts() -> None:
    harness = Harness().subscribed().order().at(30 * DAY)
    assert chain(harness) == [(0, CONFIRMATION), (60 * HOUR, GUIDE), (12 * DAY, REVIEW)]


def test_with_a_delivery_the_delivery_counts() -> None:
    harness = Harness().subscribed().order().at(DAY).tell("order.shipped", order_id="o1")
    harness.at(2 * DAY).tell("order.delivered", order_id="o1").at(30 * DAY)
    assert chain(harness) == [(0, CONFIRMATION), (4 * DAY, GUIDE), (7 * DAY, REVIEW)]
    assert harness.customer().orders[0].status == "delivered"


def test_a_delivery_after_the_guide_moves_the_review_request() -> None:
    harness = Harness().subscribed().order().at(9 * DAY).tell("order.delivered", order_id="o1")
    assert chain(harness.at(30 * DAY))[1:] == [(60 * HOUR, GUIDE), (14 * DAY, REVIEW)]


def test_the_confirmation_needs_no_consent_the_rest_does() -> None:
    harness = Harness().order(email="a@example.com").at(30 * DAY)
    assert chain(harness) == [(0, CONFIRMATION)]
    command = harness.commands[0]
    assert (command.mail_class, command.legal_basis) == ("transactional", "contract")
    assert [s[1:] for s in harness.said() if s.decision == "skipped"] == [
        (GUIDE, "skipped", "no_consent"), (REVIEW, "skipped", "no_consent"),
        (CROSS_SELL, "skipped", "no_products"),
    ]  # fmt: skip


def test_a_withdrawal_ends_what_is_left_of_it() -> None:
    harness = Harness().subscribed().order().at(DAY).tell("consent.withdrawn", purpose="marketing")
    assert harness.said()[-1] == (DAY, "", "exited", "consent.withdrawn")
    assert harness.cancels == []
    assert harness.customer().runs == []


@pytest.mark.parametrize("type_", ["mail.unsubscribed", "mail.complained"])
def test_who_wants_no_more_mails_still_gets_receipts(type_: str) -> None:
    """The one that waits as well as the next one."""
    harness = Harness().subscribed().order().at(HOUR).mailed("m").tell(type_, command_id="m")
    assert harness.cancels == []
    harness.at(DAY).tell("order.completed", order_id="o2", total="20.00", currency="EUR")
    receipts = [each.variables["order"]["id"] for each in harness.at(30 * DAY).commands]
    assert receipts == ["o1", "o2"]


@pytest.mark.parametrize("type_", ["order.refunded", "order.cancelled"])
def test_a_reversal_ends_it_and_leaves_the_confirmation(type_: str) -> None:
    harness = Harness().subscribed().order(total="30").at(3 * DAY).tell(type_, order_id="o1")
    assert harness.said()[-1] == (3 * DAY, "", "exited", type_)
    assert [harness.commands[1].id] == [id_ for id_, *_ in harness.cancels]
    numbers = harness.at(30 * DAY).customer().statistics
    assert (numbers.refunds, numbers.refunded) == (1, {"EUR": Decimal(30)})


@pytest.mark.parametrize("data", [{}, {"total": "30"}])
@pytest.mark.parametrize("type_", ["order.refunded", "order.cancelled"])
def test_a_refund_before_its_order(type_: str, data: dict[str, str]) -> None:
    harness = Harness().subscribed().tell(type_, order_id="o1", **data)
    harness.order(total="30").at(30 * DAY)
    assert harness.mails == []
    numbers = harness.customer().statistics
    assert (numbers.count, numbers.spent, numbers.refunded, numbers.refunds) == (
        1, {"EUR": Decimal(30)}, {"EUR": Decimal(30)}, 1
    )  # fmt: skip


def test_partial_refunds_add_up_by_their_ids() -> None:
    harness = Harness().order(total="30")
    for refund in ("r1", "r2", "r1"):
        harness.tell("order.refunded", order_id="o1", refund_id=refund, total="10.10")
    assert harness.customer().statistics.refunded == {"EUR": Decimal("20.20")}
    assert harness.customer().orders[0].status == "completed"


@pytest.mark.parametrize(
    ("review", "stops"),
    [
        ({"product_id": "moka"}, True),
        ({"product_id": "tazza"}, False),
        ({"product_id": "tazza", "order_id": "o1"}, True),
        ({"product_id": "moka", "order_id": "o9"}, False),
    ],
)
def test_a_review_of_its_product_makes_the_request_needless(
    review: dict[str, str], stops: bool
) -> None:
    harness = Harness().subscribed().order().at(DAY).tell("product.reviewed", **review).at(30 * DAY)
    assert [mail.step for mail in harness.mails] == [CONFIRMATION, GUIDE] + [REVIEW] * (not stops)
    assert ((60 * HOUR, REVIEW, "skipped", "stopped") in harness.said()) == stops


def test_two_orders_are_two_conversations() -> None:
    harness = Harness().subscribed().order("o1").at(DAY).order("o2")
    harness.at(2 * DAY).tell("order.delivered", order_id="o2").at(30 * DAY)
    by_order = {run: [c.step for c in harness.commands if c.run == run] for run in
                {c.run for c in harness.commands}}  # fmt: skip
    assert sorted(map(len, by_order.values())) == [3, 3]
    guides = sorted(c.time for c in harness.commands if c.step == GUIDE)
    assert guides[1] - guides[0] == (4 * DAY - 60 * HOUR) * 1000


def test_a_mail_names_the_dearest_product() -> None:
    harness = Harness().subscribed()
    lines = [{"product_id": p, "name": p, "price": price} for p, price in
             [("a", "5"), ("b", "12.5"), ("c", "12.5")]]  # fmt: skip
    harness.tell("order.completed", order_id="o1", products=lines)
    product = harness.commands[0].variables["product"]
    assert isinstance(product, dict)
    assert (product["product_id"], product["price"]) == ("b", "12.50")


def test_what_goes_with_it_ends_the_chain_once_the_shop_has_set_something() -> None:
    harness = Harness().subscribed()
    feed = [{"sku": "moka", "complements": ["tazza"]}, {"sku": "tazza"}]
    products = [Product.model_validate({"name": "x", "price": "5.00", **each}) for each in feed]
    harness.append(control_record(products))
    harness.order().at(30 * DAY)
    assert chain(harness)[2:] == [(12 * DAY, REVIEW), (21 * DAY, CROSS_SELL)]
    shown = [[each["product_id"] for each in mail.variables.get("products", [])]  # type: ignore[union-attr, index, call-overload]  # JSON
             for mail in harness.commands]  # fmt: skip
    assert shown == [["tazza"], [], [], ["tazza"]]


def test_it_counts_from_the_delivery_too() -> None:
    harness = Harness().subscribed().order().at(2 * DAY).tell("order.delivered", order_id="o1")
    harness.at(30 * DAY)
    assert (16 * DAY, CROSS_SELL, "skipped", "no_products") in harness.said("w05")
