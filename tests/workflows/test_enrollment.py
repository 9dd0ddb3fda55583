"""What begins a run, how often, and what keeps a customer out."""

from __future__ import annotations

import pytest

from tests.harness import DAY, HOUR, MINUTE, Harness


def flow(**fields: str) -> str:
    """Return a workflow that only enters: its fields as YAML, by name."""
    lines = {"id": "flow", "title": "{it: Flusso}", "trigger": "support.requested",
             "entry": "{once_per: event}", "steps": "[{id: rest, wait: 1h}]"} | fields  # fmt: skip
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def entries(harness: Harness, workflow: str = "") -> list[float]:
    """Return when runs began."""
    return [said.at for said in harness.said(workflow) if said.decision == "entered"]


def kept_out(harness: Harness, workflow: str = "") -> list[str]:
    """Return why runs did not begin."""
    return [said.reason for said in harness.said(workflow) if said.decision == "not_entered"]


# Triggers.


def test_any_event_can_be_a_trigger() -> None:
    harness = Harness.of(flow()).tell("support.requested", topic="returns").at(10)
    harness.tell("survey.answered").tell("support.requested", topic="size")
    assert entries(harness) == [0, 10]


def test_a_trigger_may_ask_for_more() -> None:
    harness = Harness.of(
        flow(trigger="{on: support.requested, where: {event.topic: [size, returns]}}")
    )
    harness.tell("support.requested", topic="returns").tell("support.requested", topic="hello")
    assert entries(harness) == [0]
    assert kept_out(harness) == []


def test_what_is_concluded_has_the_properties_of_the_event() -> None:
    joined = flow(trigger="{on: list.joined, where: {event.list: news}}", entry="{once_per: list}")
    harness = Harness.of(joined).tell("consent.given", purpose="marketing")
    harness.tell("list.subscribed", list="other").at(10).tell("list.subscribed", list="news")
    assert entries(harness) == [10]
    late = Harness.of(joined).tell("list.subscribed", list="news").tell("list.subscribed", list="x")
    late.at(20).tell("consent.given", purpose="marketing")  # joined by what is about no list
    assert entries(late) == [20]
    cart = flow(
        trigger="{on: cart.changed, where: {event.product_id: moka}}", entry="{once_per: cart}"
    )
    harness = Harness.of(cart).tell("cart.product_added", product_id="tv").at(5)
    assert entries(harness.tell("cart.product_added", product_id="moka")) == [5]


@pytest.mark.parametrize("backfill", [False, True])
def test_history_begins_nothing(backfill: bool) -> None:
    harness = Harness.of(flow()).tell("support.requested", backfill=backfill)
    assert len(entries(harness)) == (not backfill)


VIEWS = "{on: product.viewed, times: 3, within: 7d, same: product_id}"


def test_several_occurrences_of_the_same_thing_within_a_time() -> None:
    harness = Harness.of(flow(trigger=VIEWS, entry="{once_per: product}"))
    harness.tell("product.viewed", product_id="moka").tell("product.viewed", product_id="tv")
    harness.at(5 * DAY).tell("product.viewed", product_id="moka").at(8 * DAY)
    harness.tell("product.viewed", product_id="moka")
    assert entries(harness) == []  # the first was more than seven days ago
    harness.at(8 * DAY + HOUR).tell("product.viewed", product_id="moka")
    assert entries(harness) == [8 * DAY + HOUR]
    assert harness.customer().counted.keys() == {"flow/tv"}


def test_views_that_come_late_count_for_when_they_were() -> None:
    harness = Harness.of(flow(trigger=VIEWS, entry="{once_per: product}")).at(10 * DAY)
    for day in (1, 2, 9.5):
        harness.tell("product.viewed", product_id="moka", happened=day * DAY)
    assert entries(harness) == []


def test_what_triggers_count_is_bounded() -> None:
    harness = Harness.of(flow(trigger=VIEWS, entry="{once_per: product}"))
    for number in range(80):
        harness.tell("product.viewed", product_id=f"p{number}")
    assert len(harness.customer().counted) == 50


def test_a_visitors_views_count_on() -> None:
    harness = Harness.of(flow(trigger=VIEWS, entry="{once_per: product}"))
    for _ in range(2):
        harness.tell("product.viewed", "v1", product_id="moka")
    harness.tell("customer.identified", anonymous_id="v1").tell("product.viewed", product_id="moka")
    assert entries(harness) == [0]


TAGGER = flow(id="tagger", trigger="page.viewed", steps="[{id: tag, tag: vip}]")
UNTAGGER = flow(id="untagger", steps="[{id: untag, untag: v*}]")


def test_a_tag_put_on_or_taken_off_is_a_trigger() -> None:
    harness = Harness.of(
        TAGGER, UNTAGGER, flow(id="on", trigger="{tag: vip}"),
        flow(id="off", trigger="{tag: vip, when: removed}"),
    )  # fmt: skip
    harness.tell("page.viewed").tell("page.viewed").at(10).tell("support.requested").at(20)
    harness.tell("page.viewed")
    assert entries(harness, "on") == [0, 20]
    assert entries(harness, "off") == [10]


SCORES = """
id: engagement
definition: scoring
half_life: 30d
points: {page.viewed: 4}
bands: [{name: cold, from: 0}]
"""


def test_a_score_that_crosses_a_threshold_is_a_trigger() -> None:
    harness = Harness.of(SCORES, flow(trigger="{score: engagement, above: 10}"))
    for second in range(5):
        harness.at(second).tell("page.viewed")
    assert entries(harness) == [2]


def test_only_a_call_begins_what_is_to_be_called() -> None:
    called = flow(id="called", trigger="{called: true}", entry="{once_per: customer}")
    caller = flow(id="caller", steps="[{id: call, call: called}]")
    harness = Harness.of(called, caller).tell("page.viewed")
    assert entries(harness) == []
    harness.at(10).tell("support.requested")
    assert entries(harness, "called") == [10]
    harness.at(20).tell("support.requested")
    assert kept_out(harness, "called") == []  # it is going on
    harness.at(2 * HOUR).tell("support.requested")
    assert kept_out(harness, "called") == ["already_entered"]


# How often.


def test_once_per_event_each_is_a_conversation_of_its_own() -> None:
    harness = Harness.of(flow()).tell("support.requested").tell("support.requested", id_="x")
    assert entries(harness) == [0, 0]
    assert len({run.id for run in harness.customer().runs}) == 2


def test_once_per_customer_and_again_after() -> None:
    harness = Harness.of(flow(entry="{once_per: customer, again_after: 10d}"))
    for day in (0, 5, 10):
        harness.at(day * DAY).tell("support.requested")
    assert entries(harness) == [0, 10 * DAY]
    assert kept_out(harness) == ["already_entered"]


def test_once_per_product_remembers_each() -> None:
    harness = Harness.of(flow(trigger="wishlist.added", entry="{once_per: product}"))
    for hour, product in enumerate(("moka", "tazza", "moka")):
        harness.at(2 * hour * HOUR).tell("wishlist.added", product_id=product)
    assert entries(harness) == [0, 2 * HOUR]
    assert kept_out(harness) == ["already_entered"]


def test_after_a_cool_down_whatever_it_is_about() -> None:
    harness = Harness.of(flow(trigger="wishlist.added", entry="{once_per: product, cool_down: 1d}"))
    for hour, product in [(0, "moka"), (2, "tazza"), (25, "tazza")]:
        harness.at(hour * HOUR).tell("wishlist.added", product_id=product)
    assert entries(harness) == [0, 25 * HOUR]
    assert kept_out(harness) == ["cooling_down"]


def test_entries_remembered_are_bounded() -> None:
    harness = Harness.of(flow(trigger="wishlist.added", entry="{once_per: product}"))
    for number in range(230):
        harness.at(number * 2 * HOUR).tell("wishlist.added", product_id=f"p{number}")
    assert len(harness.customer().entered) == 200


# Who.


def test_who_may_enter() -> None:
    harness = Harness.of(flow(entry="{once_per: event, if: {profile.country: IT}}"))
    harness.tell("support.requested").tell("customer.updated", country="IT").at(10)
    harness.tell("support.requested")
    assert entries(harness) == [10]
    assert kept_out(harness) == ["condition"]


def test_only_in_season_also_over_new_year() -> None:
    harness = Harness.of(flow(season='{from: "12-24", to: "03-02"}'))
    harness.at(12.9 * HOUR).tell("support.requested")  # 23:54 in Rome on 2 March
    harness.at(13.1 * HOUR).tell("support.requested")
    assert entries(harness) == [12.9 * HOUR]
    assert kept_out(harness) == ["out_of_season"]


GROUP = {"trigger": "cart.changed", "entry": "{once_per: cart}", "group": "cart"}


def test_of_a_group_the_one_with_the_highest_priority_enters() -> None:
    harness = Harness.of(
        flow(id="low", **GROUP, priority="10"),
        flow(id="high", **GROUP, priority="90", season='{from: "03-01", to: "03-31"}'),
    )
    harness.add()
    assert entries(harness, "high") == [0]
    assert kept_out(harness, "low") == ["other_of_group"]
    harness.add("tazza").at(MINUTE).add("piatto")
    assert entries(harness, "low") == []
    harness.at(2 * HOUR).add("tv")
    assert entries(harness, "low") == [2 * HOUR]


@pytest.mark.parametrize(("priority", "confirmed"), [("90", [MINUTE]), ("10", []), ("9", [])])
def test_a_confirmation_waits_for_none_of_lower_priority(
    priority: str, confirmed: list[float]
) -> None:
    mail = "[{id: mail, send: a, class: transactional, kind: transactional}]"
    harness = Harness.of(flow(id="other", **GROUP, priority="10")).add().at(MINUTE)
    harness.publish_live(flow(id="new", **GROUP, priority=priority, steps=mail)).add("tazza")
    assert entries(harness, "other") == [0]
    assert entries(harness, "new") == confirmed


# Without end.


def test_workflows_that_set_each_other_off_come_to_an_end() -> None:
    swap = "[{id: untag, untag: vip}, {id: tag, tag: vip}]"
    harness = Harness.of(TAGGER, flow(id="loop", trigger="{tag: vip}", steps=swap))
    harness.tell("page.viewed").at(DAY)
    assert len(entries(harness, "loop")) == 99
    assert kept_out(harness, "loop") == ["chain_too_long"]
    assert harness.customer().runs == []


def test_nobody_is_in_a_workflow_without_limit() -> None:
    harness = Harness.of(flow())
    for _ in range(203):
        harness.tell("support.requested")
    assert len(harness.customer().runs) == 200
    assert kept_out(harness) == ["too_many_runs"] * 3


# What is said.


def test_what_keeps_somebody_out_at_every_event_is_said_once() -> None:
    text = flow(trigger="page.viewed", entry="{once_per: customer, again_after: 10d}")
    harness = Harness.of(text)
    for hour in range(0, 24 * 25, 2):
        harness.at(hour * HOUR).tell("page.viewed")
    assert entries(harness) == [0, 10 * DAY, 20 * DAY]
    assert kept_out(harness) == ["already_entered"] * 3


def test_what_keeps_a_cart_out_for_another_reason_is_said_again() -> None:
    harness = Harness.of(
        flow(id="low", **GROUP, priority="10"), flow(id="high", **GROUP, priority="90")
    )
    for minute in range(5):
        harness.at(minute * MINUTE).add(f"p{minute}")
    assert kept_out(harness, "low") == ["other_of_group"]
    harness.order().at(HOUR).add("tv")  # the next cart
    assert kept_out(harness, "low") == ["other_of_group"] * 2


def test_an_order_is_in_it_once_however_often_its_status_is_sent() -> None:
    trigger = "{on: order.updated, where: {event.status: paid}}"
    harness = Harness.of(flow(trigger=trigger, entry="{once_per: order}"))
    for _ in range(2):
        harness.tell("order.updated", order_id="o1", status="paid").at(DAY)
    harness.tell("order.updated", order_id="o2", status="paid")
    assert entries(harness) == [0, DAY]
    assert kept_out(harness) == ["already_entered"]


@pytest.mark.parametrize("type_", ["order.shipped", "order.delivered"])
def test_also_one_from_before_our_time(type_: str) -> None:
    harness = Harness.of(flow(trigger=type_, entry="{once_per: order}"))
    for _ in range(2):
        harness.tell(type_, order_id="o0").at(DAY)
    assert entries(harness) == [0]


def test_an_order_enters_again_when_its_file_says_so() -> None:
    harness = Harness.of(flow(trigger="order.updated", entry="{once_per: order, again_after: 2d}"))
    for day in (0, 1, 2):
        harness.at(day * DAY).tell("order.updated", order_id="o1")
    assert entries(harness) == [0, 2 * DAY]
