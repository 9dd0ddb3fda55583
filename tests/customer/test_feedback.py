"""What comes back of mails is passed on to the mailer, which guards the sender's reputation."""

from __future__ import annotations

import pytest

from schemas.commands import FeedbackCommand
from schemas.outcomes import MAILER
from tests.harness import Harness

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
    harness = Harness().subscribed()
    for _ in range(2):
        harness.tell(type_, id_="x1", **data)
    assert passed_on(harness) == [("anna", "c1", verdict)]
    (effect,) = [e for e in harness.effects if isinstance(e.content, FeedbackCommand)]
    assert (effect.topic, effect.key) == ("send-commands", b"anna")


def test_what_the_mailer_says_itself_and_history_are_not() -> None:
    harness = Harness().subscribed()
    harness.tell("mail.bounced", sender=MAILER, **BOUNCE)
    harness.tell("mail.complained", backfill=True, **MAIL)
    harness.tell("mail.unsubscribed", **MAIL)
    assert passed_on(harness) == []
