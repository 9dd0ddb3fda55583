"""What more have than a link lists links nobody, and is one mailbox all the same: objections, its
end and the limits hold for it."""

from __future__ import annotations

from typing import Any

import pytest

from agents.links.link_actor import MOST_HOLDERS
from agents.links.names import PREFIX, of_address
from schemas.customer import decode_customer
from schemas.customer.links import Links
from schemas.reference import of_visitor
from tests.harness import DAY, HOUR, MINUTE, Harness
from tests.links.test_address_statements import ROSA, says

MANY = MOST_HOLDERS + 5
DAILY = "id: policy\ndefinition: policy\ncaps: [{at_most: 1, per: day}]\n"
KINDS = ("customers", "visitors")
LATER = f"c{MANY - 1}"


def crowd(kind: str, harness: Harness | None = None) -> Harness:
    """So many have one address, and have agreed to mails at the beginning."""
    harness = harness or Harness()
    for number in range(MANY):
        one = f"c{number}"
        if kind == "visitors":
            harness.visitors.add(one)
            harness.tell("checkout.started", one, email=ROSA)
        else:
            harness.tell("customer.updated", one, named=True, email=ROSA)
        says(harness, one, yes=True, happened=0)
    return harness


def marketing(harness: Harness) -> list[str]:
    return [c.customer for c in harness.commands if c.mail_class == "marketing"]


def kept(harness: Harness) -> Links:
    key = PREFIX + of_address(ROSA, b"")
    return decode_customer(key, harness.store[key.encode()]).links


def carts(harness: Harness) -> list[tuple[str, str]]:
    return [(s.decision, s.reason) for s in harness.said("w06-abandoned-cart-a")]


@pytest.mark.parametrize("kind", KINDS)
def test_all_of_them_together_keep_to_the_caps(kind: str) -> None:
    harness = crowd(kind).publish_live(DAILY).at(HOUR)
    for number in range(MANY):
        harness.add("moka", f"c{number}")
    harness.at(5 * HOUR)
    assert len(marketing(harness)) == 1
    harness.at(30 * HOUR)
    assert len(marketing(harness)) == 2
    assert len(kept(harness).holders) <= MOST_HOLDERS


def test_a_customer_counts_what_many_visitors_got_who_typed_the_address() -> None:
    harness = crowd("visitors").publish_live(DAILY)
    says(harness.tell("customer.updated", "anna", named=True, email=ROSA), "anna", yes=True)
    harness.at(HOUR).add("moka", "c3").at(3 * HOUR).add("moka", "anna").at(5 * HOUR)
    assert marketing(harness) == [of_visitor("c3")]


@pytest.mark.parametrize("who", ["c1", LATER])
@pytest.mark.parametrize(
    ("type_", "data", "reason"),
    [
        ("consent.withdrawn", {"purpose": "marketing"}, "objected"),
        ("mail.complained", {"command_id": ""}, "objected"),
        ("mail.bounced", {"command_id": "", "kind": "hard"}, "address.bounced"),
    ],
)
def test_what_one_of_them_says_of_it_holds_for_those_before_and_after(
    who: str, type_: str, data: dict[str, Any], reason: str
) -> None:
    harness = crowd("customers").at(HOUR).tell(type_, who, **data)
    harness.add("moka", "c5").add("moka", f"c{MANY - 2}")
    harness.tell("customer.updated", "new", named=True, email=ROSA)
    says(harness, "new", yes=True, happened=MINUTE)
    harness.add("moka", "new").at(9 * DAY)
    assert marketing(harness) == []
    assert carts(harness).count(("exited", reason)) == 2
    assert bool(harness.customer("new").suppressed) is (reason == "address.bounced")
    assert harness.customer("new").links.silenced is (reason == "objected")
    assert harness.refusals == []


def test_who_owns_it_may_say_yes_again_later() -> None:
    harness = says(crowd("customers").at(HOUR), "c1", yes=False)
    harness.add("moka", LATER).at(9 * DAY)
    assert marketing(harness) == []
    says(harness, LATER, yes=True)
    assert harness.customer(LATER).consented("marketing")
    says(harness, "new", yes=True, happened=60)
    harness.tell("customer.updated", "new", named=True, email=ROSA)
    assert harness.customer("new").consented("marketing"), "it is told of both"


def test_who_reads_a_mail_to_a_typed_address_speaks_for_all_visitors() -> None:
    harness = crowd("visitors").at(HOUR).mailed("m", customer="c2")
    harness.tell("mail.unsubscribed", "c2", command_id="m", reason="page")
    harness.add("moka", LATER).add("moka", "c4").at(9 * DAY)
    assert marketing(harness) == []


def test_visitors_who_only_typed_it_silence_nobody() -> None:
    harness = says(crowd("visitors").at(HOUR), "c1", yes=False)
    harness.add("moka", LATER).at(3 * HOUR)
    assert marketing(harness) == [of_visitor(LATER)]


def test_what_was_said_while_there_were_few_holds_for_the_many() -> None:
    harness = Harness().tell("customer.updated", "first", named=True, email=ROSA)
    crowd("customers", says(harness.at(HOUR), "first", yes=False))
    harness.at(2 * HOUR).add("moka", "c1").add("moka", LATER).at(9 * DAY)
    assert marketing(harness) == []


def test_each_who_comes_costs_the_same_and_nothing_grows() -> None:
    harness = crowd("customers").at(HOUR)
    before, told = kept(harness), len(harness.told)
    for number in range(10):
        harness.tell("customer.updated", f"d{number}", named=True, email=ROSA)
    types = [event.type for event in harness.told[told:]]
    assert types == ["link.registered", "link.shared", "address.said", "address.told"] * 10
    assert kept(harness).holders == before.holders == {}


def test_it_links_nobody() -> None:
    harness = crowd("customers").at(HOUR).add("moka", LATER).add("moka", "c1")
    harness.order("o1", "c2", email=ROSA)
    assert harness.customer(LATER).cart.lines and harness.customer("c1").cart.lines
