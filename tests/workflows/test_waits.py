"""When a step is due: by the clock, by the calendar, when something happens or is true."""

from __future__ import annotations

import pytest

from schemas.instant import parse_instant
from tests.harness import DAY, HOUR, MINUTE, START, Harness


def flow(wait: str, *, trigger: str = "support.requested", more: str = "") -> str:
    """Return a workflow of one mail that waits."""
    return f"""
id: flow
title: {{it: Flusso}}
trigger: {trigger}
entry: {{once_per: event}}
steps:
  - {{id: mail, wait: {wait}, send: welcome-thanks, class: transactional, kind: transactional}}
{more}
"""


def begun(text: str, zone: str = "", *, at: str = "2026-03-02T10:00:00Z") -> Harness:
    """Return a world in which the workflow has begun at that time."""
    harness = Harness.of(text).at(seconds(at)).subscribed()
    if zone:
        harness.tell("customer.updated", zone=zone)
    return harness.tell("support.requested")


def seconds(text: str) -> float:
    """Return a time as seconds since the world began."""
    return (parse_instant(text) - START) / 1000


def sent(harness: Harness, until: float = 800 * DAY) -> list[float]:
    """Let time pass; return when mails were sent."""
    return [mail.at for mail in harness.at(until).mails]


# By the clock.


@pytest.mark.parametrize("wait", ["36h", "{for: 1d12h}", "{for: 36h, since: entry}",
                                  "{for: 36h, since: support.requested}"])  # fmt: skip
def test_a_time_from_the_beginning(wait: str) -> None:
    assert sent(begun(flow(wait))) == [36 * HOUR]


def test_without_a_wait_at_once() -> None:
    assert sent(begun(flow("[]"))) == [0]


def test_each_step_counts_from_the_end_of_the_one_before() -> None:
    second = "  - {id: next, wait: 1d, send: x, class: transactional, kind: transactional}"
    assert sent(begun(flow("1h", more=second))) == [HOUR, HOUR + DAY]


def test_the_first_alternative_that_is_known_counts() -> None:
    wait = "[{for: 2d, since: order.delivered}, {for: 10d}]"
    assert sent(begun(flow(wait))) == [10 * DAY]
    known = begun(flow(wait)).at(3 * DAY).tell("order.delivered", order_id="o1")
    assert sent(known) == [5 * DAY]


def test_what_becomes_known_too_late_makes_it_due_at_once() -> None:
    harness = begun(flow("[{for: 2d, since: order.delivered}, {for: 10d}]")).at(9 * DAY)
    harness.tell("order.delivered", order_id="o1", happened=DAY)
    assert sent(harness) == [9 * DAY]


# By the calendar. Rome is an hour ahead of UTC in winter, two in summer (from 29 March 2026).


@pytest.mark.parametrize(
    ("wait", "zone", "when"),
    [
        ('{until: "18:00"}', "", "2026-03-02T17:00:00Z"),
        ('{until: "09:00"}', "", "2026-03-03T08:00:00Z"),
        ('{until: "09:00", on: [sat, sun]}', "", "2026-03-07T08:00:00Z"),
        ('{until: "18:00"}', "America/New_York", "2026-03-02T23:00:00Z"),
        ('{for: 2d, at: "08:30"}', "", "2026-03-05T07:30:00Z"),
        ('{for: 2d, at: "11:30"}', "", "2026-03-04T10:30:00Z"),
        ("{for: 2d, on: [mon, tue]}", "", "2026-03-09T10:00:00Z"),
        ("{for: 1d, on: [tue]}", "", "2026-03-03T10:00:00Z"),
        ('{until: "18:00"}', "Nowhere/At_All", "2026-03-02T17:00:00Z"),
    ],
)
def test_local_times(wait: str, zone: str, when: str) -> None:
    assert sent(begun(flow(wait), zone)) == [seconds(when)]


@pytest.mark.parametrize(
    ("wait", "begins", "when"),
    [
        # Forward on 29 March at 2:00: the day has 23 hours, 2:30 is an hour later by the clock.
        ('{for: 1d, at: "10:00"}', "2026-03-28T09:00:00Z", "2026-03-29T08:00:00Z"),
        ("1d", "2026-03-28T09:00:00Z", "2026-03-29T09:00:00Z"),
        ('{until: "02:30"}', "2026-03-28T22:00:00Z", "2026-03-29T01:30:00Z"),
        # Back on 25 October at 3:00: 2:30 comes twice, once is enough.
        ('{for: 1d, at: "10:00"}', "2026-10-24T08:00:00Z", "2026-10-25T09:00:00Z"),
        ('{until: "02:30"}', "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z"),
        ('{until: "02:30"}', "2026-10-25T00:45:00Z", "2026-10-26T01:30:00Z"),
    ],
)
def test_daylight_saving(wait: str, begins: str, when: str) -> None:
    assert sent(begun(flow(wait), at=begins)) == [seconds(when)]


def test_who_moves_gets_it_at_the_new_local_time() -> None:
    harness = begun(flow('{until: "18:00"}')).at(HOUR).tell("customer.updated", zone="Asia/Tokyo")
    assert sent(harness) == [seconds("2026-03-03T09:00:00Z")]
    harness = begun(flow('{until: "18:00"}'), "Asia/Tokyo").at(HOUR)
    assert sent(harness.tell("customer.updated", zone="Europe/Rome")) == [
        seconds("2026-03-02T17:00:00Z")
    ]


BIRTHDAY = '[{date: profile.birthday, before: 2d, at: "08:00"}, {for: 30d}]'


@pytest.mark.parametrize(
    ("birthday", "when"),
    [
        ("1990-03-10", "2026-03-08T07:00:00Z"),
        ("1990-03-04", "2027-03-02T07:00:00Z"),  # two days before was three hours ago
        ("1990-03-05", "2026-03-03T07:00:00Z"),
        ("1992-02-29", "2027-02-26T07:00:00Z"),  # on the 28th, 2027 has no 29th
        ("", "2026-04-01T10:00:00Z"),
        ("in spring", "2026-04-01T10:00:00Z"),
        ("0001-01-01", "2026-04-01T10:00:00Z"),
    ],
)
def test_the_next_birthday(birthday: str, when: str) -> None:
    harness = Harness.of(flow(BIRTHDAY)).subscribed().tell("customer.updated", birthday=birthday)
    assert sent(harness.tell("support.requested")) == [seconds(when)]


def test_a_29_february_comes_as_such_where_there_is_one() -> None:
    harness = Harness.of(flow(BIRTHDAY)).at(seconds("2028-01-10T10:00:00Z")).subscribed()
    harness.tell("customer.updated", birthday="1992-02-29").tell("support.requested")
    assert sent(harness) == [seconds("2028-02-27T07:00:00Z")]


DELIVERY = '[{date: order.estimated_delivery, after: 1d, at: "10:00"}, {for: 20d}]'


def test_a_date_of_the_order_also_when_it_changes() -> None:
    text = flow(DELIVERY, trigger="order.completed").replace("once_per: event", "once_per: order")
    harness = Harness.of(text).subscribed().order(estimated_delivery="2026-03-10").at(DAY)
    harness.tell("order.updated", order_id="o1", estimated_delivery="2026-03-12")
    assert sent(harness) == [seconds("2026-03-13T09:00:00Z")]


@pytest.mark.parametrize(("late", "count"), [("{then: fire}", 1), ("{after: 1d, then: skip}", 0)])
def test_a_date_that_is_over_is_due_at_once_or_too_late(late: str, count: int) -> None:
    text = flow(DELIVERY, trigger="order.completed").replace("once_per: event", "once_per: order")
    text = text.replace("send:", f"late: {late}, send:")
    harness = Harness.of(text).subscribed().order(estimated_delivery="2026-02-10")
    assert sent(harness) == [0] * count


# When something happens.


EVENT = "{event: survey.answered, timeout: 3d, where: {event.topic: size}}"


def test_an_event_or_its_timeout() -> None:
    harness = begun(flow(EVENT)).at(HOUR).tell("survey.answered", topic="colour").at(2 * HOUR)
    harness.tell("survey.answered", topic="size").tell("survey.answered", topic="size")
    assert sent(harness) == [2 * HOUR]
    assert sent(begun(flow(EVENT))) == [3 * DAY]


def test_what_happened_before_it_waited_does_not_count() -> None:
    later = flow("1d", more=f"  - {{id: then, wait: {EVENT}, send: x, class: transactional, "
                 "kind: transactional}")  # fmt: skip
    harness = begun(later).at(HOUR).tell("survey.answered", topic="size")
    assert sent(harness) == [DAY, 4 * DAY]


def test_a_click_in_another_workflows_mail_is_not_meant() -> None:
    harness = begun(flow("{event: mail.clicked, timeout: 3d}")).at(HOUR)
    harness.tell("mail.clicked", command_id="c", workflow="other", verdict="human")
    harness.tell("mail.clicked", command_id="c", workflow="flow", verdict="machine").at(2 * HOUR)
    harness.tell("mail.clicked", command_id="c", workflow="flow", verdict="human")
    assert sent(harness) == [2 * HOUR]


# When something is true.


TRUE = "{condition: {orders.count: {at_least: 2}}, timeout: 3d}"


def test_until_it_is_true_or_the_timeout() -> None:
    harness = begun(flow(TRUE)).at(HOUR).order("o1").at(2 * HOUR).order("o2").at(3 * HOUR)
    assert sent(harness.order("o3")) == [2 * HOUR]
    assert sent(begun(flow(TRUE))) == [3 * DAY]


def test_what_is_true_already_is_not_waited_for() -> None:
    harness = Harness.of(flow(TRUE)).subscribed().order("o1").order("o2").at(MINUTE)
    assert sent(harness.tell("support.requested")) == [MINUTE]


def test_what_another_workflow_does_may_make_it_true() -> None:
    tagger = """
id: tagger
title: {it: Etichetta}
trigger: support.requested
entry: {once_per: event}
steps: [{id: tag, wait: 2h, tag: vip}]
"""
    text = flow("{condition: {tags: {contains: vip}}, timeout: 3d}")
    harness = Harness.of(text, tagger).subscribed().tell("support.requested")
    assert sent(harness) == [2 * HOUR]


# Nobody was there.


def test_a_window_holds_also_after_a_second_absence() -> None:
    text = flow("1h").replace(
        "send:", 'late: {then: window, window: {from: "09:00", to: "20:00"}}, send:'
    )
    harness = begun(text).sleep_until(11 * HOUR)  # 22:00 in Rome
    assert harness.said()[-1].decision == "postponed"
    harness.sleep_until(36 * HOUR)  # 23:00 of the next day
    assert harness.mails == []
    assert sent(harness) == [seconds("2026-03-04T08:00:00Z")]
