"""Ends: exits and goals act at once while a run waits; versions, visitors, several runs."""

from __future__ import annotations

import pytest

from tests.harness import DAY, HOUR, Harness

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


def ends(harness: Harness, workflow: str = "") -> list[tuple[float, str, str]]:
    """Return the ends of runs and goals reached: (when, what, why)."""
    kinds = ("exited", "completed", "converted")
    return [(s.at, s.decision, s.reason) for s in harness.said(workflow) if s.decision in kinds]


# Exits.


def test_it_ends_at_once_when_something_happens() -> None:
    harness = Harness.of(flow(more="exit_on: [survey.answered]")).subscribed()
    harness.tell("support.requested").at(DAY).tell("survey.answered")
    assert ends(harness) == [(DAY, "exited", "survey.answered")]
    assert harness.customer().runs == []


def test_it_ends_as_soon_as_something_is_true() -> None:
    harness = (
        Harness.of(flow(more="exit_if: {orders.count: {at_least: 2}}")).subscribed().order("o1")
    )
    harness.tell("support.requested").at(DAY).order("o2")
    assert ends(harness) == [(DAY, "exited", "exit_condition")]


def test_it_ends_at_once_when_it_is_true_already() -> None:
    harness = Harness.of(
        flow(f"[{{id: m, {OFFER}}}]", more="exit_if: {orders.count: 1}")
    ).subscribed()
    harness.order().tell("support.requested")
    assert [said.decision for said in harness.said()] == ["entered", "exited"]


def test_its_end_takes_back_the_mail_that_still_waits() -> None:
    text = flow(f"[{{id: a, {OFFER}}}, {{id: b, wait: 5d, {OFFER}}}]",
                more="exit_if: {profile.city: Torino}")  # fmt: skip
    harness = Harness.of(text).subscribed().tell("support.requested").at(HOUR)
    harness.tell("customer.updated", city="Torino")
    assert harness.cancels == [(harness.commands[0].id, "anna", "exit_condition")]


def test_another_purchase_ends_a_run_about_an_order_and_moves_none_of_its_times() -> None:
    steps = f"[{{id: m, wait: {{for: 5d, since: order.completed}}, {OFFER}}}]"
    waits = flow(steps, trigger="order.completed", once_per="order")
    harness = Harness.of(waits).subscribed().order("o1").at(DAY).order("o2").at(20 * DAY)
    assert [mail.at for mail in harness.mails] == [5 * DAY, 6 * DAY]
    ending = flow(steps, trigger="order.completed", once_per="order",
                  more="exit_on: [order.completed, order.refunded]")  # fmt: skip
    harness = Harness.of(ending).subscribed().order("o1").at(DAY).order("o2").at(2 * DAY)
    assert ends(harness) == [(DAY, "exited", "order.completed")]
    harness.tell("order.refunded", order_id="o1")
    assert len(ends(harness)) == 1
    assert ends(harness.tell("order.refunded", order_id="o2"))[1:] == [
        (2 * DAY, "exited", "order.refunded")
    ]


def test_a_run_about_a_product_ends_with_that_product_only() -> None:
    text = flow(trigger="wishlist.added", once_per="product", more="exit_on: [order.completed]")
    harness = Harness.of(text).subscribed().tell("wishlist.added", product_id="moka").at(DAY)
    harness.order("o1", products=["tazza"])
    assert ends(harness) == []
    assert ends(harness.order("o2", products=["tazza", "moka"])) == [
        (DAY, "exited", "order.completed")
    ]


def test_what_only_acts_goes_on_without_consent() -> None:
    acts = flow("[{id: tag, wait: 5d, tag: vip}]", id_="acts")
    harness = Harness.of(acts, flow(id_="mails")).subscribed().tell("support.requested").at(DAY)
    harness.tell("consent.withdrawn", purpose="marketing")
    assert ends(harness) == [(DAY, "exited", "consent.withdrawn")]
    assert harness.at(6 * DAY).customer().tags.keys() == {"vip"}


# Goals.

GOAL = "goal: {on: order.completed, within: 7d, where: {event.currency: EUR}}"


def test_a_goal_ends_the_run_as_converted_and_takes_its_mail_back() -> None:
    text = flow(f"[{{id: a, {OFFER}}}, {{id: b, wait: 5d, {OFFER}}}]", more=GOAL)
    harness = Harness.of(text).subscribed().tell("support.requested").at(DAY)
    harness.order("o1", currency="CHF").at(2 * DAY).order("o2")
    assert ends(harness) == [(2 * DAY, "converted", "goal")]
    assert harness.cancels == []  # it has expired at the mailer by now
    harness = Harness.of(text).subscribed().tell("support.requested").at(HOUR).order()
    assert harness.cancels == [(harness.commands[0].id, "anna", "goal")]


def test_a_goal_counts_after_the_end_and_only_once() -> None:
    harness = Harness.of(flow("[{id: t, tag: x}]", more=GOAL)).subscribed()
    harness.tell("support.requested").at(6 * DAY).order("o1").order("o2")
    assert ends(harness) == [(0, "completed", "last_step"), (6 * DAY, "converted", "goal")]
    assert harness.customer().finished == []


def test_a_goal_that_comes_too_late_is_none() -> None:
    harness = Harness.of(flow(more=GOAL)).subscribed().tell("support.requested").at(8 * DAY).order()
    assert ends(harness) == [(5 * DAY, "completed", "last_step")]
    assert harness.customer().finished == []


def test_ended_runs_that_are_remembered_are_few() -> None:
    harness = Harness.of(flow("[{id: t, tag: x}]", more=GOAL))
    for _ in range(30):
        harness.tell("support.requested")
    assert len(harness.customer().finished) == 20


# Versions.

LIVE = flow(more="versions: live")


def test_a_run_is_pinned_to_the_version_it_began_with() -> None:
    harness = Harness.of(flow()).subscribed().tell("support.requested").at(DAY)
    harness.publish_live(flow(f"[{{id: mail, wait: 2d, {OFFER}}}]"))
    assert [mail.at for mail in harness.at(9 * DAY).mails] == [5 * DAY]


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
    harness = Harness.of(LIVE).subscribed().tell("support.requested").at(DAY)
    harness.publish_live(flow(steps, more="versions: live"))
    assert [(mail.step, mail.at) for mail in harness.at(20 * DAY).mails] == when
    assert {command.version for command in harness.commands} == {harness.live["flow"]}


def test_a_step_that_is_gone_is_followed_by_the_next_that_is_there() -> None:
    two = f"[{{id: mail, wait: 5d, {OFFER}}}, {{id: last, wait: 1d, {OFFER}}}]"
    harness = Harness.of(flow(two, more="versions: live")).subscribed().tell("support.requested")
    harness.at(DAY).publish_live(flow(f"[{{id: last, wait: 2d, {OFFER}}}]", more="versions: live"))
    assert [(mail.step, mail.at) for mail in harness.at(20 * DAY).mails] == [("last", 3 * DAY)]


def test_a_run_of_which_nothing_is_left_ends() -> None:
    harness = Harness.of(LIVE).subscribed().tell("support.requested").at(DAY)
    harness.publish_live(flow(f"[{{id: other, {OFFER}}}]", more="versions: live"))
    assert ends(harness) == [(DAY, "exited", "definition_gone")]


def test_what_was_done_is_not_done_again_where_the_steps_stand_otherwise() -> None:
    first, second = f"{{id: a, {OFFER}}}", f"{{id: b, wait: 5d, {OFFER}}}"
    harness = Harness.of(flow(f"[{first}, {second}]", more="versions: live")).subscribed()
    harness.tell("support.requested").at(DAY)
    harness.publish_live(flow(f"[{second}, {first}]", more="versions: live"))
    assert [mail.step for mail in harness.at(20 * DAY).mails] == ["a", "b"]


def test_what_is_not_live_any_more_goes_on_to_its_end() -> None:
    harness = Harness.of(LIVE).subscribed().tell("support.requested").at(DAY).activate({})
    assert ends(harness.at(9 * DAY)) == [(5 * DAY, "completed", "last_step")]


# Visitors.


def test_a_visitors_run_goes_on_under_the_customers_id() -> None:
    steps = f"[{{id: a, tag: x}}, {{id: b, wait: 2d, tag: y}}, {{id: c, wait: 2d, {MAIL}}}]"
    harness = Harness.of(flow(steps)).tell("support.requested", "v1").at(3 * DAY).subscribed()
    harness.tell("customer.identified", anonymous_id="v1").at(9 * DAY)
    assert [(mail.at, mail.customer) for mail in harness.mails] == [(4 * DAY, "anna")]
    assert harness.customer().tags.keys() == {"x", "y"}


def test_of_two_in_one_conversation_the_further_counts() -> None:
    steps = f"[{{id: a, wait: 1d, {MAIL}}}, {{id: b, wait: 5d, {MAIL}}}]"
    text = flow(steps, once_per="customer")
    harness = Harness.of(text).tell("support.requested", "v1").at(12 * HOUR).subscribed()
    harness.tell("support.requested").at(DAY + HOUR).tell("customer.identified", anonymous_id="v1")
    assert [(mail.at, mail.step) for mail in harness.at(20 * DAY).mails] == [(6 * DAY, "b")]
