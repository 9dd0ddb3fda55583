"""S03: points for what a customer does, halving with time, the same in whatever order they come."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from agents.rules.decay import add, faded
from schemas.customer.person import Score
from schemas.signals import ScoreChanged
from tests.harness import DAY, START, Harness


def bands(harness: Harness) -> list[tuple[str, str, float]]:
    found = (e.content for e in harness.effects if isinstance(e.content, ScoreChanged))
    return [(signal.previous_band, signal.band, signal.value) for signal in found]


def value(harness: Harness, customer: str = "anna") -> float:
    return harness.customer(customer).engagement.value


def test_points_halve_in_thirty_days() -> None:
    harness = Harness().order()
    assert value(harness) == 10
    harness.at(30 * DAY).tell("product.viewed", product_id="moka")
    assert value(harness) == 6
    assert faded(harness.customer().engagement, START + 60 * DAY * 1000, 30 * DAY * 1000) == 3


def test_a_crossed_band_is_announced_in_both_directions() -> None:
    harness = Harness().tell("page.viewed").order().order("o2").at(90 * DAY).tell("page.viewed")
    assert bands(harness) == [
        ("", "cold", 0.5), ("cold", "warm", 10.5), ("warm", "hot", 20.5),
        ("hot", "cold", pytest.approx(20.5 / 8 + 0.5, abs=0.001)),
    ]  # fmt: skip


def test_the_order_of_arrival_does_not_matter() -> None:
    happened: list[tuple[float, str, dict[str, Any]]] = [
        (0, "page.viewed", {}), (3 * DAY, "product.viewed", {"product_id": "a"}),
        (9 * DAY, "order.completed", {"order_id": "o"}),
    ]  # fmt: skip
    values = set()
    for order in itertools.permutations(happened):
        harness = Harness().at(10 * DAY)
        for time, type_, data in order:
            harness.tell(type_, happened=time, **data)
        values.add(round(value(harness), 7))
    assert len(values) == 1


def test_a_repeated_event_scores_once() -> None:
    harness = Harness().tell("page.viewed", id_="x").tell("page.viewed", id_="x")
    assert value(harness) == 0.5


def test_an_order_told_again_under_another_event_id_scores_once() -> None:
    """A history imported twice must not make its customers twice as keen."""
    harness = Harness()
    for type_ in ("order.completed", "order.refunded"):
        harness.tell(type_, id_=f"{type_}-a", order_id="o", total="5")
        once = value(harness)
        harness.tell(type_, id_=f"{type_}-b", order_id="o", total="5")
        assert value(harness) == once
    assert value(harness) == 10


def test_a_visitors_score_is_the_customers() -> None:
    harness = Harness().tell("page.viewed", "v").tell("page.viewed")
    harness.tell("customer.identified", anonymous_id="v")
    assert value(harness) == 1
    assert value(harness, "v") == 0


def test_a_merge_announces_the_band_it_leads_to() -> None:
    harness = Harness()
    for _ in range(8):
        harness.tell("page.viewed", "v").tell("page.viewed")
    before = bands(harness)
    assert before == [("", "cold", 0.5), ("", "cold", 0.5)]
    harness.tell("customer.identified", anonymous_id="v")
    assert bands(harness)[2:] == [("cold", "warm", 8.0)]
    assert harness.customer().engagement.band == "warm"
    harness.tell("page.viewed")
    assert len(bands(harness)) == 3


def test_what_lies_years_back_is_worth_nothing_and_breaks_nothing() -> None:
    engagement = Score(5.0, 4_000_000_000_000, "warm")
    add(engagement, 100, 1_000_000_000_000, 1_000)
    assert engagement.value == 5.0
    add(engagement, 1, 4_100_000_000_000, 1_000)
    assert engagement.value == 1
