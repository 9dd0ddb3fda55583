"""The loyalty programme: points on spend, tiers up and down."""

from __future__ import annotations

from schemas.signals import TierChanged
from tests.harness import DAY, Harness
from tests.products.test_products import files

LOYALTY = """
id: loyalty
definition: loyalty
points_per_unit: "1"
currency: EUR
span: 365d
tiers:
  - {name: silver, title: {it: Silver}, from: 100}
  - {name: gold, title: {it: Gold}, from: 300}
"""
UP = """
id: w23-up
title: {it: Su}
trigger: {tier: up}
entry: {once_per: event}
steps: [{id: up, send: tier-up, kind: informative}]
"""
DOWN = UP.replace("w23-up", "w23-down").replace("up", "down")
REWARD = """
id: w23-reward
title: {it: Premio}
trigger: {points: 200}
entry: {once_per: event}
steps: [{id: reward, send: points-reward, kind: promotional}]
"""


def harness() -> Harness:
    return Harness(files(LOYALTY, UP, DOWN, REWARD)).subscribed()


def spend(harness: Harness, order_id: str, total: str, **data: object) -> Harness:
    return harness.order(order_id, total=total, **data)


def tiers(harness: Harness) -> list[tuple[str, int]]:
    found = (e.content for e in harness.effects if isinstance(e.content, TierChanged))
    return [(each.tier, each.points) for each in found]


def test_points_are_whole_ones_of_the_programmes_currency() -> None:
    found = spend(spend(harness(), "o1", "52.99"), "o2", "40.00", currency="USD").customer()
    assert [earned.points for earned in found.points] == [52]


def test_a_tier_is_reached_and_said_at_once() -> None:
    found = spend(spend(harness(), "o1", "99.99"), "o2", "1.00")
    assert tiers(found) == [("silver", 100)]
    assert [mail.step for mail in found.mails] == ["up"]
    assert found.commands[0].variables["points"] == {
        "balance": 100, "tier": {"it": "Silver"}, "next_tier": {"it": "Gold"}, "missing": 200,
    }  # fmt: skip


def test_a_refund_takes_points_and_the_tier_back() -> None:
    found = spend(harness(), "o1", "120.00").tell("order.refunded", order_id="o1", total="40.00")
    assert tiers(found) == [("silver", 120), ("", 80)]
    assert [mail.step for mail in found.mails] == ["up", "down"]


def test_a_year_later_the_tier_is_lost_with_nobody_asking() -> None:
    found = spend(harness(), "o1", "120.00").at(300 * DAY)
    assert found.customer().tier == "silver"
    found.at(366 * DAY)
    assert found.customer().tier == ""
    assert [mail.step for mail in found.mails] == ["up", "down"]


def test_a_reward_comes_when_its_points_are_reached_and_not_before() -> None:
    found = spend(harness(), "o1", "199.00")
    assert [mail.step for mail in found.mails] == ["up"]
    spend(spend(found, "o2", "1.00"), "o3", "5.00")
    assert [mail.step for mail in found.mails] == ["up", "reward"]


def test_a_reward_may_have_several_thresholds() -> None:
    rewards = REWARD.replace("200", "[100, 200, 300]")
    found = Harness(files(LOYALTY, rewards)).subscribed()
    for number, total in enumerate(("99.00", "2.00", "50.00", "250.00")):
        spend(found, f"o{number}", total)
    assert [mail.step for mail in found.mails] == ["reward", "reward"]


def test_history_makes_a_tier_and_mails_nobody() -> None:
    found = spend(harness(), "o1", "400.00", backfill=True)
    assert found.customer().tier == "gold"
    assert found.mails == []
