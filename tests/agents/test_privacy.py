"""R04: the legal basis of marketing, soft opt-in with its limits, and erasure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agents.sending.legal_basis import TWO_YEARS_MS, SoftOptIn, legal_basis
from schemas.commands import LegalBasis
from schemas.reference import of_visitor
from schemas.signals import CustomerErased, DataRequested
from tests.agents.world import DAY, HOUR, World

ALLOWED = SoftOptIn(allowed=True)


def buyer() -> World:
    return World().tell("customer.updated", email="anna@example.com", birthday="1980-05-01").order()


def basis(world: World, *, step: bool = True, settings: SoftOptIn = ALLOWED) -> LegalBasis | None:
    return legal_basis(world.customer(), step, world.now, settings)


@pytest.mark.row("R04")
def test_a_buyer_may_hear_of_similar_products() -> None:
    assert basis(buyer()) == "soft_opt_in"


def test_consent_is_the_better_basis() -> None:
    assert basis(buyer().tell("consent.given", purpose="marketing")) == "consent"
    assert basis(World().tell("consent.given", purpose="marketing"), step=False) == "consent"


def test_it_is_off_unless_the_shop_and_the_step_say_otherwise() -> None:
    assert basis(buyer(), settings=SoftOptIn()) is None
    assert basis(buyer(), step=False) is None


NOT: dict[str, Callable[[World], object]] = {
    "an objection": lambda w: w.tell("consent.withdrawn", purpose="marketing"),
    "an unsubscription": lambda w: w.tell("mail.unsubscribed", command_id="m"),
    "a complaint": lambda w: w.tell("mail.complained", command_id="m"),
    "a list left": lambda w: (w.tell("list.subscribed"), w.tell("list.unsubscribed")),
    "an order cancelled": lambda w: w.tell("order.cancelled", order_id="o1"),
    "an order refunded": lambda w: w.tell("order.refunded", order_id="o1"),
    "a child": lambda w: w.tell("customer.updated", birthday="2008-03-03"),
    "too long ago": lambda w: w.at(731 * DAY),
}


@pytest.mark.parametrize("why", NOT)
@pytest.mark.row("R04")
def test_its_limits(why: str) -> None:
    world = buyer()
    NOT[why](world)
    assert basis(world) is None


def test_an_objection_is_for_ever_even_if_its_word_was_overruled() -> None:
    """Said no on a list, said yes to marketing, took that back by a list: never soft opt-in."""
    world = buyer().tell("consent.withdrawn", purpose="marketing")
    world.at(HOUR).tell("consent.given", purpose="marketing")
    assert basis(world) == "consent"
    world.at(2 * HOUR).tell("consent.withdrawn", purpose="marketing")
    assert basis(world) is None


def test_who_has_an_address_and_never_bought_is_no_customer() -> None:
    assert basis(World().tell("customer.updated", email="anna@example.com")) is None
    assert basis(World().order()) is None  # no address


def test_eighteen_on_the_day() -> None:
    world = buyer().tell("customer.updated", birthday="2008-03-02")
    assert basis(world) == "soft_opt_in"
    assert basis(buyer().tell("customer.updated", birthday="unknown")) == "soft_opt_in"


def test_another_order_renews_it() -> None:
    world = buyer().at(700 * DAY).order("o2").at(800 * DAY)
    assert basis(world) == "soft_opt_in"
    assert basis(world, settings=SoftOptIn(True, 90 * DAY * 1000)) is None
    assert TWO_YEARS_MS == 730 * DAY * 1000


def erased(world: World) -> list[str]:
    found = (e.content for e in world.effects)
    return [content.customer for content in found if isinstance(content, CustomerErased)]


def test_erasure_reaches_the_visitors_that_the_customer_was() -> None:
    world = World().tell("product.viewed", "v", product_id="p").subscribed()
    world.tell("customer.identified", anonymous_id="v")
    assert world.customer("v").became == "anna"
    world.tell("customer.erasure_requested")
    assert erased(world) == ["anna", of_visitor("v")]
    for key in ("anna", "v"):
        left = world.customer(key)
        assert (left.became, left.visitors, left.seen, left.evidence) == ("", [], b"", [])


def test_a_visitor_who_asks_is_the_customer_too() -> None:
    world = World().subscribed().tell("customer.identified", anonymous_id="v")
    world.tell("customer.erasure_requested", "v")
    assert world.customer().profile.email == ""
    assert world.customer("v").became == ""


def test_a_device_that_is_somebody_elses_by_now_stays_theirs() -> None:
    world = World().tell("customer.identified", anonymous_id="v")
    world.tell("customer.identified", "bruno", anonymous_id="v")
    world.tell("customer.erasure_requested")
    assert world.customer("v").became == "bruno"


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("mail.skipped", {"reason": "cancelled"}),
        ("mail.sent", {"message_id": "<m@x>"}),
        ("mail.bounced", {"code": 550, "kind": "hard", "reason": "no"}),
        ("mail.clicked", {"verdict": "human"}),
    ],
)
def test_news_of_a_mail_is_no_reason_to_know_somebody_again(
    type_: str, data: dict[str, object]
) -> None:
    world = World().subscribed().order().tell("customer.erasure_requested")
    before = world.customer()
    world.tell(type_, command_id="m1", **data)
    before.applied = world.customer().applied
    assert world.customer() == before
    assert len(world.store[b"anna"]) == 16


def test_the_wish_for_a_copy_is_told_to_whom_it_concerns() -> None:
    world = World().tell("customer.data_requested", source="preferences_page")
    (signal,) = (e.content for e in world.effects if isinstance(e.content, DataRequested))
    assert (signal.customer, signal.time) == ("anna", world.now)
