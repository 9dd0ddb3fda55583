"""What other mailers tell of their mails: it takes away as ours does, and never from a visitor."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from schemas.commands import SuppressCommand
from schemas.events import Event
from schemas.wire import parse_published, to_record
from tests.harness import DAY, Harness

SEGMENT = {"type": "track", "timestamp": "2026-03-02T10:00:00Z"}
HARD = {"bounce_type": "hard"}


def track(harness: Harness, name: str, who: str = "anna", **properties: Any) -> Harness:
    ids = {"userId": who} if not who.startswith("v") else {"anonymousId": who}
    event = parsed(name, properties, ids | {"messageId": f"m{len(harness.records)}"})
    harness.append(to_record(event))
    return harness


def parsed(name: str, properties: dict[str, Any], more: dict[str, Any]) -> Event:
    return parse_published(json.dumps({**SEGMENT, "event": name, "properties": properties, **more}))


def suppressed(harness: Harness) -> list[tuple[str, str, str]]:
    found = [e.content for e in harness.effects if isinstance(e.content, SuppressCommand)]
    return [(each.email, each.scope, each.reason) for each in found]


def ignored(harness: Harness) -> Counter[tuple[str, str]]:
    return sum((each.ignored for each in harness.counts), start=Counter())


def test_who_unsubscribes_there_gets_no_marketing_here() -> None:
    harness = Harness().subscribed().tell("list.subscribed", list="newsletter", confirmed=True)
    track(harness, "Unsubscribed", list_id="l-1", email_subject="Novità")
    anna = harness.customer()
    assert not anna.consents["marketing"].given
    assert not any(each.subscribed for each in anna.lists.values())
    proof = anna.evidence[-1]
    assert (proof.purpose, proof.given, proof.source) == ("marketing", False,
                                                          "unsubscribed, /segment")  # fmt: skip
    harness.at(DAY).add().at(20 * DAY)
    assert [mail for mail in harness.mails if mail.at >= DAY] == []
    assert harness.refusals == []


@pytest.mark.parametrize("said", [{"list_id": "newsletter"}, {"list_id": 5, "List": "newsletter"}])
def test_a_list_of_ours_is_left_alone(said: dict[str, Any]) -> None:
    harness = Harness().subscribed()
    for name in ("newsletter", "offers"):
        harness.tell("list.subscribed", list=name, confirmed=True)
    track(harness, "Unsubscribed from List", **said)
    anna = harness.customer()
    assert anna.consents["marketing"].given
    assert {name: each.subscribed for name, each in anna.lists.items()} == {
        "newsletter": False, "offers": True,
    }  # fmt: skip
    assert anna.evidence[-1].list == "newsletter"
    track(harness, "Unsubscribed from List", list_id="offers")
    assert not harness.customer().consents["marketing"].given


def test_who_calls_it_spam_there_has_objected_here() -> None:
    harness = track(Harness().subscribed(), "Email Marked as Spam", email_id="e-1")
    assert not harness.customer().consents["marketing"].given
    assert suppressed(harness) == [("anna@example.com", "marketing", "complaint")]
    assert harness.refusals == []


def test_only_a_hard_bounce_suppresses() -> None:
    harness = track(Harness().subscribed(), "Email Bounced", reason="mailbox full")
    assert harness.customer().suppressed == ""
    track(harness, "Email Bounced", **HARD)
    assert harness.customer().suppressed == "bounced"
    assert suppressed(harness) == [("anna@example.com", "all", "hard")]


def test_five_soft_bounces_end_it_as_ours_do() -> None:
    harness = Harness().subscribed()
    for number in range(5):
        assert harness.customer().suppressed == "", number
        track(harness, "Email Soft Bounced")
    assert harness.customer().suppressed == "bounced"


@pytest.mark.parametrize(("name", "said", "expected"), [
    ("Email Bounced", HARD, [("old@example.com", "all", "hard")]),
    ("Email Bounced", {}, []),
    ("Email Marked as Spam", {}, [("old@example.com", "marketing", "complaint")]),
])  # fmt: skip
def test_a_verdict_is_about_the_address_that_it_names(
    name: str, said: dict[str, Any], expected: list[Any]
) -> None:
    harness = track(Harness().subscribed(), name, email="old@example.com", **said)
    anna = harness.customer()
    assert (anna.suppressed, anna.consents["marketing"].given) == ("", True)
    assert suppressed(harness) == expected


def test_the_customers_address_in_other_letters_is_hers() -> None:
    harness = track(Harness().subscribed(), "Email Bounced", email="ANNA@example.com", **HARD)
    assert harness.customer().suppressed == "bounced"


def test_a_person_says_no_at_whichever_address() -> None:
    harness = track(Harness().subscribed(), "Unsubscribed", email="old@example.com")
    assert not harness.customer().consents["marketing"].given


@pytest.mark.parametrize("name", ["Email Bounced", "Email Marked as Spam", "Email Delivered"])
def test_a_visitor_tells_nothing_of_mails(name: str) -> None:
    harness = Harness().subscribed()
    harness.tell("checkout.started", "v1", email="anna@example.com", cart_id="c")
    track(harness, name, "v1", email="anna@example.com", **HARD)
    track(harness, name, "v1", **HARD)
    assert suppressed(harness) == []
    verdict = {"B": "bounced", "M": "complained", "D": "delivered"}[name.split(" ")[1][0]]
    assert ignored(harness) == {(verdict, "visitor"): 2}
    assert harness.customer().consents["marketing"].given
    assert harness.customer().suppressed == ""


def test_nor_does_a_device_of_the_customer() -> None:
    harness = Harness().subscribed()
    harness.tell("customer.identified", anonymous_id="v1", customer_id="anna", named=True)
    track(harness, "Email Bounced", "v1", email="anna@example.com", **HARD)
    assert (suppressed(harness), harness.customer().suppressed) == ([], "")


def test_openings_and_clicks_count_with_consent_to_tracking_only() -> None:
    harness = Harness().subscribed()
    for name in ("Email Opened", "Email Link Clicked"):
        track(harness, name)
    assert (harness.customer().mail.opens, harness.customer().mail.clicks) == (0, 0)
    harness.tell("consent.given", purpose="tracking")
    for name in ("Email Opened", "Email Link Clicked"):
        track(harness, name, machine_open=name == "Email Opened")
        track(harness, name)
    assert (harness.customer().mail.opens, harness.customer().mail.clicks) == (1, 2)


def test_nobody_is_known_by_a_bounce_and_an_objection_is_kept() -> None:
    harness = track(track(Harness(), "Email Bounced", **HARD), "Email Opened")
    assert harness.customer().first_seen == 0
    track(harness, "Unsubscribed")
    assert not harness.customer().consents["marketing"].given
