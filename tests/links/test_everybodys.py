"""Ids that stand for nobody in particular: they get no marketing, and no visitor is one."""

from __future__ import annotations

import pytest

from agents.links.everybodys import stands_for_many
from agents.links.registration import MOST_ADDRESSES
from schemas.everybodys import is_everybodys
from schemas.reference import of_visitor
from tests.harness import DAY, HOUR, Harness
from tests.links.test_orders_elsewhere import CART


@pytest.mark.parametrize(
    "id_", ["guest", "Guest ", "0", "NULL", "undefined", "N/A", "[object Object]"]
)
def test_words_for_nobody(id_: str) -> None:
    assert is_everybodys(id_)
    assert is_everybodys(of_visitor(id_))


@pytest.mark.parametrize("id_", ["4711", "anna", "guest-4711", "c0", "nullmann", "00"[:1] + "1"])
def test_ids_of_somebody(id_: str) -> None:
    assert not is_everybodys(id_)


def test_everybodys_customer_gets_confirmations_and_no_marketing() -> None:
    harness = Harness().subscribed("guest").add("moka", "guest")
    harness.at(HOUR).order("o1", "guest", email="rosa@example.com")
    harness.add("tazza", "guest").at(30 * DAY)
    assert [(mail.customer, mail.step) for mail in harness.mails] == [("guest", "w01-confirmation")]
    assert [(d.decision, d.reason) for d in harness.said(CART)] == [
        ("not_entered", "everybodys_id"),
        ("not_entered", "everybodys_id"),
    ]
    assert harness.customer("guest").statistics.count == 1


def test_a_till_with_many_addresses_is_nobody_in_particular() -> None:
    harness = Harness().subscribed("till-3")
    for number in range(MOST_ADDRESSES):
        harness.order(f"o{number}", "till-3", email=f"c{number}@example.com")
    till = harness.customer("till-3")
    assert stands_for_many(till)
    assert till.links.registrations == {}
    harness.add("moka", "till-3").at(30 * DAY)
    assert {mail.step for mail in harness.mails} == {"w01-confirmation"}
    assert harness.counts and sum(each.shared_by_many["customer"] for each in harness.counts) == 1


@pytest.mark.parametrize("visitor", ["undefined", "null", "anonymous"])
def test_an_anonymous_id_that_is_everybodys_becomes_nobody(visitor: str) -> None:
    harness = Harness()
    harness.visitors.add(visitor)
    harness.tell("page.viewed", "anna", visitor=visitor)
    harness.tell("customer.identified", "bruno", anonymous_id=visitor, email="bruno@example.com")
    harness.add("moka", visitor)
    assert harness.customer(visitor).became == ""
    assert harness.customer("bruno").cart.lines == []
    assert harness.customer("bruno").profile.email == "bruno@example.com"


def test_what_is_said_of_somebody_under_it_reaches_the_customer() -> None:
    harness = Harness()
    harness.visitors.add("undefined")
    harness.tell("customer.identified", "undefined", customer_id="bruno", first_name="Bruno")
    assert harness.customer("bruno").profile.first_name == "Bruno"
    assert harness.customer("undefined").became == ""
