"""Ends: exits and goals act at once while a run waits; versions, visitors, several runs."""

from __future__ import annotations

import pytest

from tests.agents.world import DAY, HOUR, World

MAIL = "send: welcome-thanks, class: transactional, kind: transactional"
OFFER = "send: welcome-thanks, kind: promotional"


def flow(
    steps: str = f"[{{id: mail, wait: 5d, {OFFER}}}]",
    *,
    more: str = "",
    trigger: str = "support.requested",
    once_per: str = "event",
    id_: str = "flow",
) -> str:
    """Return a workflow that waits for five days and then sends."""
    return f"""
id: {id_}
title: {{it: Flusso}}
trigger: {trigger}
entry: {{once_per: {once_per}}}
{more}
steps: {steps}
"""


def ends(world: World, workflow: str = "") -> list[tuple[float, str, str]]:
    """Return the ends of runs and goals reached: (when, what, why)."""
    kinds = ("exited", "completed", "converted")
    return [(s.at, s.decision, s.reason) for s in world.said(workflow) if s.decision in kinds]


# Exits.


def test_it_ends_at_once_when_something_happens() -> None:
    world = World.of(flow(more="exit_on: [survey.answered]")).subscribed()
    world.tell("support.requested").at(DAY).tell("survey.answered")
    assert ends(world) == [(DAY, "exited", "survey.answered")]
    assert world.customer().runs == []


def test_it_ends_as_soon_as_something_is_true() -> None:
    world = World.of(flow(more="exit_if: {orders.count: {at_least: 2}}")).subscribed().order("o1")
    world.tell("support.requested").at(DAY).order("o2")
    assert ends(world) == [(DAY, "exited", "exit_condition")]


def test_it_ends_at_once_when_it_is_true_already() -> None:
    world = World.of(flow(f"[{{id: m, {OFFER}}}]", more="exit_if: {orders.count: 1}")).subscribed()
    world.order().tell("support.requested")
    assert [said.decision for said in world.said()] == ["entered", "exited"]


def test_its_end_takes_back_the_mail_that_still_waits() -> None:
    text = flow(f"[{{id: a, {OFFER}}}, {{id: b, wait: 5d, {OFFER}}}]",
                more="exit_if: {profile.city: Torino}")  # fmt: skip
    world = World.of(text).subscribed().tell("support.requested").at(HOUR)
    world.tell("customer.updated", city="Torino")
    assert world.cancels == [(world.commands[0].id, "anna", "exit_condition")]


def test_another_purchase_ends_a_run_about_an_order_and_moves_none_of_its_times() -> None:
    steps = f"[{{id: m, wait: {{for: 5d, since: order.completed}}, {OFFER}}}]"
    waits = flow(steps, trigger="order.completed", once_per="order")
    world = World.of(waits).subscribed().order("o1").at(DAY).order("o2").at(20 * DAY)
    assert [mail.at for mail in world.mails] == [5 * DAY, 6 * DAY]
    ending = flow(steps, trigger="order.completed", once_per="order",
                  more="exit_on: [order.completed, order.refunded]")  # fmt: skip
    world = World.of(ending).subscribed().order("o1").at(DAY).order("o2").at(2 * DAY)
    assert ends(world) == [(DAY, "exited", "order.completed")]
    world.tell("order.refunded", order_id="o1")
    assert len(ends(world)) == 1
    assert ends(world.tell("order.refunded", order_id="o2"))[1:] == [
        (2 * DAY, "exited", "order.refunded")
    ]


def test_a_run_about_a_product_ends_with_that_product_only() -> None:
    text = flow(trigger="wishlist.added", once_per="product", more="exit_on: [order.completed]")
    world = World.of(text).subscribed().tell("wishlist.added", product_id="moka").at(DAY)
    world.order("o1", products=["tazza"])
    assert ends(world) == []
    assert ends(world.order("o2", products=["tazza", "moka"])) == [
        (DAY, "exited", "order.completed")
    ]


def test_what_only_acts_goes_on_without_consent() -> None:
    acts = flow("[{id: tag, wait: 5d, tag: vip}]", id_="acts")
    world = World.of(acts, flow(id_="mails")).subscribed().tell("support.requested").at(DAY)
    world.tell("consent.withdrawn", purpose="marketing")
    assert ends(world) == [(DAY, "exited", "consent.withdrawn")]
    assert world.at(6 * DAY).customer().tags.keys() == {"vip"}


# Goals.

GOAL = "goal: {on: order.completed, within: 7d, where: {event.currency: EUR}}"


def test_a_goal_ends_the_run_as_converted_and_takes_its_mail_back() -> None:
    text = flow(f"[{{id: a, {OFFER}}}, {{id: b, wait: 5d, {OFFER}}}]", more=GOAL)
    world = World.of(text).subscribed().tell("support.requested").at(DAY)
    world.order("o1", currency="CHF").at(2 * DAY).order("o2")
    assert ends(world) == [(2 * DAY, "converted", "goal")]
    assert world.cancels == []  # it has expired at the mailer by now
    world = World.of(text).subscribed().tell("support.requested").at(HOUR).order()
    assert world.cancels == [(world.commands[0].id, "anna", "goal")]


def test_a_goal_counts_after_the_end_and_only_once() -> None:
    world = World.of(flow("[{id: t, tag: x}]", more=GOAL)).subscribed()
    world.tell("support.requested").at(6 * DAY).order("o1").order("o2")
    assert ends(world) == [(0, "completed", "last_step"), (6 * DAY, "converted", "goal")]
    assert world.customer().finished == []


def test_a_goal_that_comes_too_late_is_none() -> None:
    world = World.of(flow(more=GOAL)).subscribed().tell("support.requested").at(8 * DAY).order()
    assert ends(world) == [(5 * DAY, "completed", "last_step")]
    assert world.customer().finished == []


def test_ended_runs_that_are_remembered_are_few() -> None:
    world = World.of(flow("[{id: t, tag: x}]", more=GOAL))
    for _ in range(30):
        world.tell("support.requested")
    assert len(world.customer().finished) == 20


# Versions.

LIVE = flow(more="versions: live")


def test_a_run_is_pinned_to_the_version_it_began_with() -> None:
    world = World.of(flow()).subscribed().tell("support.requested").at(DAY)
    world.publish_live(flow(f"[{{id: mail, wait: 2d, {OFFER}}}]"))
    assert [mail.at for mail in world.at(9 * DAY).mails] == [5 * DAY]


@pytest.mark.parametrize(
    ("steps", "when"),
    [
        (f"[{{id: mail, wait: 2d, {OFFER}}}]", [("mail", 2 * DAY)]),
        (f"[{{id: mail, wait: 12h, {OFFER}}}]", [("mail", DAY)]),  # at the next record
        (f"[{{id: new, {OFFER}}}, {{id: mail, wait: 9d, {OFFER}}}]", [("mail", 9 * DAY)]),
    ],
)
def test_or_it_follows_the_live_one_from_the_same_step(
    steps: str, when: list[tuple[str, float]]
) -> None:
    world = World.of(LIVE).subscribed().tell("support.requested").at(DAY)
    world.publish_live(flow(steps, more="versions: live"))
    assert [(mail.step, mail.at) for mail in world.at(20 * DAY).mails] == when
    assert {command.version for command in world.commands} == {world.live["flow"]}


def test_a_step_that_is_gone_is_followed_by_the_next_that_is_there() -> None:
    two = f"[{{id: mail, wait: 5d, {OFFER}}}, {{id: last, wait: 1d, {OFFER}}}]"
    world = World.of(flow(two, more="versions: live")).subscribed().tell("support.requested")
    world.at(DAY).publish_live(flow(f"[{{id: last, wait: 2d, {OFFER}}}]", more="versions: live"))
    assert [(mail.step, mail.at) for mail in world.at(20 * DAY).mails] == [("last", 3 * DAY)]


def test_a_run_of_which_nothing_is_left_ends() -> None:
    world = World.of(LIVE).subscribed().tell("support.requested").at(DAY)
    world.publish_live(flow(f"[{{id: other, {OFFER}}}]", more="versions: live"))
    assert ends(world) == [(DAY, "exited", "definition_gone")]


def test_what_was_done_is_not_done_again_where_the_steps_stand_otherwise() -> None:
    first, second = f"{{id: a, {OFFER}}}", f"{{id: b, wait: 5d, {OFFER}}}"
    world = World.of(flow(f"[{first}, {second}]", more="versions: live")).subscribed()
    world.tell("support.requested").at(DAY)
    world.publish_live(flow(f"[{second}, {first}]", more="versions: live"))
    assert [mail.step for mail in world.at(20 * DAY).mails] == ["a", "b"]


def test_what_is_not_live_any_more_goes_on_to_its_end() -> None:
    world = World.of(LIVE).subscribed().tell("support.requested").at(DAY).activate({})
    assert ends(world.at(9 * DAY)) == [(5 * DAY, "completed", "last_step")]


# Visitors.


def test_a_visitors_run_goes_on_under_the_customers_id() -> None:
    steps = f"[{{id: a, tag: x}}, {{id: b, wait: 2d, tag: y}}, {{id: c, wait: 2d, {MAIL}}}]"
    world = World.of(flow(steps)).tell("support.requested", "v1").at(3 * DAY).subscribed()
    world.tell("customer.identified", anonymous_id="v1").at(9 * DAY)
    assert [(mail.at, mail.customer) for mail in world.mails] == [(4 * DAY, "anna")]
    assert world.customer().tags.keys() == {"x", "y"}


def test_of_two_in_one_conversation_the_further_counts() -> None:
    steps = f"[{{id: a, wait: 1d, {MAIL}}}, {{id: b, wait: 5d, {MAIL}}}]"
    text = flow(steps, once_per="customer")
    world = World.of(text).tell("support.requested", "v1").at(12 * HOUR).subscribed()
    world.tell("support.requested").at(DAY + HOUR).tell("customer.identified", anonymous_id="v1")
    assert [(mail.at, mail.step) for mail in world.at(20 * DAY).mails] == [(6 * DAY, "b")]
