"""Interests: what is on the wish list now."""

from __future__ import annotations

from tests.harness import DAY, HOUR, Harness


def wished(harness: Harness) -> list[str]:
    interests = harness.customer("anna").interests.items()
    return [name for name, each in interests if each.wished]


def test_what_is_taken_off_the_wish_list_is_not_wished_for() -> None:
    harness = Harness().tell("wishlist.added", product_id="moka")
    harness.tell("wishlist.added", product_id="tazza").at(HOUR)
    assert wished(harness) == ["moka", "tazza"]
    harness.tell("wishlist.removed", product_id="moka").at(2 * HOUR)
    assert wished(harness) == ["tazza"]
    assert list(harness.customer("anna").interests) == ["tazza"], "nor is it anything else"
    harness.tell("wishlist.added", product_id="moka")
    assert wished(harness) == ["tazza", "moka"]


def test_a_removal_that_comes_late_takes_nothing_that_was_put_there_since() -> None:
    harness = Harness().at(DAY).tell("wishlist.added", product_id="moka")
    harness.tell("wishlist.removed", product_id="moka", happened=HOUR)
    assert wished(harness) == ["moka"]


def test_what_was_never_wished_for_is_no_interest() -> None:
    harness = Harness().tell("wishlist.removed", product_id="moka")
    assert harness.customer("anna").interests == {}
