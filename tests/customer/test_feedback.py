"""What comes back of mails is passed on to the mailer, which guards the sender's reputation."""

from __future__ import annotations

import pytest

from agents.digests import address_digest
from schemas.commands import FeedbackCommand
from schemas.outcomes import MAILER
from tests.harness import DAY, Harness

MAIL = {"command_id": "c1", "workflow": "w06"}
BOUNCE = MAIL | {"code": 550, "kind": "hard", "reason": "no"}


def passed_on(harness: Harness) -> list[tuple[str, str, str]]:
    found = [e.content for e in harness.effects if isinstance(e.content, FeedbackCommand)]
    return [(each.customer, each.command_id, each.verdict) for each in found]


@pytest.mark.parametrize(
    ("type_", "data", "verdict"),
    [("mail.complained", MAIL, "complained"), ("mail.bounced", BOUNCE, "bounced")],
)
def test_complaints_and_late_bounces_are_passed_on_once(
    type_: str, data: dict[str, object], verdict: str
) -> None:
    harness = Harness().subscribed().mailed("c1")
    for number in range(3):  # messages that differ, about one mail
        harness.tell(type_, id_=f"x{number}", sender="/ritorno/returns", **data)
    assert passed_on(harness) == [("anna", "c1", verdict)]
    (effect,) = [e for e in harness.effects if isinstance(e.content, FeedbackCommand)]
    assert (effect.topic, effect.key) == ("send-commands", b"anna")
    assert effect.content.address == address_digest("anna@example.com")
    assert [counts.ignored for counts in harness.counts[-2:]] == [{(verdict, "repeated"): 1}] * 2


def test_of_a_customer_one_complaint_a_day_is_passed_on() -> None:
    """And each is heard: consent that was given again in between is withdrawn."""
    harness = Harness().subscribed().mailed("c1", "c2", "c3")
    harness.tell("mail.complained", command_id="c1")
    harness.tell("consent.given", purpose="marketing")
    harness.tell("mail.complained", command_id="c2")
    assert not harness.customer().consented("marketing")
    assert passed_on(harness) == [("anna", "c1", "complained")]
    harness.at(DAY).tell("mail.complained", command_id="c3")
    assert passed_on(harness)[1:] == [("anna", "c3", "complained")]


def test_what_the_mailer_has_counted_is_not_passed_on_when_a_report_follows() -> None:
    harness = Harness().subscribed().mailed("c1")
    harness.tell("mail.bounced", sender=MAILER, **BOUNCE)
    harness.tell("mail.bounced", sender="/ritorno/returns", **BOUNCE)
    assert passed_on(harness) == []


def test_what_the_mailer_says_itself_and_history_are_not() -> None:
    harness = Harness().subscribed().mailed("c1")
    harness.tell("mail.bounced", sender=MAILER, **BOUNCE)
    harness.tell("mail.complained", backfill=True, **MAIL)
    harness.tell("mail.unsubscribed", **MAIL)
    assert passed_on(harness) == []
