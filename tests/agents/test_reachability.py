"""Hard bounces end an address at once, soft ones five times without a delivery, complaints end
marketing; each of them is told to the mailer, which remembers it for all who have the address."""

from __future__ import annotations

import pytest

from agents.customer.deliverability import SOFT_LIMIT
from agents.digests import address_digest
from schemas.commands import SuppressCommand
from tests.agents.world import DAY, World

ANNA = "anna@example.com"


def bounce(world: World, mail: str, kind: str = "soft", **data: object) -> World:
    return world.tell(
        "mail.bounced", command_id=mail, code=552, kind=kind, reason="said no", **data
    )


def sent(world: World, mail: str) -> World:
    return world.tell("mail.sent", command_id=mail, message_id=f"<{mail}@x>")


def suppressions(world: World) -> list[tuple[str, str, str]]:
    found = [e.content for e in world.effects if isinstance(e.content, SuppressCommand)]
    return [(each.email, each.scope, each.reason) for each in found]


def test_a_hard_bounce_ends_the_address_at_once() -> None:
    world = bounce(World().subscribed(), "m1", "hard")
    assert world.customer().suppressed == "bounced"
    assert suppressions(world) == [(ANNA, "all", "hard")]


@pytest.mark.parametrize("kind", ["blocked", "content", "throttled"])
def test_what_is_about_us_ends_no_address(kind: str) -> None:
    world = World().subscribed()
    for number in range(2 * SOFT_LIMIT):
        bounce(world, f"m{number}", kind)
    assert world.customer().suppressed == ""
    assert suppressions(world) == []


def test_five_soft_bounces_end_it() -> None:
    assert SOFT_LIMIT == 5
    world = World().subscribed()
    for number in range(SOFT_LIMIT - 1):
        bounce(world, f"m{number}")
    assert world.customer().suppressed == ""
    bounce(world, "m9")
    assert world.customer().suppressed == "bounced"
    assert suppressions(world) == [(ANNA, "all", "soft")]


def test_a_mail_counts_once_however_often_it_is_reported() -> None:
    world = World().subscribed()
    for _ in range(2 * SOFT_LIMIT):
        bounce(world, "m1")
    assert world.customer().bounces.soft == 1


def test_sent_and_reported_later_is_no_delivery() -> None:
    """The relay takes every mail, and every one comes back two days later."""
    world = World().subscribed()
    for number in range(SOFT_LIMIT):
        sent(world.at(7 * number * DAY), f"m{number}")
        bounce(world.at((7 * number + 2) * DAY), f"m{number}")
    assert suppressions(world) == [(ANNA, "all", "soft")]


def test_a_mail_of_which_nothing_is_heard_was_delivered() -> None:
    world = World().subscribed()
    for number in range(SOFT_LIMIT - 1):
        bounce(world, f"m{number}")
    sent(world, "arrived")
    assert bounce(world.at(4 * DAY), "m8").customer().suppressed == "bounced"

    world = World().subscribed()
    for number in range(SOFT_LIMIT - 1):
        bounce(world, f"m{number}")
    sent(world, "arrived")
    assert bounce(world.at(6 * DAY), "m8").customer().bounces.soft == 1


def test_a_receipt_is_a_delivery() -> None:
    world = World().subscribed()
    for number in range(SOFT_LIMIT - 1):
        bounce(world, f"m{number}")
    world.tell("mail.delivered", command_id="m8")
    assert bounce(world, "m9").customer().bounces.soft == 1


def test_a_complaint_ends_marketing_and_is_remembered() -> None:
    world = World().subscribed().tell("mail.complained", command_id="m1", reason="abuse")
    assert not world.customer().consented("marketing")
    assert world.customer().suppressed == ""
    assert suppressions(world) == [(ANNA, "marketing", "complaint")]


def test_without_an_address_there_is_nothing_to_suppress() -> None:
    assert suppressions(bounce(World(), "m1", "hard")) == []


def test_a_new_address_begins_anew() -> None:
    world = World().subscribed()
    for number in range(SOFT_LIMIT - 1):
        bounce(world, f"m{number}")
    world.tell("customer.updated", email="new@example.com")
    assert bounce(world, "m9").customer().bounces.soft == 1


def test_a_report_about_the_former_address_does_not_end_the_new_one() -> None:
    world = World().subscribed().tell("customer.updated", email="new@example.com")
    bounce(world, "m1", "hard", recipient=address_digest("Anna@Example.com"), reported=True)
    assert world.customer().suppressed == ""
    bounce(world, "m2", "hard", recipient=address_digest("forwarded@elsewhere.example"))
    assert world.customer().suppressed == "bounced"
    assert suppressions(world) == [("new@example.com", "all", "hard")]


def test_released_means_mails_again() -> None:
    world = bounce(World().subscribed(), "m1", "hard").order()
    assert world.mails == []
    world.tell("address.released", reason="he wrote that it works again", by="lia").order("o2")
    assert len(world.mails) == 1


def test_an_erasure_leaves_no_trace_in_the_record() -> None:
    world = bounce(World().subscribed(), "m1", "hard").tell("customer.erasure_requested")
    assert world.customer().bounces.soft == 0
    assert world.customer().suppressed == ""
    # But the mailer was told before.
    assert suppressions(world) == [(ANNA, "all", "hard")]
