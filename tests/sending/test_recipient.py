"""A mail goes to the address that belongs to its occasion: about an order to the order's own."""

from __future__ import annotations

from typing import Any

import pytest

from agents.digests import address_digest
from schemas.commands import SuppressCommand
from schemas.events.shopping import OrderCompleted
from schemas.validation import validated
from tests.harness import DAY, HOUR, Harness

ANNA, OWN = "anna@example.com", "ufficio@example.org"
RETURNS = "/ritorno/returns"
BOUNCE: dict[str, Any] = {"code": 550, "kind": "hard", "reason": "no_such_user", "reported": True}


def addresses(harness: Harness) -> list[tuple[str, str]]:
    return [(command.step, command.email) for command in harness.commands]


def with_status_mails() -> Harness:
    """The shop tells of each step of an order."""
    harness = Harness()
    for status in ("shipped", "delivered"):
        harness.publish_live(STATUS.replace("STATUS", status))
    return harness


STATUS = """
id: w02-STATUS
title: {en: Order STATUS, it: Ordine STATUS}
trigger: order.STATUS
entry: {once_per: order}
steps: [{id: told, send: order-STATUS, class: transactional, kind: transactional}]
"""


def test_the_confirmation_goes_to_the_orders_own_address_and_marketing_to_the_profiles() -> None:
    harness = Harness().subscribed().order(email=OWN).at(30 * DAY)
    assert [email for _, email in addresses(harness)] == [OWN, ANNA, ANNA]
    assert harness.customer().profile.email == ANNA


def test_without_one_it_goes_to_the_profiles() -> None:
    assert addresses(Harness().subscribed().order()) == [("w01-confirmation", ANNA)]


def test_who_mistypes_the_address_and_corrects_it_at_the_checkout_gets_the_confirmation() -> None:
    harness = Harness().add(customer="v1")
    harness.tell("checkout.started", "v1", email="rosa@example.co")
    harness.tell("checkout.step_completed", "v1", step="contact", email="rosa@example.com")
    harness.order(customer="v1", email="rosa@example.com")
    assert addresses(harness) == [("w01-confirmation", "rosa@example.com")]


def test_each_order_is_told_of_at_its_own_address() -> None:
    harness = with_status_mails().subscribed()
    harness.order("o1", email=OWN).order("o2").order("o3", email="zia@example.net")
    for order in ("o3", "o1", "o2"):
        harness.at(HOUR).tell("order.shipped", order_id=order)
        harness.at(2 * HOUR).tell("order.delivered", order_id=order)
    told = sorted(
        (each.run.rpartition("/")[0], each.email)
        for each in harness.commands
        if each.step == "told"
    )
    assert told == [
        (f"w02-{status}/{order}", address)
        for status in ("delivered", "shipped")
        for order, address in (("o1", OWN), ("o2", ANNA), ("o3", "zia@example.net"))
    ]


def test_an_order_of_a_visitor_keeps_its_address_when_it_is_known_whose_it_is() -> None:
    harness = with_status_mails().subscribed()
    harness.order("o1", "v1", email=OWN)
    harness.tell("customer.identified", anonymous_id="v1").at(HOUR)
    harness.tell("order.shipped", order_id="o1")
    assert {email for _, email in addresses(harness)} == {OWN}
    assert harness.customer().profile.email == ANNA


@pytest.mark.parametrize(
    "where",
    [
        {"contact_email": OWN},
        {"customer_email": OWN},
        {"customer": {"email": OWN}},
        {"billing": {"email": OWN}},
        {"email": "", "contact_email": OWN},
        {"email": None, "billing": {"email": OWN}},
        {"email": "not an address", "customer": {"email": OWN}},
    ],
    ids=str,
)
def test_shops_name_it_in_several_places(where: dict[str, Any]) -> None:
    order, _ = validated(OrderCompleted, {"order_id": "o1", "total": "9.00", **where})
    assert isinstance(order, OrderCompleted)
    assert order.address() == OWN


@pytest.mark.parametrize(
    "odd", ["", "not an address", f"{OWN}, {ANNA}", "a@" + "b" * 260 + ".example"]
)
def test_what_is_no_address_is_none(odd: str) -> None:
    harness = Harness().subscribed().order(email=odd, billing={"email": odd})
    assert addresses(harness) == [("w01-confirmation", ANNA)]


@pytest.mark.parametrize("odd", ["nobody", 7, [], ["a@example.com"], None])
def test_a_customer_that_is_no_object_costs_no_order(odd: object) -> None:
    harness = Harness().subscribed().order(billing=odd, billing_address=odd)
    assert addresses(harness) == [("w01-confirmation", ANNA)]


# What the world says of a mail counts for the address that it went to.


def suppressed(harness: Harness) -> list[tuple[str, str]]:
    found = [e.content for e in harness.effects if isinstance(e.content, SuppressCommand)]
    return [(each.email, each.scope) for each in found]


def test_a_bounce_of_the_orders_own_address_is_not_the_profiles() -> None:
    harness = with_status_mails().subscribed().order(email=OWN)
    harness.tell("mail.bounced", sender=RETURNS, command_id=harness.commands[0].id, **BOUNCE)
    assert suppressed(harness) == [(OWN, "all")]
    assert harness.customer().suppressed == ""
    harness.at(HOUR).tell("order.shipped", order_id="o1")
    assert ("skipped", "suppressed") in [each[2:] for each in harness.said("w02-shipped")]
    harness.order("o2")
    assert addresses(harness)[-1][1] == ANNA


def test_a_bounce_of_the_profiles_is_not_the_orders() -> None:
    harness = Harness().subscribed().order()
    harness.tell("mail.bounced", sender=RETURNS, command_id=harness.commands[0].id, **BOUNCE)
    assert harness.customer().suppressed == "bounced"
    harness.order("o2").order("o3", email=OWN)
    assert addresses(harness)[1:] == [("w01-confirmation", OWN)]


def test_who_moves_to_an_address_that_has_bounced_gets_nothing_there() -> None:
    harness = Harness().subscribed().order(email=OWN)
    harness.tell("mail.bounced", sender=RETURNS, command_id=harness.commands[0].id, **BOUNCE)
    harness.at(1).tell("customer.updated", email=OWN.upper())
    assert harness.customer().suppressed == "bounced"
    harness.at(2).tell("customer.updated", email=ANNA)
    assert harness.customer().suppressed == ""


def test_a_complaint_from_the_orders_own_address_is_not_the_customers_objection() -> None:
    harness = Harness().subscribed().order(email=OWN)
    harness.tell(
        "mail.complained", sender=RETURNS, command_id=harness.commands[0].id, reason="abuse"
    )
    assert suppressed(harness) == [(OWN, "marketing")]
    assert harness.customer().consented("marketing")


def test_soft_bounces_of_the_orders_own_address_do_not_add_up_to_the_profiles_end() -> None:
    harness = Harness().subscribed()
    soft = BOUNCE | {"kind": "soft", "reason": "mailbox_full", "code": 452}
    for number in range(10):
        harness.order(f"o{number}", email=OWN)
        harness.tell("mail.bounced", sender=RETURNS, command_id=harness.commands[-1].id, **soft)
    assert harness.customer().suppressed == ""
    assert harness.customer().bounces.soft == 0
    assert suppressed(harness) == []


def test_a_person_can_release_either_address() -> None:
    harness = Harness().subscribed().order(email=OWN).order("o2")
    for command in harness.commands:
        harness.tell("mail.bounced", sender=RETURNS, command_id=command.id, **BOUNCE)
    harness.tell("address.released", by="lia", address=address_digest(OWN))
    assert harness.customer().suppressed == "bounced"
    harness.order("o3", email=OWN).order("o4")
    assert addresses(harness)[2:] == [("w01-confirmation", OWN)]
    harness.tell("address.released", by="lia", address=address_digest(ANNA)).order("o5")
    assert addresses(harness)[3:] == [("w01-confirmation", ANNA)]
