"""W06: hours count from the last change of the cart, and the purchase stops it while it waits."""

from __future__ import annotations

import pytest

from tests.harness import DAY, HOUR, MINUTE, START, Harness

SERIES = [(HOUR, "reminder"), (24 * HOUR, "free-shipping"), (72 * HOUR, "last-call")]


def steps(harness: Harness) -> list[tuple[float, str]]:
    return [(mail.at, mail.step) for mail in harness.mails if not mail.step.startswith("w0")]


def test_three_mails_to_the_second() -> None:
    harness = Harness().subscribed().add().at(10 * DAY)
    assert steps(harness) == SERIES
    assert harness.said()[-1] == (72 * HOUR, "", "completed", "last_step")
    cart = harness.commands[0].variables["cart"]
    assert isinstance(cart, dict)
    assert cart["total"] == "9.90"


def test_hours_count_from_the_last_change() -> None:
    harness = Harness().subscribed().add().at(50 * MINUTE).add("tazza").at(2 * HOUR)
    harness.tell("cart.product_removed", product_id="moka").at(10 * DAY)
    assert steps(harness) == [
        (110 * MINUTE, "reminder"), (26 * HOUR, "free-shipping"), (74 * HOUR, "last-call")
    ]  # fmt: skip


def test_going_through_the_checkout_does_not_change_the_cart() -> None:
    harness = Harness().subscribed().add().at(30 * MINUTE)
    harness.tell("checkout.started", products=[{"product_id": "moka", "price": "9.90"}])
    harness.tell("checkout.step_completed", step="2").at(2 * HOUR)
    assert steps(harness) == [SERIES[0]]


@pytest.mark.parametrize("after", [0.001, 30 * MINUTE, HOUR - 0.001])
def test_a_purchase_stops_it_in_the_same_change(after: float) -> None:
    harness = Harness().subscribed().add().at(after).order()
    assert harness.said("w06")[-1] == (after, "", "exited", "order.completed")
    assert [run.workflow for run in harness.customer().runs] == ["w05-post-purchase"]
    assert steps(harness.at(10 * DAY)) == []


def test_a_timer_due_in_the_same_instant_fires_first_and_the_order_still_counts() -> None:
    harness = Harness().subscribed().add()
    harness.now += HOUR * 1000
    harness.order()
    assert [(mail.at, mail.step) for mail in harness.mails] == [
        (HOUR, "reminder"), (HOUR, "w01-confirmation")
    ]  # fmt: skip
    assert harness.customer().statistics.count == 1
    assert harness.cancels == [(harness.commands[0].id, "anna", "order.completed")]


def test_a_purchase_takes_back_the_waiting_reminder_but_never_a_confirmation() -> None:
    harness = Harness().subscribed().order("o0").at(1).add().at(HOUR + 1)
    confirmation, reminder = harness.commands
    harness.order("o1").tell("order.cancelled", order_id="o0")
    assert harness.cancels == [(reminder.id, "anna", "order.completed")]
    assert confirmation.mail_class == "transactional"


def test_a_mail_that_went_is_not_taken_back() -> None:
    harness = Harness().subscribed().add().at(HOUR)
    sent = harness.commands[0].id
    harness.tell("mail.sent", command_id=sent, message_id="<m>").order()
    assert harness.cancels == []


def test_an_emptied_cart_stops_it_and_the_next_cart_is_another_one() -> None:
    harness = (
        Harness().subscribed().add().at(MINUTE).tell("cart.product_removed", product_id="moka")
    )
    assert harness.said()[-1] == (MINUTE, "", "exited", "cart.emptied")
    harness.at(2 * HOUR).add("tazza").at(10 * DAY)
    assert steps(harness) == [(2 * HOUR + at, step) for at, step in SERIES]


def test_the_same_cart_enters_again_after_thirty_days_only() -> None:
    harness = Harness().subscribed().add().at(5 * DAY).add("tazza").at(12 * DAY)
    assert steps(harness) == SERIES
    assert harness.said()[-1][2:] == ("not_entered", "already_entered")
    harness.at(30 * DAY).add("piatto").at(60 * DAY)
    assert len(steps(harness)) == 6


def test_a_cart_event_that_comes_after_its_order_is_history() -> None:
    harness = Harness().subscribed().at(HOUR).order().at(HOUR + 5).add(happened=HOUR - 60)
    assert harness.customer().cart.lines == []
    assert steps(harness.at(10 * DAY)) == []


def test_what_was_added_after_the_order_is_the_next_cart() -> None:
    harness = Harness().subscribed().add().at(20 * MINUTE).add("tazza").at(30 * MINUTE)
    harness.order(products=["moka"], happened=10 * MINUTE).at(10 * DAY)
    assert [line.product_id for line in harness.customer().cart.lines] == ["tazza"]
    assert steps(harness) == [(20 * MINUTE + at, step) for at, step in SERIES]


@pytest.mark.parametrize("refunded", [False, True])
def test_an_order_ends_the_cart_it_took_whatever_the_clocks_say(refunded: bool) -> None:
    harness = Harness().subscribed().at(10 * MINUTE).add().at(12 * MINUTE)
    if refunded:
        harness.tell("order.refunded", order_id="o1")
    harness.order(happened=5 * MINUTE).at(10 * DAY)
    assert steps(harness) == []
    assert (12 * MINUTE, "", "exited", "order.completed") in harness.said("w06")


def test_the_same_event_twice_and_the_same_order_under_two_ids_count_once() -> None:
    harness = Harness().subscribed().add(id_="a", quantity=2).add(id_="a", quantity=2)
    assert harness.customer().cart.lines[0].quantity == 2
    harness.order(id_="b", total="50").order(id_="b", total="50").order(id_="c", total="50")
    assert harness.customer().statistics.count == 1
    assert [mail.step for mail in harness.mails] == ["w01-confirmation"]


def test_no_consent_no_reminder_no_address_none_either() -> None:
    harness = Harness().tell("customer.updated", email="a@example.com").add().at(10 * DAY)
    skipped = [said for said in harness.said() if said.decision == "skipped"]
    assert [(said.step, said.reason) for said in skipped] == [
        ("reminder", "no_consent"), ("free-shipping-code", "condition"),
        ("free-shipping", "no_consent"), ("last-call", "no_consent"),
    ]  # fmt: skip
    assert harness.customer().coupons == []
    harness = Harness().tell("consent.given", purpose="marketing").add().at(10 * DAY)
    skipped = [said for said in harness.said() if said.decision == "skipped"]
    assert [(said.step, said.reason) for said in skipped] == [
        (step, "no_address") for _, step in SERIES
    ]
    assert harness.mails == []


def test_the_free_shipping_has_a_code_that_the_last_call_repeats() -> None:
    harness = Harness().subscribed().add().at(10 * DAY)
    code = harness.customer().coupons[0]
    assert (code.campaign, code.issued) == ("free-delivery", START + 24 * HOUR * 1000)
    mails = [mail.variables["coupon"] for mail in harness.commands]
    assert [mail and mail["code"] for mail in mails] == [None, code.code, code.code]  # type: ignore[index, call-overload]  # JSON


def test_an_added_quantity_of_nothing_is_no_change() -> None:
    harness = Harness().subscribed().add(quantity=0)
    assert (harness.customer().cart.lines, harness.said()) == ([], [])
