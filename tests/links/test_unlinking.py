"""A merge that was wrong is undone: the visitor is one again, and the customer loses what it
brought."""

from __future__ import annotations

from typing import Any

from agents.effects import event_effect
from agents.links.names import of_address
from schemas.events import Event
from schemas.events.own import VisitorMerged, VisitorUnlinked
from schemas.reference import of_visitor
from tests.customer.test_grounds import asking
from tests.customer.test_hints import call
from tests.harness import DAY, HOUR, MINUTE, Harness
from tests.links.test_orders_elsewhere import browsing, checkout, harness_holders

BRUNO = "bruno@example.com"


def merged() -> Harness:
    """A visitor, who is Bruno, is taken for Anna: at a shared device, or by a tracker's fault."""
    harness = Harness().subscribed().add("tazza")
    harness = checkout(browsing(harness, "v", sku="m"), "v", email=BRUNO, cart_id="c1")
    harness.tell("product.viewed", "v", product_id="moka")
    return harness.tell("customer.identified", "anna", anonymous_id="v").at(HOUR)


def unlink(harness: Harness, **data: Any) -> Harness:
    handed = [e.data for e in harness.told if isinstance(e.data, VisitorMerged)]
    given = {"state": handed[-1].state, "format": handed[-1].format} | data
    said = VisitorUnlinked(customer_id="anna", anonymous_id=of_visitor("v"), **given)
    event = Event("u1", "visitor.unlinked", "/ritorno/unlink", harness.now, "anna", None, False,
                  said)  # fmt: skip
    harness.append(event_effect(event).record)
    return harness


def test_the_visitor_is_one_again_and_gets_back_what_it_had() -> None:
    harness = unlink(merged())
    visitor, customer = harness.customer("v"), harness.customer()
    assert (visitor.became, customer.visitors) == ("", [])
    assert [line.product_id for line in visitor.cart.lines] == ["moka"]
    assert [line.product_id for line in customer.cart.lines] == ["tazza"]
    assert (visitor.views, customer.views) == (1, 0)
    assert customer.profile.email == "anna@example.com"
    assert customer.consented("marketing"), "her own word stands"
    assert visitor.consented("marketing")
    assert harness.refusals == []


def test_what_the_visitor_does_is_its_own_for_good() -> None:
    harness = unlink(merged()).add("filtro", "v")
    assert [line.product_id for line in harness.customer("v").cart.lines] == ["moka", "filtro"]
    harness.tell("customer.identified", "anna", anonymous_id="v", first_name="Anna")
    harness.tell("page.viewed", "anna", visitor="v")
    harness.tell("customer.identified", "v", customer_id="anna", last_name="Rossi")
    assert harness.customer("v").became == ""
    assert harness.customer().profile.first_name == "Anna"
    assert harness.customer().profile.last_name == "Rossi"
    harness.tell("customer.identified", "bruno", anonymous_id="v")
    assert harness.customer("v").became == "bruno"


def test_links_go_back_too() -> None:
    harness = merged()
    name = of_address(BRUNO, b"")
    assert harness_holders(harness, name) == ["anna"]
    unlink(harness)
    assert harness_holders(harness, name) == [of_visitor("v")]
    harness.order("o1", "4711", email=BRUNO)
    assert harness.customer("v").cart.lines == []
    assert [line.product_id for line in harness.customer().cart.lines] == ["tazza"]


def test_nothing_is_mailed_twice_by_it() -> None:
    harness = merged()
    steps = [mail.step for mail in harness.mails]
    unlink(harness).at(30 * DAY)
    assert [mail.step for mail in harness.mails if mail.customer != "anna"] == []
    assert len({mail.step for mail in harness.mails}) == len(harness.mails) >= len(steps)


def test_nobody_was_seen_when_an_operator_said_it() -> None:
    harness = merged()
    before = harness.customer().last_seen
    unlink(harness.at(5 * HOUR))
    assert harness.customer().last_seen == before
    assert harness.customer("v").last_seen <= before


def test_without_the_handover_only_the_link_ends() -> None:
    harness = unlink(merged(), state="")
    assert (harness.customer("v").became, harness.customer().visitors) == ("", [])
    assert len(harness.customer().cart.lines) == 2
    harness.add("filtro", "v").at(2 * HOUR + MINUTE)
    assert [line.product_id for line in harness.customer("v").cart.lines] == ["filtro"]


def test_who_has_become_another_since_stays_that() -> None:
    harness = merged().tell("customer.identified", "carla", anonymous_id="v")
    assert unlink(harness).customer("v").became == "carla"


def test_what_the_visitor_has_agreed_to_goes_though_the_merge_has_changed_it() -> None:
    harness = Harness().tell("customer.updated", named=True, city="Roma")
    call(harness, "page", "v", context={"locale": "de-DE"})
    harness.tell("checkout.started", "v", email=BRUNO).tell("list.subscribed", "v", list="news")
    harness.tell("consent.given", "v", purpose="marketing")
    harness.tell("customer.updated", named=True, email=BRUNO)
    harness.tell("customer.identified", "anna", anonymous_id="v")
    assert harness.customer().consents["marketing"].stated
    assert harness.customer().profile.locale == "de-DE"
    anna = unlink(harness).customer()
    assert (anna.consents, anna.evidence, anna.lists) == ({}, [], {})
    assert (anna.profile.locale, anna.profile.city) == ("", "Roma")


def test_a_list_goes_that_the_merge_has_joined_or_kept_apart() -> None:
    harness = Harness().subscribed().tell("list.subscribed", "v", list="news")
    harness.tell("customer.identified", "anna", anonymous_id="v")
    assert harness.customer().lists["news"].joined
    anna = unlink(harness).customer()
    assert "news" not in anna.lists
    assert anna.consented("marketing"), "her own word stands"
    harness = asking().tell("customer.updated", named=True, email="anna@example.com")
    harness.tell("list.subscribed", "v", list="news", email=BRUNO)
    harness.tell("customer.identified", "anna", anonymous_id="v")
    assert harness.customer().list_addresses["news"].email == BRUNO
    assert unlink(harness).customer().list_addresses == {}
