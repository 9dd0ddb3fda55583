"""R04: the legal basis of marketing, soft opt-in with its limits, and erasure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agents.sending.legal_basis import TWO_YEARS_MS, SoftOptIn, legal_basis
from schemas.commands import LegalBasis
from schemas.reference import of_visitor
from schemas.signals import CustomerErased, DataRequested
from tests.harness import DAY, HOUR, Harness

ALLOWED = SoftOptIn(allowed=True)


def buyer() -> Harness:
    return (
        Harness().tell("customer.updated", email="anna@example.com", birthday="1980-05-01").order()
    )


def basis(
    harness: Harness, *, step: bool = True, settings: SoftOptIn = ALLOWED
) -> LegalBasis | None:
    return legal_basis(harness.customer(), step, harness.now, settings)


@pytest.mark.row("R04")
def test_a_buyer_may_hear_of_similar_products() -> None:
    assert basis(buyer()) == "soft_opt_in"


def test_consent_is_the_better_basis() -> None:
    assert basis(buyer().tell("consent.given", purpose="marketing")) == "consent"
    assert basis(Harness().tell("consent.given", purpose="marketing"), step=False) == "consent"


def test_it_is_off_unless_the_shop_and_the_step_say_otherwise() -> None:
    assert basis(buyer(), settings=SoftOptIn()) is None
    assert basis(buyer(), step=False) is None


NOT: dict[str, Callable[[Harness], object]] = {
    "an objection": lambda w: w.tell("consent.withdrawn", purpose="marketing"),
    "an unsubscription": lambda w: w.tell("mail.unsubscribed", command_id="m"),
    "a complaint": lambda w: w.tell("mail.complained"),
    "a list left": lambda w: (w.tell("list.subscribed"), w.tell("list.unsubscribed")),
    "an order cancelled": lambda w: w.tell("order.cancelled", order_id="o1"),
    "an order refunded": lambda w: w.tell("order.refunded", order_id="o1"),
    "a child": lambda w: w.tell("customer.updated", birthday="2008-03-03"),
    "too long ago": lambda w: w.at(731 * DAY),
}


@pytest.mark.parametrize("why", NOT)
@pytest.mark.row("R04")
def test_its_limits(why: str) -> None:
    harness = buyer()
    NOT[why](harness)
    assert basis(harness) is None


def test_an_objection_is_for_ever_even_if_its_word_was_overruled() -> None:
    """Said no on a list, said yes to marketing, took that back by a list: never soft opt-in."""
    harness = buyer().tell("consent.withdrawn", purpose="marketing")
    harness.at(HOUR).tell("consent.given", purpose="marketing")
    assert basis(harness) == "consent"
    harness.at(2 * HOUR).tell("consent.withdrawn", purpose="marketing")
    assert basis(harness) is None


def test_who_has_an_address_and_never_bought_is_no_customer() -> None:
    assert basis(Harness().tell("customer.updated", email="anna@example.com")) is None
    assert basis(Harness().order()) is None  # no address


def test_eighteen_on_the_day() -> None:
    harness = buyer().tell("customer.updated", birthday="2008-03-02")
    assert basis(harness) == "soft_opt_in"
    assert basis(buyer().tell("customer.updated", birthday="unknown")) == "soft_opt_in"


def test_another_order_renews_it() -> None:
    harness = buyer().at(700 * DAY).order("o2").at(800 * DAY)
    assert basis(harness) == "soft_opt_in"
    assert basis(harness, settings=SoftOptIn(True, 90 * DAY * 1000)) is None
    assert TWO_YEARS_MS == 730 * DAY * 1000


def erased(harness: Harness) -> list[str]:
    found = (e.content for e in harness.effects)
    return [content.customer for content in found if isinstance(content, CustomerErased)]


def test_erasure_reaches_the_visitors_that_the_customer_was() -> None:
    harness = Harness().tell("product.viewed", "v", product_id="p").subscribed()
    harness.tell("customer.identified", anonymous_id="v")
    assert harness.customer("v").became == "anna"
    harness.tell("customer.erasure_requested")
    assert erased(harness) == ["anna", of_visitor("v")]
    for key in ("anna", "v"):
        left = harness.customer(key)
        assert (left.became, left.visitors, left.seen, left.evidence) == ("", [], b"", [])


def test_a_visitor_who_asks_is_the_customer_too() -> None:
    harness = Harness().subscribed().tell("customer.identified", anonymous_id="v")
    harness.tell("customer.erasure_requested", "v")
    assert harness.customer().profile.email == ""
    assert harness.customer("v").became == ""


def test_a_device_that_is_somebody_elses_by_now_stays_theirs() -> None:
    harness = Harness().tell("customer.identified", anonymous_id="v")
    harness.tell("customer.identified", "bruno", anonymous_id="v")
    harness.tell("customer.erasure_requested")
    assert harness.customer("v").became == "bruno"


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
    harness = Harness().subscribed().order().tell("customer.erasure_requested")
    before = harness.customer()
    harness.tell(type_, command_id="m1", **data)
    before.applied = harness.customer().applied
    assert harness.customer() == before
    assert len(harness.store[b"anna"]) == 16


def test_the_wish_for_a_copy_is_told_to_whom_it_concerns() -> None:
    harness = Harness().tell("customer.data_requested", source="preferences_page")
    (signal,) = (e.content for e in harness.effects if isinstance(e.content, DataRequested))
    assert (signal.customer, signal.time) == ("anna", harness.now)
