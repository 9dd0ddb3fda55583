"""A page's word that somebody has ordered: reminders of that cart wait for the shop's, a day at
most, and nothing else follows from it."""

from __future__ import annotations

import pytest

from schemas.events.shopping import OrderCompleted
from schemas.records import OutRecord
from schemas.signing import SPEAKER
from tests.harness import DAY, HOUR, MINUTE, Harness

W06 = "w06-abandoned-cart-a"


def with_a_cart() -> Harness:
    return Harness().subscribed("anna").add("moka", "anna", cart_id="c1")


def sent(harness: Harness) -> list[tuple[float, str]]:
    return [(mail.at, mail.step) for mail in harness.mails]


def test_reminders_wait_for_a_day_and_go_then() -> None:
    plain = [at for at, _ in sent(with_a_cart().at(4 * DAY))]
    assert plain[0] == HOUR
    hinted = with_a_cart().at(30 * MINUTE).tell("order.hinted", order_id="o1").at(4 * DAY)
    times = [at for at, _ in sent(hinted)]
    assert min(times) >= DAY + 30 * MINUTE
    assert len(times) >= 1, "the reminders that are not too late by then"
    reasons = {each.reason for each in hinted.said(W06) if each.decision == "held"}
    assert "order_hinted" in reasons
    assert hinted.customer("anna").statistics.count == 0


def test_the_shops_order_ends_them_as_ever() -> None:
    harness = with_a_cart().at(30 * MINUTE).tell("order.hinted", order_id="o1")
    harness.at(3 * HOUR).order("o1", "anna").at(4 * DAY)
    assert [mail for mail in harness.mails if mail.step == "reminder"] == []
    assert harness.customer("anna").cart.hinted == 0
    harness.add("tazza", "anna").at(4 * DAY + 2 * HOUR)
    assert "reminder" in [mail.step for mail in harness.mails], "the next cart is another one"


@pytest.mark.parametrize("what", ["another cart's", "empty", "known", "emptied"])
def test_a_hint_that_is_none(what: str) -> None:
    harness = with_a_cart()
    match what:
        case "another cart's":
            harness.tell("order.hinted", cart_id="c2")
        case "empty":
            harness.order("o1", "anna").at(MINUTE).tell("order.hinted", order_id="o2")
        case "known":
            harness.order("o1", "anna").at(MINUTE).add("tazza", "anna")
            harness.tell("order.hinted", order_id="o1")
        case "emptied":
            harness.tell("order.hinted").tell("cart.product_removed", product_id="moka")
    assert harness.customer("anna").cart.hinted == 0


def test_a_visitors_hint_goes_with_its_cart() -> None:
    harness = Harness().subscribed("anna").add("moka", "v").tell("order.hinted", "v")
    harness.tell("customer.identified", "v", customer_id="anna").at(20 * HOUR)
    assert harness.customer("anna").cart.hinted > 0
    assert harness.mails == []


def test_a_purchase_that_is_said_in_public_is_refused() -> None:
    harness = Harness().add("moka", "v")
    data = OrderCompleted(order_id="o1", total="9.90")
    headers = (("ce_id", b"x"), ("ce_type", b"order.completed"), ("ce_anonymousid", b"v"),
               (SPEAKER, b"public"))  # fmt: skip
    harness.append(OutRecord(b"v", data.model_dump_json(exclude_none=True).encode(), headers))
    assert [reason for reason, _ in harness.refusals] == ["reserved"]
    assert harness.customer("v").statistics.count == 0
