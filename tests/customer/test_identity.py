"""Visitors who become customers: nothing is lost, nothing told twice, whoever learns it first."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest

from schemas.events.own import VisitorMerged
from schemas.reference import of_visitor
from tests.harness import DAY, HOUR, MINUTE, Harness

Link = Callable[[Harness], Harness]


def keyed_to_the_customer(harness: Harness) -> Harness:
    return harness.tell("customer.identified", "anna", anonymous_id="v")


def keyed_to_the_visitor(harness: Harness) -> Harness:
    return harness.tell("customer.identified", "v", customer_id="anna")


def on_any_event(harness: Harness) -> Harness:
    return harness.tell("page.viewed", "anna", visitor="v")


LINKS = [keyed_to_the_customer, keyed_to_the_visitor, on_any_event]


@pytest.mark.parametrize("link", LINKS)
def test_cart_and_browsing_are_kept(link: Link) -> None:
    harness = Harness().tell("product.viewed", "v", product_id="moka").add("moka", "v").at(MINUTE)
    harness = link(harness)
    customer = harness.customer()
    assert [line.product_id for line in customer.cart.lines] == ["moka"]
    assert customer.views == 1 + (link is on_any_event)
    assert customer.visitors == ["v"]
    assert customer.first_seen < harness.now
    visitor = harness.customer("v")
    assert (visitor.became, visitor.cart.lines, visitor.views) == ("anna", [], 0)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("identified_at", [0, 1, 2, 3])
def test_in_every_order_the_end_is_the_same(link: Link, identified_at: int) -> None:
    def happenings(harness: Harness) -> list[Callable[[], Harness]]:
        return [
            lambda: harness.add("moka", "v"),
            lambda: harness.tell("consent.given", "v", purpose="marketing"),
            lambda: harness.tell("customer.updated", "v", email="v@example.com"),
        ]

    harness = Harness()
    steps = happenings(harness)
    steps.insert(identified_at, lambda: link(harness))
    for step in steps:
        step()
    harness.at(10 * DAY)
    customer = harness.customer()
    assert (customer.profile.email, customer.consented("marketing")) == ("v@example.com", True)
    assert [(m.at, m.customer, m.step) for m in harness.mails] == [
        (HOUR, "anna", "reminder"), (24 * HOUR, "anna", "free-shipping"),
        (72 * HOUR, "anna", "last-call"),
    ]  # fmt: skip


def test_what_comes_later_is_forwarded_with_its_id_and_time() -> None:
    harness = keyed_to_the_customer(Harness()).at(HOUR)
    harness.add("moka", "v", id_="later", happened=MINUTE)
    (forwarded,) = [event for event in harness.told if event.type == "cart.product_added"]
    assert (forwarded.id, forwarded.customer, forwarded.time) == (
        "later", "anna", harness.now - (HOUR - MINUTE) * 1000
    )  # fmt: skip
    harness.add("moka", "v", id_="later")
    assert harness.customer().cart.lines[0].quantity == 1


def test_a_chain_of_devices_ends_at_the_customer_who_is_named_first() -> None:
    """Who is called a customer is one, and becomes nobody else; a visitor of that id does."""
    harness = Harness().add("moka", "v")
    harness.tell("customer.identified", "v", customer_id="bruno")
    harness.tell("customer.identified", "anna", anonymous_id="bruno").add("tazza", "v")
    assert [line.product_id for line in harness.customer("bruno").cart.lines] == ["moka", "tazza"]
    assert harness.customer().cart.lines == []
    harness.add("piatto", "bruno", visitor="bruno")
    assert [line.product_id for line in harness.customer().cart.lines] == ["piatto"]


def test_two_that_become_each_other_make_no_circle() -> None:
    harness = Harness().tell("customer.identified", "anna", anonymous_id="v")
    harness.tell("customer.identified", "v", anonymous_id="anna").add("moka", "v")
    harness.tell("customer.identified", "anna", customer_id="v", first_name="Anna")
    customer = harness.customer()
    assert (customer.became, customer.profile.first_name) == ("", "Anna")
    assert [line.product_id for line in customer.cart.lines] == ["moka"]


def test_a_shared_device_changes_hands_and_back() -> None:
    harness = Harness()
    for product, customer in [("moka", "anna"), ("tazza", "bruno"), ("piatto", "anna")]:
        harness.tell("customer.identified", customer, anonymous_id="v").add(product, "v")
    carts = {name: [line.product_id for line in harness.customer(name).cart.lines]
             for name in ("anna", "bruno")}  # fmt: skip
    assert carts == {"anna": ["moka", "piatto"], "bruno": ["tazza"]}


def test_traits_told_to_the_visitor_are_the_last_word_on_the_customer() -> None:
    harness = Harness().tell("customer.updated", email="old@example.com")
    harness.at(1).tell("customer.identified", "v", customer_id="anna", email="new@example.com")
    assert harness.customer().profile.email == "new@example.com"
    harness.at(2).tell("customer.identified", "v", customer_id="anna", email="newest@example.com")
    assert harness.customer().profile.email == "newest@example.com"


@pytest.mark.parametrize("after", [30 * MINUTE, 2 * HOUR, 30 * HOUR, 80 * HOUR])
@pytest.mark.parametrize("link", LINKS)
def test_a_series_in_progress_goes_on_and_tells_nothing_twice(link: Link, after: float) -> None:
    harness = Harness().subscribed("v").add("moka", "v").at(after)
    link(harness).at(10 * DAY)
    assert [(mail.at, mail.step) for mail in harness.mails] == [
        (HOUR, "reminder"), (24 * HOUR, "free-shipping"), (72 * HOUR, "last-call")
    ]  # fmt: skip
    assert {mail.customer for mail in harness.mails if mail.at > after} <= {"anna"}


def test_when_both_are_in_a_series_the_further_one_counts() -> None:
    harness = Harness().subscribed("v").add("moka", "v").at(90 * MINUTE)
    harness.subscribed().add("tazza").at(100 * MINUTE)
    keyed_to_the_customer(harness).at(10 * DAY)
    assert [(mail.at, mail.step) for mail in harness.mails] == [
        (HOUR, "reminder"), (25.5 * HOUR, "free-shipping"), (73.5 * HOUR, "last-call")
    ]  # fmt: skip


def test_a_welcome_is_not_given_again_by_a_merge() -> None:
    for visitor_first, gap in itertools.product([True, False], [HOUR, 3 * DAY]):
        harness = Harness()
        for name in ("v", "anna") if visitor_first else ("anna", "v"):
            harness.tell("list.subscribed", name, email="a@example.com", confirmed=True).at(
                harness.now and gap
            )
        keyed_to_the_customer(harness)
        merged = (harness.now - harness.records[0].timestamp) / 1000
        harness.at(20 * DAY)
        later = [mail.step for mail in harness.mails if mail.at > merged]
        assert len(later) == len(set(later))
        assert {mail.customer for mail in harness.mails if mail.at > merged} <= {"anna"}


def test_the_purchase_after_the_merge_takes_back_the_visitors_mail() -> None:
    harness = Harness().subscribed("v").add("moka", "v").at(HOUR)
    keyed_to_the_customer(harness).order()
    assert harness.cancels == [(harness.commands[0].id, of_visitor("v"), "order.completed")]


def test_the_merge_takes_over_orders_once_and_consent_by_its_time() -> None:
    harness = (
        Harness().order("o1", "v", total="10").order("o2", "v", total="20").order("o2", total="20")
    )
    harness.at(HOUR).tell("consent.given", "v", purpose="marketing")
    harness.at(2 * HOUR).tell("consent.withdrawn", purpose="marketing")
    keyed_to_the_customer(harness)
    customer = harness.customer()
    assert (customer.statistics.count, str(customer.statistics.spent["EUR"])) == (2, "30")
    assert [order.id for order in customer.orders] == ["o1", "o2"]
    assert not customer.consented("marketing")


def test_a_visitors_later_withdrawal_ends_the_customers_series() -> None:
    harness = (
        Harness().subscribed().add().at(MINUTE).tell("consent.withdrawn", "v", purpose="marketing")
    )
    keyed_to_the_customer(harness)
    assert harness.said()[-1][2:] == ("exited", "consent.withdrawn")
    assert harness.at(10 * DAY).mails == []


def test_an_order_of_the_visitor_keeps_its_conversation() -> None:
    harness = Harness().subscribed("v").order("o1", "v").at(DAY)
    harness.tell("customer.updated", named=True, email="v@example.com")
    keyed_to_the_customer(harness).tell("order.delivered", "v", order_id="o1").at(30 * DAY)
    assert [(mail.at, mail.customer) for mail in harness.mails] == [
        (0, of_visitor("v")), (3 * DAY, "anna"), (6 * DAY, "anna")
    ]  # fmt: skip


def test_a_merge_with_unreadable_state_is_refused_and_changes_nothing() -> None:
    harness = Harness().add()
    before = harness.customer()
    harness.tell("visitor.merged", anonymous_id="v", state='["v",{}]')
    assert harness.refusals[0][0] == "invalid_event"
    assert harness.refusals[0][1].startswith("state: ")
    assert harness.customer() == before


def test_a_backfilled_merge_starts_nothing() -> None:
    harness = Harness().subscribed().add("moka", "v", backfill=True)
    harness.tell("customer.identified", anonymous_id="v", backfill=True).at(10 * DAY)
    assert (harness.mails, len(harness.customer().cart.lines)) == ([], 1)


def test_the_visitors_state_travels_as_json() -> None:
    harness = keyed_to_the_customer(Harness().add("moka", "v"))
    (merged,) = [event.data for event in harness.told if isinstance(event.data, VisitorMerged)]
    assert json.loads(merged.state)[0] == of_visitor("v")


def test_ids_of_the_greatest_length_are_linked_and_merged() -> None:
    """What actors tell each other has ids of its own; grown from long ones they were refused."""
    visitor = "v" * 200
    harness = Harness().tell("page.viewed", visitor)
    harness.tell("customer.identified", id_="e" * 200, anonymous_id=visitor)
    assert harness.customer(visitor).became == "anna"
    assert harness.customer().views == 1
