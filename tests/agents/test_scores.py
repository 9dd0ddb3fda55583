"""S03: points for what a customer does, halving with time, the same in whatever order they come."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from agents.rules.decay import add, faded
from schemas.customer.person import Score
from schemas.signals import ScoreChanged
from tests.agents.world import DAY, START, World


def bands(world: World) -> list[tuple[str, str, float]]:
    found = (e.content for e in world.effects if isinstance(e.content, ScoreChanged))
    return [(signal.previous_band, signal.band, signal.value) for signal in found]


def value(world: World, customer: str = "anna") -> float:
    return world.customer(customer).engagement.value


def test_points_halve_in_thirty_days() -> None:
    world = World().order()
    assert value(world) == 10
    world.at(30 * DAY).tell("product.viewed", product_id="moka")
    assert value(world) == 6
    assert faded(world.customer().engagement, START + 60 * DAY * 1000, 30 * DAY * 1000) == 3


def test_a_crossed_band_is_announced_in_both_directions() -> None:
    world = World().tell("page.viewed").order().order("o2").at(90 * DAY).tell("page.viewed")
    assert bands(world) == [
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
        world = World().at(10 * DAY)
        for time, type_, data in order:
            world.tell(type_, happened=time, **data)
        values.add(round(value(world), 7))
    assert len(values) == 1


def test_a_repeated_event_scores_once() -> None:
    world = World().tell("page.viewed", id_="x").tell("page.viewed", id_="x")
    assert value(world) == 0.5


def test_an_order_told_again_under_another_event_id_scores_once() -> None:
    """A history imported twice must not make its customers twice as keen."""
    world = World()
    for type_ in ("order.completed", "order.refunded"):
        world.tell(type_, id_=f"{type_}-a", order_id="o", total="5")
        once = value(world)
        world.tell(type_, id_=f"{type_}-b", order_id="o", total="5")
        assert value(world) == once
    assert value(world) == 10


def test_a_visitors_score_is_the_customers() -> None:
    world = World().tell("page.viewed", "v").tell("page.viewed")
    world.tell("customer.identified", anonymous_id="v")
    assert value(world) == 1
    assert value(world, "v") == 0


def test_a_merge_announces_the_band_it_leads_to() -> None:
    world = World()
    for _ in range(8):
        world.tell("page.viewed", "v").tell("page.viewed")
    before = bands(world)
    assert before == [("", "cold", 0.5), ("", "cold", 0.5)]
    world.tell("customer.identified", anonymous_id="v")
    assert bands(world)[2:] == [("cold", "warm", 8.0)]
    assert world.customer().engagement.band == "warm"
    world.tell("page.viewed")
    assert len(bands(world)) == 3


def test_what_lies_years_back_is_worth_nothing_and_breaks_nothing() -> None:
    engagement = Score(5.0, 4_000_000_000_000, "warm")
    add(engagement, 100, 1_000_000_000_000, 1_000)
    assert engagement.value == 5.0
    add(engagement, 1, 4_100_000_000_000, 1_000)
    assert engagement.value == 1
