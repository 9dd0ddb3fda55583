"""Histories merge on proof, and it is said on which."""

from __future__ import annotations

import pytest

from schemas.events.own import VisitorMerged
from tests.harness import HOUR, Harness
from tests.links.test_orders_elsewhere import browsing, checkout


def grounds(harness: Harness) -> list[str]:
    return [event.data.ground for event in harness.told if isinstance(event.data, VisitorMerged)]


def test_the_ground_of_a_merge_is_told() -> None:
    known = browsing(Harness(), "v")
    assert grounds(known.tell("customer.identified", "anna", anonymous_id="v")) == ["identified"]
    known = browsing(Harness(), "v").tell("customer.identified", "v", customer_id="anna")
    assert grounds(known) == ["identified"]
    known = browsing(Harness(), "v").order("o1", "anna", visitor="v")
    assert grounds(known) == ["signed_in"]


def confirmed(harness: Harness) -> Harness:
    """The visitor follows the link in the mail that went to the address it has typed."""
    return harness.tell("list.subscribed", "v", email="anna@example.com", confirmed=True,
                        sender="/ritorno/pages")  # fmt: skip


@pytest.mark.parametrize("first", ["account", "confirmation"])
def test_a_confirmed_address_of_one_account_is_proof(first: str) -> None:
    harness = Harness()
    steps = [harness.subscribed, lambda: confirmed(browsing(harness, "v"))]
    for step in steps if first == "account" else reversed(steps):
        step()
    assert harness.customer("v").became == "anna"
    assert harness.customer().visitors == ["v"]
    assert [line.product_id for line in harness.customer().cart.lines] == ["moka"]
    assert grounds(harness) == ["confirmed"]


def test_of_two_accounts_it_is_none() -> None:
    harness = Harness().subscribed()
    harness.tell("customer.updated", "bruno", email="anna@example.com")
    confirmed(browsing(harness, "v"))
    assert harness.customer("v").became == ""


def test_typing_an_address_or_ordering_with_it_is_no_proof() -> None:
    harness = checkout(browsing(Harness().subscribed(), "v"), email="anna@example.com")
    harness.order("o1", "4711", email="anna@example.com").at(HOUR)
    harness.tell("list.subscribed", "v", email="anna@example.com")
    assert harness.customer("v").became == ""
    assert harness.customer("4711").became == ""
    assert harness.customer().visitors == []
