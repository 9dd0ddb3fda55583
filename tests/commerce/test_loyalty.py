"""The loyalty programme: points on spend, tiers up and down."""

from __future__ import annotations

from itertools import permutations

import pytest

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


TOLD = {
    "order": ("order.completed", {"total": "150", "happened": 0}),
    "refund": ("order.refunded", {"refund_id": "r", "amount": "40"}),
    "update": ("order.updated", {"total": "150"}),
    "rename": ("order.updated", {"tracking_number": "1"}),
}


@pytest.mark.parametrize("others", [("update",), ("rename",), ("update", "rename")])
def test_points_are_the_same_in_whatever_order_it_is_told(others: tuple[str, ...]) -> None:
    for told in permutations(["order", "refund", *others]):
        found = harness()
        for number, (type_, data) in enumerate(TOLD[each] for each in told):
            found.at((number + 1) * DAY).tell(type_, order_id="o1", currency="EUR", **data)
        customer = found.customer()
        assert (customer.points_balance, customer.tier) == (110, "silver"), told
        assert dict(customer.statistics.refunded) == {"EUR": 40}, told


def test_refunds_take_what_was_booked_whatever_the_programme_is_since() -> None:
    found = spend(harness(), "o1", "100.00").at(DAY)
    found.tell("order.refunded", order_id="o1", refund_id="r1", amount="40", currency="EUR")
    assert found.customer().points_balance == 60
    found.publish_live(LOYALTY.replace('"1"', '"2"')).at(2 * DAY)
    found.tell("order.refunded", order_id="o1", refund_id="r2", amount="10", currency="EUR")
    assert found.customer().points_balance == 50
    found.at(3 * DAY).tell("order.refunded", order_id="o1")
    assert found.customer().points_balance == 0


def test_an_early_refund_takes_what_was_booked_whatever_the_programme_is_since() -> None:
    found = harness()
    found.tell("order.refunded", order_id="o1", refund_id="r1", amount="40", currency="EUR")
    assert sum(month.points for month in found.customer().points) == -40
    found.publish_live(LOYALTY.replace('"1"', '"2"')).at(DAY)
    spend(found, "o1", "100.00")
    assert found.customer().points_balance == 120
