"""What begins a run, how often, and what keeps a customer out."""

from __future__ import annotations

import pytest

from tests.agents.world import DAY, HOUR, MINUTE, World


def flow(**fields: str) -> str:
    """Return a workflow that only enters: its fields as YAML, by name."""
    lines = {"id": "flow", "title": "{it: Flusso}", "trigger": "support.requested",
             "entry": "{once_per: event}", "steps": "[{id: rest, wait: 1h}]"} | fields  # fmt: skip
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def entries(world: World, workflow: str = "") -> list[float]:
    """Return when runs began."""
    return [said.at for said in world.said(workflow) if said.decision == "entered"]


def kept_out(world: World, workflow: str = "") -> list[str]:
    """Return why runs did not begin."""
    return [said.reason for said in world.said(workflow) if said.decision == "not_entered"]


# Triggers.


def test_any_event_can_be_a_trigger() -> None:
    world = World.of(flow()).tell("support.requested", topic="returns").at(10)
    world.tell("survey.answered").tell("support.requested", topic="size")
    assert entries(world) == [0, 10]


def test_a_trigger_may_ask_for_more() -> None:
    world = World.of(flow(trigger="{on: support.requested, where: {event.topic: [size, returns]}}"))
    world.tell("support.requested", topic="returns").tell("support.requested", topic="hello")
    assert entries(world) == [0]
    assert kept_out(world) == []


def test_what_is_concluded_has_the_properties_of_the_event() -> None:
    joined = flow(trigger="{on: list.joined, where: {event.list: news}}", entry="{once_per: list}")
    world = World.of(joined).tell("consent.given", purpose="marketing")
    world.tell("list.subscribed", list="other").at(10).tell("list.subscribed", list="news")
    assert entries(world) == [10]
    late = World.of(joined).tell("list.subscribed", list="news").tell("list.subscribed", list="x")
    late.at(20).tell("consent.given", purpose="marketing")  # joined by what is about no list
    assert entries(late) == [20]
    cart = flow(
        trigger="{on: cart.changed, where: {event.product_id: moka}}", entry="{once_per: cart}"
    )
    world = World.of(cart).tell("cart.product_added", product_id="tv").at(5)
    assert entries(world.tell("cart.product_added", product_id="moka")) == [5]


@pytest.mark.parametrize("backfill", [False, True])
def test_history_begins_nothing(backfill: bool) -> None:
    world = World.of(flow()).tell("support.requested", backfill=backfill)
    assert len(entries(world)) == (not backfill)


VIEWS = "{on: product.viewed, times: 3, within: 7d, same: product_id}"


def test_several_occurrences_of_the_same_thing_within_a_time() -> None:
    world = World.of(flow(trigger=VIEWS, entry="{once_per: product}"))
    world.tell("product.viewed", product_id="moka").tell("product.viewed", product_id="tv")
    world.at(5 * DAY).tell("product.viewed", product_id="moka").at(8 * DAY)
    world.tell("product.viewed", product_id="moka")
    assert entries(world) == []  # the first was more than seven days ago
    world.at(8 * DAY + HOUR).tell("product.viewed", product_id="moka")
    assert entries(world) == [8 * DAY + HOUR]
    assert world.customer().counted.keys() == {"flow/tv"}


def test_views_that_come_late_count_for_when_they_were() -> None:
    world = World.of(flow(trigger=VIEWS, entry="{once_per: product}")).at(10 * DAY)
    for day in (1, 2, 9.5):
        world.tell("product.viewed", product_id="moka", happened=day * DAY)
    assert entries(world) == []


def test_what_triggers_count_is_bounded() -> None:
    world = World.of(flow(trigger=VIEWS, entry="{once_per: product}"))
    for number in range(80):
        world.tell("product.viewed", product_id=f"p{number}")
    assert len(world.customer().counted) == 50


def test_a_visitors_views_count_on() -> None:
    world = World.of(flow(trigger=VIEWS, entry="{once_per: product}"))
    for _ in range(2):
        world.tell("product.viewed", "v1", product_id="moka")
    world.tell("customer.identified", anonymous_id="v1").tell("product.viewed", product_id="moka")
    assert entries(world) == [0]


TAGGER = flow(id="tagger", trigger="page.viewed", steps="[{id: tag, tag: vip}]")
UNTAGGER = flow(id="untagger", steps="[{id: untag, untag: v*}]")


def test_a_tag_put_on_or_taken_off_is_a_trigger() -> None:
    world = World.of(
        TAGGER, UNTAGGER, flow(id="on", trigger="{tag: vip}"),
        flow(id="off", trigger="{tag: vip, when: removed}"),
    )  # fmt: skip
    world.tell("page.viewed").tell("page.viewed").at(10).tell("support.requested").at(20)
    world.tell("page.viewed")
    assert entries(world, "on") == [0, 20]
    assert entries(world, "off") == [10]


SCORES = """
id: engagement
definition: scoring
half_life: 30d
points: {page.viewed: 4}
bands: [{name: cold, from: 0}]
"""


def test_a_score_that_crosses_a_threshold_is_a_trigger() -> None:
    world = World.of(SCORES, flow(trigger="{score: engagement, above: 10}"))
    for second in range(5):
        world.at(second).tell("page.viewed")
    assert entries(world) == [2]


def test_only_a_call_begins_what_is_to_be_called() -> None:
    called = flow(id="called", trigger="{called: true}", entry="{once_per: customer}")
    caller = flow(id="caller", steps="[{id: call, call: called}]")
    world = World.of(called, caller).tell("page.viewed")
    assert entries(world) == []
    world.at(10).tell("support.requested")
    assert entries(world, "called") == [10]
    world.at(20).tell("support.requested")
    assert kept_out(world, "called") == []  # it is going on
    world.at(2 * HOUR).tell("support.requested")
    assert kept_out(world, "called") == ["already_entered"]


# How often.


def test_once_per_event_each_is_a_conversation_of_its_own() -> None:
    world = World.of(flow()).tell("support.requested").tell("support.requested", id_="x")
    assert entries(world) == [0, 0]
    assert len({run.id for run in world.customer().runs}) == 2


def test_once_per_customer_and_again_after() -> None:
    world = World.of(flow(entry="{once_per: customer, again_after: 10d}"))
    for day in (0, 5, 10):
        world.at(day * DAY).tell("support.requested")
    assert entries(world) == [0, 10 * DAY]
    assert kept_out(world) == ["already_entered"]


def test_once_per_product_remembers_each() -> None:
    world = World.of(flow(trigger="wishlist.added", entry="{once_per: product}"))
    for hour, product in enumerate(("moka", "tazza", "moka")):
        world.at(2 * hour * HOUR).tell("wishlist.added", product_id=product)
    assert entries(world) == [0, 2 * HOUR]
    assert kept_out(world) == ["already_entered"]


def test_after_a_cool_down_whatever_it_is_about() -> None:
    world = World.of(flow(trigger="wishlist.added", entry="{once_per: product, cool_down: 1d}"))
    for hour, product in [(0, "moka"), (2, "tazza"), (25, "tazza")]:
        world.at(hour * HOUR).tell("wishlist.added", product_id=product)
    assert entries(world) == [0, 25 * HOUR]
    assert kept_out(world) == ["cooling_down"]


def test_entries_remembered_are_bounded() -> None:
    world = World.of(flow(trigger="wishlist.added", entry="{once_per: product}"))
    for number in range(230):
        world.at(number * 2 * HOUR).tell("wishlist.added", product_id=f"p{number}")
    assert len(world.customer().entered) == 200


# Who.


def test_who_may_enter() -> None:
    world = World.of(flow(entry="{once_per: event, if: {profile.country: IT}}"))
    world.tell("support.requested").tell("customer.updated", country="IT").at(10)
    world.tell("support.requested")
    assert entries(world) == [10]
    assert kept_out(world) == ["condition"]


def test_only_in_season_also_over_new_year() -> None:
    world = World.of(flow(season='{from: "12-24", to: "03-02"}'))
    world.at(12.9 * HOUR).tell("support.requested")  # 23:54 in Rome on 2 March
    world.at(13.1 * HOUR).tell("support.requested")
    assert entries(world) == [12.9 * HOUR]
    assert kept_out(world) == ["out_of_season"]


GROUP = {"trigger": "cart.changed", "entry": "{once_per: cart}", "group": "cart"}


def test_of_a_group_the_one_with_the_highest_priority_enters() -> None:
    world = World.of(
        flow(id="low", **GROUP, priority="10"),
        flow(id="high", **GROUP, priority="90", season='{from: "03-01", to: "03-31"}'),
    )
    world.add()
    assert entries(world, "high") == [0]
    assert kept_out(world, "low") == ["other_of_group"]
    world.add("tazza").at(MINUTE).add("piatto")
    assert entries(world, "low") == []
    world.at(2 * HOUR).add("tv")
    assert entries(world, "low") == [2 * HOUR]


@pytest.mark.parametrize(("priority", "confirmed"), [("90", [MINUTE]), ("10", []), ("9", [])])
def test_a_confirmation_waits_for_none_of_lower_priority(
    priority: str, confirmed: list[float]
) -> None:
    mail = "[{id: mail, send: a, class: transactional, kind: transactional}]"
    world = World.of(flow(id="other", **GROUP, priority="10")).add().at(MINUTE)
    world.publish_live(flow(id="new", **GROUP, priority=priority, steps=mail)).add("tazza")
    assert entries(world, "other") == [0]
    assert entries(world, "new") == confirmed


# Without end.


def test_workflows_that_set_each_other_off_come_to_an_end() -> None:
    swap = "[{id: untag, untag: vip}, {id: tag, tag: vip}]"
    world = World.of(TAGGER, flow(id="loop", trigger="{tag: vip}", steps=swap))
    world.tell("page.viewed").at(DAY)
    assert len(entries(world, "loop")) == 99
    assert kept_out(world, "loop") == ["chain_too_long"]
    assert world.customer().runs == []


def test_nobody_is_in_a_workflow_without_limit() -> None:
    world = World.of(flow())
    for _ in range(203):
        world.tell("support.requested")
    assert len(world.customer().runs) == 200
    assert kept_out(world) == ["too_many_runs"] * 3


# What is said.


def test_what_keeps_somebody_out_at_every_event_is_said_once() -> None:
    text = flow(trigger="page.viewed", entry="{once_per: customer, again_after: 10d}")
    world = World.of(text)
    for hour in range(0, 24 * 25, 2):
        world.at(hour * HOUR).tell("page.viewed")
    assert entries(world) == [0, 10 * DAY, 20 * DAY]
    assert kept_out(world) == ["already_entered"] * 3


def test_what_keeps_a_cart_out_for_another_reason_is_said_again() -> None:
    world = World.of(
        flow(id="low", **GROUP, priority="10"), flow(id="high", **GROUP, priority="90")
    )
    for minute in range(5):
        world.at(minute * MINUTE).add(f"p{minute}")
    assert kept_out(world, "low") == ["other_of_group"]
    world.order().at(HOUR).add("tv")  # the next cart
    assert kept_out(world, "low") == ["other_of_group"] * 2


def test_an_order_is_in_it_once_however_often_its_status_is_sent() -> None:
    trigger = "{on: order.updated, where: {event.status: paid}}"
    world = World.of(flow(trigger=trigger, entry="{once_per: order}"))
    for _ in range(2):
        world.tell("order.updated", order_id="o1", status="paid").at(DAY)
    world.tell("order.updated", order_id="o2", status="paid")
    assert entries(world) == [0, DAY]
    assert kept_out(world) == ["already_entered"]


@pytest.mark.parametrize("type_", ["order.shipped", "order.delivered"])
def test_also_one_from_before_our_time(type_: str) -> None:
    world = World.of(flow(trigger=type_, entry="{once_per: order}"))
    for _ in range(2):
        world.tell(type_, order_id="o0").at(DAY)
    assert entries(world) == [0]


def test_an_order_enters_again_when_its_file_says_so() -> None:
    world = World.of(flow(trigger="order.updated", entry="{once_per: order, again_after: 2d}"))
    for day in (0, 1, 2):
        world.at(day * DAY).tell("order.updated", order_id="o1")
    assert entries(world) == [0, 2 * DAY]
