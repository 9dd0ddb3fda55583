"""What stands against mails to an address stays with it when its only holder has another one, and
what another mailer says of an address holds for whoever has it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import DAY, HOUR, Harness
from tests.links.test_address_statements import OBJECTIONS, ROSA, says, shop

LEAVING = {"another one": "new@example.com", "none": None}


def alone(harness: Harness | None = None) -> Harness:
    return says(shop(harness or Harness(), "a"), "a", yes=True).at(HOUR)


def leaves(harness: Harness, how: str) -> Harness:
    return harness.tell("customer.updated", "a", named=True, email=LEAVING[how])


def comes(harness: Harness, who: str = "b") -> Harness:
    """Another one has the address, who agreed before the first one refused."""
    says(shop(harness, who), who, yes=True, happened=60)
    return harness.add("moka", who)


def marketing(harness: Harness) -> list[str]:
    return [c.customer for c in harness.commands if c.mail_class == "marketing"]


@pytest.mark.parametrize("leaving", LEAVING)
@pytest.mark.parametrize("how", OBJECTIONS)
def test_an_objection_stays_with_the_address(how: str, leaving: str) -> None:
    type_, data = OBJECTIONS[how]
    harness = alone().tell(type_, "a", **data).at(2 * HOUR)
    comes(leaves(harness, leaving).at(DAY)).at(12 * DAY)
    assert marketing(harness) == []
    assert {s.reason for s in harness.said("w06") if s.decision == "skipped"} >= {"objected"}
    says(harness, "b", yes=True)
    assert harness.customer("b").consented("marketing"), "who owns it has said yes later"


@pytest.mark.parametrize("leaving", LEAVING)
def test_the_end_of_a_mailbox_stays_with_it(leaving: str) -> None:
    harness = alone().tell("mail.bounced", "a", command_id="", kind="hard").at(2 * HOUR)
    leaves(harness, leaving)
    assert harness.customer("a").suppressed == ""
    shop(harness.at(DAY), "b")
    assert harness.customer("b").suppressed == "bounced"


def test_it_stays_also_when_the_holder_has_ordered_with_it() -> None:
    harness = says(alone().order("o1", "a", email=ROSA), "a", yes=False)
    comes(leaves(harness.at(2 * HOUR), "another one").at(DAY)).at(12 * DAY)
    assert marketing(harness) == []


def test_who_has_left_nothing_against_it_leaves_nothing() -> None:
    harness = leaves(alone(), "another one")
    comes(harness.at(DAY)).at(3 * DAY)
    assert set(marketing(harness)) == {"b"}
    assert {e.type for e in harness.told} == {"link.registered", "link.left"}


def test_what_a_visitor_refused_who_only_typed_it_is_not_left() -> None:
    harness = Harness()
    harness.visitors.add("v")
    says(harness.tell("checkout.started", "v", email=ROSA), "v", yes=False, happened=HOUR)
    harness.tell("checkout.started", "v", email="other@example.com")
    comes(harness.at(2 * HOUR)).at(3 * DAY)
    assert set(marketing(harness)) == {"b"}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("type_", "data"),
    [("mail.bounced", {"kind": "hard"}), ("mail.complained", {})],
)
def test_what_became_of_a_foreign_mail_is_about_the_address_that_it_names(
    type_: str, data: dict[str, Any], known: bool
) -> None:
    harness = alone() if known else Harness().at(HOUR)
    harness.tell(type_, "mailer-1", command_id="", email=ROSA.upper(), **data)
    if not known:
        shop(harness, "a")
        says(harness, "a", yes=True, happened=60)
    harness.add("moka", "a").at(9 * DAY)
    assert marketing(harness) == []
    if type_ == "mail.bounced":
        assert harness.customer("a").suppressed == "bounced"
    assert harness.customer("mailer-1").suppressed == ""


def test_nobody_else_than_the_shop_says_so() -> None:
    harness = alone()
    harness.visitors.add("v")
    for type_, data in (("mail.bounced", {"kind": "hard"}), ("mail.complained", {})):
        harness.tell(type_, "v", command_id="", email=ROSA, **data)
    assert harness.customer("a").suppressed == ""
    assert harness.customer("a").consented("marketing")


def test_a_soft_bounce_is_no_end() -> None:
    harness = alone().tell("mail.bounced", "x", command_id="", email=ROSA, kind="soft")
    assert harness.customer("a").suppressed == ""
