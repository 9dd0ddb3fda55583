"""Segment's calls as events of ours: names in any spelling, and what other mailers call theirs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.events import INTERNAL_TYPES, Event
from schemas.events.hints import Hints
from schemas.outcomes import MailBounced, MailClicked, MailObjected, MailOpened
from schemas.records import Record
from schemas.segment import SEGMENT_NAMES, type_of
from schemas.spelling import spelled
from schemas.wire import parse_published, parse_record, to_record

CALL = {"messageId": "m", "userId": "anna", "timestamp": "2026-03-02T09:00:00Z"}


def call(type_: str = "track", **more: Any) -> Event:
    event = parse_published(json.dumps({**CALL, "type": type_, **more}))
    written = to_record(event)
    again = parse_record(Record("customer-events", 0, 0, 0, *written))
    assert (again.type, again.data, again.hints) == (event.type, event.data, event.hints)
    assert again.odd == event.odd
    return event


def track(name: str, properties: dict[str, Any] | None = None, **more: Any) -> Event:
    return call(event=name, properties=properties or {}, **more)


@pytest.mark.parametrize("name", [
    "Order Completed", "Order completed", "order completed", "ORDER COMPLETED", "order_completed",
    "order.completed", "order-completed", "OrderCompleted", "orderCompleted", " Order  Completed ",
])  # fmt: skip
def test_a_name_is_read_in_any_spelling(name: str) -> None:
    event = track(name, {"order_id": "o1", "total": "10.00"})
    assert event.type == "order.completed"
    repaired = [("event", repr(name), "format", True)] if name != "Order Completed" else []
    assert list(event.odd) == repaired


@pytest.mark.parametrize(("name", "type_"), SEGMENT_NAMES.items())
def test_no_two_names_become_one(name: str, type_: str) -> None:
    assert type_of(name) == type_
    if type_ not in INTERNAL_TYPES:
        assert type_of(spelled(name)) == type_ == type_of(type_)


@pytest.mark.parametrize(("name", "type_"), [
    ("Email Delivered", "mail.delivered"), ("Received Email", "mail.delivered"),
    ("Email Opened", "mail.opened"), ("Opened Email", "mail.opened"),
    ("Email Link Clicked", "mail.clicked"), ("Clicked Email", "mail.clicked"),
    ("email.clicked", "mail.clicked"),
    ("Email Bounced", "mail.bounced"), ("Bounced Email", "mail.bounced"),
    ("Email Soft Bounced", "mail.bounced"), ("email.hardBounced", "mail.bounced"),
    ("hard_bounce", "mail.bounced"),
    ("Email Marked as Spam", "mail.complained"), ("Email Marked As Spam", "mail.complained"),
    ("Marked Email as Spam", "mail.complained"), ("email.spamReported", "mail.complained"),
    ("spamreport", "mail.complained"), ("email.complained", "mail.complained"),
    ("Unsubscribed", "mail.unsubscribed"), ("Email Unsubscribed", "mail.unsubscribed"),
    ("Unsubscribed from List", "mail.unsubscribed"), ("unsubscribe", "mail.unsubscribed"),
    ("group_unsubscribe", "mail.unsubscribed"),
])  # fmt: skip
def test_other_mailers_names(name: str, type_: str) -> None:
    event = track(name)
    assert (event.type, event.data.command_id) == (type_, "")


@pytest.mark.parametrize(("name", "said", "kind", "code"), [
    ("Email Bounced", {}, "soft", 450),
    ("Email Bounced", {"bounce_type": "hard"}, "hard", 550),
    ("Email Bounced", {"bounceType": "Permanent", "code": 550}, "hard", 550),
    ("Email Bounced", {"bounce": {"bounceType": "Permanent"}}, "hard", 550),
    ("Bounced Email", {"Bounce Type": "Hard"}, "hard", 550),
    ("Bounced Email", {"Bounce Type": "Soft"}, "soft", 450),
    ("Email Bounced", {"type": "blocked", "reason": "550 5.7.1 blocked"}, "soft", 550),
    ("Email Bounced", {"type": "bounce", "reason": "550 5.1.1 user unknown"}, "hard", 550),
    ("Email Bounced", {"type": "bounce", "status": "5.2.2"}, "soft", 450),
    ("Email Bounced", {"type": "soft", "status": "5.1.1"}, "soft", 450),
    ("Email Bounced", {"reason": "550 5.1.8 bad sender"}, "soft", 550),
    ("Email Bounced", {"severity": "permanent"}, "hard", 550),
    ("Email Bounced", {"severity": "temporary", "code": 452}, "soft", 452),
    ("Email Bounced", {"bounce_classification": "Invalid Address"}, "hard", 550),
    ("Email Bounced", {"bounce_type": ["hard"]}, "soft", 450),
    ("Email Bounced", {"bounce_type": None, "reason": 5}, "soft", 450),
    ("Email Soft Bounced", {"reason": "550 5.1.1 user unknown"}, "soft", 550),
    ("Email Hard Bounced", {}, "hard", 550),
    ("hard_bounce", {"reason": ""}, "hard", 550),
    ("soft_bounce", {"kind": "hard"}, "soft", 450),
])  # fmt: skip
def test_only_what_is_plainly_hard_is(
    name: str, said: dict[str, Any], kind: str, code: int
) -> None:
    data = track(name, said).data
    assert isinstance(data, MailBounced)
    assert (data.kind, data.code) == (kind, code)


def test_the_address_is_the_one_that_the_mailer_names() -> None:
    named = track("Email Bounced", {"recipient": "anna@example.com"})
    beside = track("Unsubscribed", context={"traits": {"email": "anna@example.com"}})
    assert named.data.email == beside.data.email == "anna@example.com"
    assert beside.hints is None
    assert track("Unsubscribed", {"email": "anna"}).data.email == ""


def test_a_list_is_named_by_its_id_or_its_name() -> None:
    data = track("Unsubscribed from List", {"List": "Novità", "list_id": "l-1"}).data
    assert isinstance(data, MailObjected)
    assert (data.list, data.list_name) == ("l-1", "Novità")


def test_a_program_that_opens_is_none() -> None:
    data = track("Email Opened", {"machine_open": True}).data
    assert isinstance(data, MailOpened)
    assert data.verdict == "machine"
    clicked = track("Email Link Clicked", {"link_url": "https://shop.example/p"}).data
    assert isinstance(clicked, MailClicked)
    assert (clicked.verdict, clicked.url) == ("unknown", "https://shop.example/p")


def test_what_is_said_of_a_mail_of_ours_stays_as_it_is() -> None:
    said = {"command_id": "c1", "code": 552, "kind": "content", "reason": "too_large"}
    data = track("Email Bounced", said).data
    assert data == MailBounced(command_id="c1", code=552, kind="content", reason="too_large")


# Names of the shop's own.


@pytest.mark.parametrize(
    "name", ["Quiz Finished", "quiz_finished", "quizFinished", "quiz.finished"]
)
def test_any_other_name_is_the_shops_own(name: str) -> None:
    event = track(name, {"score": 3, "nested": {"a": [1]}})
    assert event.type == ("custom.quiz_over" if "over" in name else "custom.quiz_finished")
    assert event.data.model_extra == {"score": 3, "nested": {"a": [1]}}
    assert event.odd == ()


def test_a_cloudevent_may_have_its_type() -> None:
    line = {"specversion": "1.0", "id": "1", "type": "custom.quiz_finished", "subject": "anna",
            "data": {"score": 3}}  # fmt: skip
    event = parse_published(json.dumps(line))
    assert (event.type, event.data.model_extra) == ("custom.quiz_finished", {"score": 3})


# The other calls.


def test_a_screen_is_a_page() -> None:
    event = call("screen", name="Carrello", category="shop", properties={"screen": "no"})
    assert (event.type, event.data.name, event.data.category) == ("page.viewed", "Carrello", "shop")
    assert event.data.screen
    assert not call("page", name="Carrello").data.screen


def test_a_page_may_be_described_beside_it() -> None:
    page = {"url": "https://shop.example/p?utm_source=x", "referrer": "https://search.example/"}
    event = call("page", properties={"referrer": "https://other.example/"}, context={"page": page})
    assert event.data.url == page["url"]
    assert event.data.referrer == "https://other.example/"


def test_a_group_is_what_custom_fields_take_of_it() -> None:
    event = call("group", groupId="g1", traits={"name": "Acme", "plan": "pro"})
    assert event.type == "customer.grouped"
    assert event.data.name is None
    extra = {"group_id": "g1", "company": "Acme", "company_plan": "pro"}
    assert {name: event.data.model_extra[name] for name in extra} == extra
    nameless = call("group", groupId="g1").data
    assert nameless.model_extra == {"group_id": "g1"}  # null would take the company away


def test_traits_may_stand_beside_an_identify() -> None:
    beside = {"email": "a@b.it", "city": "Bari", "phone": None}
    event = call("identify", traits={"city": "Roma"}, context={"traits": beside})
    assert (event.data.email, event.data.city) == ("a@b.it", "Roma")
    assert "phone" not in event.data.model_fields_set


def test_an_alias_without_a_previous_id_is_of_the_visitor_at_hand() -> None:
    event = call("alias", anonymousId="a7")
    assert (event.data.anonymous_id, event.data.customer_id) == ("a7", "anna")


# What libraries send along.


def test_hints_are_taken_from_the_context_and_nothing_else() -> None:
    context = {
        "locale": "it-IT", "timezone": "Europe/Rome", "ip": "203.0.113.7",
        "campaign": {"source": "newsletter", "name": "marzo", "medium": "email"},
        "library": {"name": "analytics.js"}, "traits": {"email": "anna@example.com"},
    }  # fmt: skip
    event = track("Product Viewed", {"product_id": "moka"}, context=context)
    hints = Hints("it-IT", "Europe/Rome", "newsletter / marzo", "anna@example.com")
    assert event.hints == hints
    assert b"203.0.113.7" not in b"".join(value for _, value in to_record(event).headers)


@pytest.mark.parametrize("context", [
    {}, {"locale": 5}, {"locale": ""}, {"campaign": []}, {"campaign": {"name": None}},
    {"timezone": "x" * 65}, {"traits": {"email": "none"}}, {"locale": "it\x00"},
])  # fmt: skip
def test_what_is_no_hint_is_left_out(context: dict[str, Any]) -> None:
    assert track("Product Viewed", {"product_id": "moka"}, context=context).hints is None
