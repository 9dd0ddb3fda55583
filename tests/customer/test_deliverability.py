"""Hard bounces end an address at once, soft ones five times without a delivery, complaints end
marketing; each of them is told to the mailer, which remembers it for all who have the address."""

from __future__ import annotations

import pytest

from agents.customer.deliverability import SOFT_LIMIT
from schemas.commands import SuppressCommand
from tests.harness import DAY, Harness

ANNA = "anna@example.com"


def bounce(harness: Harness, mail: str, kind: str = "soft", **data: object) -> Harness:
    return harness.mailed(mail).tell(
        "mail.bounced", command_id=mail, code=552, kind=kind, reason="said no", **data
    )


def sent(harness: Harness, mail: str) -> Harness:
    return harness.tell("mail.sent", command_id=mail, message_id=f"<{mail}@x>")


def suppressions(harness: Harness) -> list[tuple[str, str, str]]:
    found = [e.content for e in harness.effects if isinstance(e.content, SuppressCommand)]
    return [(each.email, each.scope, each.reason) for each in found]


def test_a_hard_bounce_ends_the_address_at_once() -> None:
    harness = bounce(Harness().subscribed(), "m1", "hard")
    assert harness.customer().suppressed == "bounced"
    assert suppressions(harness) == [(ANNA, "all", "hard")]


@pytest.mark.parametrize("kind", ["blocked", "content", "throttled"])
def test_what_is_about_us_ends_no_address(kind: str) -> None:
    harness = Harness().subscribed()
    for number in range(2 * SOFT_LIMIT):
        bounce(harness, f"m{number}", kind)
    assert harness.customer().suppressed == ""
    assert suppressions(harness) == []


def test_five_soft_bounces_end_it() -> None:
    assert SOFT_LIMIT == 5
    harness = Harness().subscribed()
    for number in range(SOFT_LIMIT - 1):
        bounce(harness, f"m{number}")
    assert harness.customer().suppressed == ""
    bounce(harness, "m9")
    assert harness.customer().suppressed == "bounced"
    assert suppressions(harness) == [(ANNA, "all", "soft")]


def test_a_mail_counts_once_however_often_it_is_reported() -> None:
    harness = Harness().subscribed()
    for _ in range(2 * SOFT_LIMIT):
        bounce(harness, "m1")
    assert harness.customer().bounces.soft == 1


def test_sent_and_reported_later_is_no_delivery() -> None:
    """The relay takes every mail, and every one comes back two days later."""
    harness = Harness().subscribed()
    for number in range(SOFT_LIMIT):
        sent(harness.at(7 * number * DAY), f"m{number}")
        bounce(harness.at((7 * number + 2) * DAY), f"m{number}")
    assert suppressions(harness) == [(ANNA, "all", "soft")]


def test_a_mail_of_which_nothing_is_heard_was_delivered() -> None:
    harness = Harness().subscribed()
    for number in range(SOFT_LIMIT - 1):
        bounce(harness, f"m{number}")
    sent(harness, "arrived")
    assert bounce(harness.at(4 * DAY), "m8").customer().suppressed == "bounced"

    harness = Harness().subscribed()
    for number in range(SOFT_LIMIT - 1):
        bounce(harness, f"m{number}")
    sent(harness, "arrived")
    assert bounce(harness.at(6 * DAY), "m8").customer().bounces.soft == 1


def test_a_receipt_is_a_delivery() -> None:
    harness = Harness().subscribed()
    for number in range(SOFT_LIMIT - 1):
        bounce(harness, f"m{number}")
    harness.mailed("m8").tell("mail.delivered", command_id="m8")
    assert bounce(harness, "m9").customer().bounces.soft == 1


def test_a_complaint_ends_marketing_and_is_remembered() -> None:
    harness = Harness().subscribed().mailed("m1")
    harness.tell("mail.complained", command_id="m1", reason="abuse")
    assert not harness.customer().consented("marketing")
    assert harness.customer().suppressed == ""
    assert suppressions(harness) == [(ANNA, "marketing", "complaint")]


def test_without_an_address_there_is_nothing_to_suppress() -> None:
    assert suppressions(bounce(Harness(), "m1", "hard")) == []


def test_a_new_address_begins_anew() -> None:
    harness = Harness().subscribed()
    for number in range(SOFT_LIMIT - 1):
        bounce(harness, f"m{number}")
    harness.tell("customer.updated", email="new@example.com")
    assert bounce(harness, "m9").customer().bounces.soft == 1


def test_released_means_mails_again() -> None:
    harness = bounce(Harness().subscribed(), "m1", "hard").order()
    assert harness.mails == []
    harness.tell("address.released", reason="he wrote that it works again", by="lia").order("o2")
    assert len(harness.mails) == 1


def test_an_erasure_leaves_no_trace_in_the_record() -> None:
    harness = bounce(Harness().subscribed(), "m1", "hard").tell("customer.erasure_requested")
    assert harness.customer().bounces.soft == 0
    assert harness.customer().suppressed == ""
    # But the mailer was told before.
    assert suppressions(harness) == [(ANNA, "all", "hard")]
