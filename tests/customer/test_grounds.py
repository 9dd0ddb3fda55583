"""On what ground an address is somebody's, and that nobody takes an account over by typing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from agents.customer import grounds
from agents.customer.grounds import ground_of
from agents.customer.tracking import SOURCE as PAGES
from schemas.customer import Customer, encode_customer
from schemas.customer.person import Profile
from schemas.reference import of_visitor
from schemas.wire import parse_published, to_record
from tests.harness import DAY, FILES, HOUR, Harness, changed

ASKS = changed(
    "w11-welcome",
    id="asks",
    trigger="list.pending",
    exit_on=["list.joined", "list.left"],
    entry={"once_per": "list", "again_after": "7d"},
    steps=[
        {"id": step, "wait": wait, "send": "double-opt-in", "kind": "transactional",
         "class": "transactional"}
        for step, wait in (("ask", "0m"), ("again", "2d"))
    ],
)  # fmt: skip
STRANGER = "somebody-else@example.net"
Deed = Callable[[Harness], Harness]


def asking() -> Harness:
    """A shop that asks for double opt-in."""
    return Harness(FILES | {"asks": ASKS})


def rosa(harness: Harness | None = None) -> Harness:
    """A customer of whom the shop says address, name and consent."""
    harness = asking() if harness is None else harness
    harness.tell("customer.updated", "rosa", named=True, email="rosa@example.com",
                 first_name="Rosa", locale="it", city="Torino")  # fmt: skip
    return harness.tell("consent.given", "rosa", named=True, purpose="marketing")


def public(harness: Harness, line: dict[str, Any]) -> Harness:
    """Let somebody say something in public, through a door of ours."""
    event = parse_published(json.dumps({"messageId": "p1", **line}))._replace(public=True)
    harness.append(to_record(event))
    return harness


def linked(harness: Harness) -> Harness:
    """Let the visitor `v` be Rosa's, by the shop's word."""
    return harness.tell("customer.identified", "rosa", anonymous_id="v")


TAKEOVERS: dict[str, Deed] = {
    "a form": lambda w: w.tell("list.subscribed", "rosa", named=True, email=STRANGER,
                               first_name="Mallory", locale="de"),
    "a form of another list": lambda w: w.tell("list.subscribed", "rosa", list="x", email=STRANGER),
    "a form, proven elsewhere": lambda w: w.tell("list.subscribed", "rosa", email=STRANGER,
                                                 confirmed=True, first_name="Mallory"),
    "a form under her device": lambda w: linked(w).tell(
        "list.subscribed", "v", email=STRANGER, first_name="Mallory"),
    "who her device says it is": lambda w: linked(w).tell(
        "customer.identified", "v", email=STRANGER, first_name="Mallory", locale="de", city="Rom"),
    "a checkout": lambda w: w.tell("checkout.started", "rosa", email=STRANGER),
    "a checkout on her device": lambda w: linked(w).tell("checkout.started", "v", email=STRANGER),
    "an order with another address": lambda w: w.order("o1", "rosa", email=STRANGER),
    "in public": lambda w: public(w, {"type": "identify", "anonymousId": "rosa",
                                      "traits": {"email": STRANGER}}),
    "in public, on her device": lambda w: public(linked(w), {
        "type": "track", "event": "List Subscribed", "anonymousId": "v",
        "properties": {"list": "newsletter", "email": STRANGER, "confirmed": True}}),
}  # fmt: skip


@pytest.mark.parametrize("how", TAKEOVERS)
@pytest.mark.parametrize("suppressed", [False, True])
def test_what_somebody_types_takes_no_account_over(how: str, suppressed: bool) -> None:
    harness = rosa()
    if suppressed:
        harness.mailed("m", customer="rosa").tell(
            "mail.bounced", "rosa", command_id="m", kind="hard", code=552, reason="no"
        )
    before = harness.customer("rosa")
    assert bool(before.suppressed) == suppressed
    TAKEOVERS[how](harness).at(DAY)
    after = harness.customer("rosa")
    assert after.profile == before.profile
    assert after.consents == before.consents
    assert after.suppressed == before.suppressed
    marketing = [c for c in harness.commands if c.mail_class == "marketing"]
    assert {c.email for c in marketing} <= {"rosa@example.com"}


def test_a_stranger_on_a_list_is_asked_and_gets_nothing_else() -> None:
    harness = (
        rosa().tell("list.subscribed", "rosa", email=STRANGER, first_name="Mallory").at(9 * DAY)
    )
    asked = [c for c in harness.commands if c.email == STRANGER]
    assert [(c.step, c.workflow) for c in asked] == [("ask", "asks"), ("again", "asks")]
    for command in asked:
        assert (command.name, command.variables["customer"]) == ("", {"first_name": ""})
        assert command.elsewhere, "no link in it leads into Rosa's data"
    assert harness.customer("rosa").lists == {}


def confirmed(harness: Harness, step: str = "ask", list_: str = "newsletter") -> Harness:
    """Press the button of the page that a mail has led to."""
    command = next(c for c in harness.commands if c.step == step)
    return harness.tell("list.subscribed", command.customer, list=list_, confirmed=True,
                        source="double_opt_in", mail=command.id)  # fmt: skip


def test_a_stranger_who_confirms_speaks_for_that_address_and_list_alone() -> None:
    harness = rosa().tell("consent.withdrawn", "rosa", purpose="marketing")
    before = harness.customer("rosa")
    confirmed(harness.tell("list.subscribed", "rosa", email=STRANGER)).at(9 * DAY)
    after = harness.customer("rosa")
    assert (after.profile, after.consents, after.lists) == (
        before.profile, before.consents, before.lists,
    )  # fmt: skip
    assert after.list_addresses["newsletter"].confirmed
    assert [m.step for m in harness.mails] == ["ask"], "and nobody is reminded"


def test_a_stranger_who_objects_leaves_the_list_and_the_account_alone() -> None:
    harness = rosa().tell("list.subscribed", "rosa", email=STRANGER)
    command = next(c for c in harness.commands if c.email == STRANGER)
    harness.tell("mail.unsubscribed", "rosa", command_id=command.id).at(9 * DAY)
    after = harness.customer("rosa")
    assert after.consented("marketing")
    assert after.list_addresses == {}
    assert [m.step for m in harness.mails] == ["ask"]


def test_her_own_address_in_a_form_is_hers() -> None:
    harness = rosa().tell("list.subscribed", "rosa", email="Rosa@Example.com")
    customer = harness.customer("rosa")
    assert customer.profile.email == "rosa@example.com"
    assert customer.lists["newsletter"].joined
    assert customer.list_addresses == {}


def test_somebody_else_on_her_device_does_not_tell_who_she_is() -> None:
    harness = asking().tell("customer.updated", "rosa", named=True, email="rosa@example.com")
    linked(harness).tell("customer.identified", "v", email=STRANGER, first_name="Mallory")
    assert harness.customer("rosa").profile.first_name == ""


def test_who_confirms_an_address_proves_no_later_one() -> None:
    harness = asking().tell("list.subscribed", "v", email="own@example.com")
    harness.tell("list.subscribed", "v", list="other", email="victim@example.com")
    confirmed(harness)
    visitor = harness.customer("v")
    assert visitor.profile.email == "victim@example.com"
    assert ground_of(visitor) == "typed"
    assert not visitor.consented("marketing")


def test_who_confirms_has_the_address() -> None:
    harness = confirmed(asking().tell("list.subscribed", "v", email="v@example.com"))
    assert ground_of(harness.customer("v")) == "confirmed"
    assert [c.step for c in harness.commands if c.mail_class == "marketing"] == ["thanks"]


ORDER = {"order_id": "o", "total": "1"}
Said = tuple[str, dict[str, Any]]


def form(email: str, **data: Any) -> Said:
    return ("list.subscribed", {"email": email, **data})


def at_checkout(email: str) -> Said:
    return ("checkout.started", {"email": email})


def order(email: str) -> Said:
    return ("order.completed", {**ORDER, "email": email})


def shop(email: str) -> Said:
    return ("customer.updated", {"email": email})


@pytest.mark.parametrize(
    ("deeds", "address", "ground"),
    [
        ([form("a@x.it")], "a@x.it", "typed"),
        ([at_checkout("a@x.it")], "a@x.it", "typed"),
        ([at_checkout("a@x.co"), at_checkout("a@x.it")], "a@x.it", "typed"),
        ([at_checkout("a@x.co"), order("a@x.it")], "a@x.it", "ordered"),
        ([order("a@x.it"), at_checkout("b@x.it")], "a@x.it", "ordered"),
        ([order("a@x.it"), form("b@x.it", confirmed=True)], "b@x.it", "confirmed"),
        ([order("a@x.it"), shop("b@x.it")], "b@x.it", "account"),
        ([shop("a@x.it"), order("b@x.it")], "a@x.it", "account"),
        ([shop("a@x.it"), ("list.subscribed", {"confirmed": True})], "a@x.it", "confirmed"),
        ([form("a@x.it", confirmed=True), shop("b@x.it")], "b@x.it", "account"),
        ([form("a@x.it", confirmed=True), shop("A@x.it")], "A@x.it", "confirmed"),
    ],
)
def test_the_better_ground_has_the_address(deeds: list[Said], address: str, ground: str) -> None:
    harness = Harness()
    for type_, data in deeds:
        harness.tell(type_, "anna", **data)
    customer = harness.customer("anna")
    assert (customer.profile.email, ground_of(customer)) == (address, ground)


@pytest.mark.parametrize(("key", "is_customer", "ground"), [
    ("anna", True, "account"), ("anna", False, "typed"), (of_visitor("v"), False, "typed"),
])  # fmt: skip
def test_what_was_kept_before_has_the_ground_of_who_has_spoken(
    key: str, is_customer: bool, ground: str
) -> None:
    customer = Customer(key=key, profile=Profile(email="a@x.it"), is_customer=is_customer, heard=9)
    harness = Harness()
    harness.store[key.encode()] = encode_customer(customer)
    assert ground_of(harness.customer(key)) == ground


# What a ground allows.


def visitor(harness: Harness) -> Harness:
    """Somebody who has typed an address, and agrees."""
    harness.tell("checkout.started", "v", email="v@example.com")
    return harness.tell("consent.given", "v", purpose="marketing")


def test_a_typed_address_gets_no_marketing_but_reminders() -> None:
    harness = visitor(Harness()).tell("list.subscribed", "v").add("moka", "v").at(DAY)
    assert [(s.step, s.decision, s.reason) for s in harness.said("w11") if s.step] == [
        ("thanks", "skipped", "unproven_address")
    ]
    assert "reminder" in [c.step for c in harness.commands]


@pytest.mark.parametrize("reminds", [True, False])
def test_whether_it_is_reminded_the_policy_says(reminds: bool) -> None:
    harness = visitor(Harness()).publish_live(
        f"id: policy\ndefinition: policy\nremind_typed: {str(reminds).lower()}\n"
    )
    harness.add("moka", "v").at(2 * HOUR)
    said = [s for s in harness.said("w06") if s.step == "reminder"]
    assert [(s.decision, s.reason) for s in said] == [
        ("sent", "due") if reminds else ("skipped", "unproven_address")
    ]


def test_a_consent_that_the_shop_states_is_enough() -> None:
    harness = Harness().tell("list.subscribed", "anna", email="a@x.it")
    harness.tell("consent.given", "anna", purpose="marketing")
    assert ground_of(harness.customer()) == "typed"
    assert [c.step for c in harness.commands] == ["thanks"]
    harness.tell("list.subscribed", "anna", email="victim@example.com")
    assert harness.customer().profile.email == "a@x.it", "it was stated of this address"


def test_who_signs_in_makes_no_owner_of_whoever_has_the_address_that_was_typed() -> None:
    harness = Harness().tell("checkout.started", "v", email="victim@example.org")
    harness.tell("consent.given", "v", purpose="marketing")
    harness.tell("customer.identified", "mallory", anonymous_id="v")
    harness.at(HOUR).tell("list.subscribed", "mallory", named=True).at(9 * DAY)
    mallory = harness.customer("mallory")
    assert (mallory.profile.email, ground_of(mallory)) == ("victim@example.org", "typed")
    assert not mallory.consents["marketing"].stated
    assert not any(each.stated for each in mallory.evidence)
    assert [c for c in harness.commands if c.mail_class == "marketing"] == []


@pytest.mark.parametrize(("typed", "stated"), [("Anna@Example.com", True), (STRANGER, False)])
def test_a_yes_is_stated_if_the_shop_and_the_visitor_name_the_same_address(
    typed: str, stated: bool
) -> None:
    harness = Harness().tell("customer.updated", named=True, email="anna@example.com")
    harness.tell("checkout.started", "v", email=typed)
    harness.tell("consent.given", "v", purpose="marketing")
    anna = harness.tell("customer.identified", "anna", anonymous_id="v").customer()
    assert anna.profile.email == "anna@example.com"
    assert anna.consents["marketing"].stated == stated
    assert [each.stated for each in anna.evidence] == [stated]
    assert grounds.is_owned(anna), "to her own address marketing may go either way"


def test_a_page_whose_mail_is_known_no_more_confirms_no_address() -> None:
    harness = asking().tell("list.subscribed", "v", email="own@example.com")
    command = next(c for c in harness.commands if c.step == "ask")
    harness.at(100 * DAY).tell("list.subscribed", "v", list="other", email="victim@example.com")
    harness.tell("list.subscribed", "v", list="newsletter", confirmed=True,
                 source="double_opt_in", mail=command.id, sender=PAGES)  # fmt: skip
    visitor = harness.customer("v")
    assert (visitor.profile.email, ground_of(visitor)) == ("victim@example.com", "typed")
    assert not visitor.consented("marketing")
    harness.at(101 * DAY).tell("list.subscribed", "v", confirmed=True, mail="of another mailer")
    assert ground_of(harness.customer("v")) == "confirmed", "the shop's own word"
