"""Workflows that time begins: dates that come round, silences that last, scores that fade."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.rules.local_time import next_yearly
from schemas.days import Day, parse_day
from schemas.definitions import DEFINITION, canonical
from tests.harness import DAY, FILES, HOUR, START, Harness

ROME = ZoneInfo("Europe/Rome")


def workflow(trigger: dict[str, Any], id_: str = "timed", **more: Any) -> dict[str, bytes]:
    content = {
        "id": id_, "definition": "workflow", "title": {"it": "x"}, "trigger": trigger,
        "entry": {"once_per": "event"}, "steps": [{"id": "mark", "tag": "reached"}],
    } | more  # fmt: skip
    return {id_: canonical(DEFINITION.validate_python(content))}


def harness(trigger: dict[str, Any], **more: Any) -> Harness:
    return Harness({"engagement": FILES["engagement"]} | workflow(trigger, **more))


def entered(harness: Harness) -> list[datetime]:
    """Return when runs were begun, by the clock of Rome."""
    return [
        datetime.fromtimestamp(START / 1000 + said.at, ROME)
        for said in harness.said("timed")
        if said.decision == "entered"
    ]


def seconds(year: int, month: int, day: int, hour: int = 0, zone: str = "Europe/Rome") -> float:
    return datetime(year, month, day, hour, tzinfo=ZoneInfo(zone)).timestamp() - START / 1000


BIRTHDAY = {"date": "profile.birthday"}


def test_a_birthday_comes_every_year_at_nine() -> None:
    there = harness(BIRTHDAY).tell("customer.updated", birthday="1990-06-15")
    there.at(seconds(2028, 7, 1))
    assert [(t.year, t.month, t.day, t.hour) for t in entered(there)] == [
        (2026, 6, 15, 9), (2027, 6, 15, 9), (2028, 6, 15, 9),
    ]  # fmt: skip


@pytest.mark.parametrize(("birthday", "tags"), [("1990-06-15", ["36"]), ("--06-15", [])])
def test_it_says_how_many_years_it_has_been(birthday: str, tags: list[str]) -> None:
    steps = [{"id": "mark", "tag": "{event.years}"}]
    there = harness(BIRTHDAY, steps=steps).tell("customer.updated", birthday=birthday)
    there.at(seconds(2026, 7, 1))
    assert list(there.customer().tags) == tags


@pytest.mark.parametrize("text", ["--06-15", "06-15", "15/06/1990", "15.6.", "1990-06-15T00:00:00Z",
                                  "1604-06-15"])  # fmt: skip
def test_a_birthday_is_read_as_people_write_it(text: str) -> None:
    there = harness(BIRTHDAY).tell("customer.updated", birthday=text).at(seconds(2026, 12, 31))
    assert [(t.month, t.day) for t in entered(there)] == [(6, 15)]


def test_29_february_is_the_28th_in_other_years() -> None:
    there = harness(BIRTHDAY).tell("customer.updated", birthday="1992-02-29")
    there.at(seconds(2029, 1, 1))
    assert [(t.year, t.month, t.day) for t in entered(there)] == [(2027, 2, 28), (2028, 2, 29)]


def test_before_the_day_and_at_another_time() -> None:
    there = harness({"date": "profile.birthday", "before": "3d", "at": "18:00"})
    there.tell("customer.updated", birthday="2000-01-02").at(seconds(2027, 6, 1))
    assert [(t.year, t.month, t.day, t.hour) for t in entered(there)] == [(2026, 12, 30, 18)]


def test_local_time_holds_in_summer_and_winter() -> None:
    for day in ("--03-29", "--10-25"):  # the days on which the clocks change
        there = harness(BIRTHDAY).tell("customer.updated", birthday=day).at(seconds(2026, 12, 31))
        assert [t.hour for t in entered(there)] == [9]


def test_a_time_that_is_skipped_comes_an_hour_later_and_one_that_comes_twice_once() -> None:
    for day, hour in (("--03-29", 3), ("--10-25", 2)):
        there = harness({"date": "profile.birthday", "at": "02:30"})
        there.tell("customer.updated", birthday=day).at(seconds(2026, 12, 31))
        assert [(t.hour, t.minute) for t in entered(there)] == [(hour, 30)]


def test_a_move_to_another_zone_moves_it() -> None:
    there = harness(BIRTHDAY).tell("customer.updated", birthday="--06-15")
    there.at(HOUR).tell("customer.updated", zone="America/New_York").at(seconds(2026, 12, 31))
    assert [t.hour for t in entered(there)] == [15]  # nine in New York


def test_a_move_west_on_the_day_is_no_second_birthday() -> None:
    there = harness(BIRTHDAY).tell("customer.updated", birthday="--06-15")
    there.at(seconds(2026, 6, 15, 12)).tell("customer.updated", zone="America/Los_Angeles")
    there.at(seconds(2027, 1, 1))
    assert len(entered(there)) == 1
    there.at(seconds(2027, 6, 16))
    assert len(entered(there)) == 2


def test_a_birthday_that_is_corrected_counts_from_then_on() -> None:
    there = harness(BIRTHDAY).tell("customer.updated", birthday="--06-15")
    there.at(DAY).tell("customer.updated", birthday="--11-20").at(seconds(2026, 12, 31))
    assert [(t.month, t.day) for t in entered(there)] == [(11, 20)]
    # What can't be read as a birthday is left out: the one that is known stays.
    there.tell("customer.updated", birthday="nobody's business").at(seconds(2028, 1, 1))
    assert [(t.year, t.month, t.day) for t in entered(there)] == [(2026, 11, 20), (2027, 11, 20)]


def test_the_anniversary_of_the_first_order_is_a_year_later() -> None:
    there = harness({"date": "orders.first", "at": "18:00"}).order().at(30 * DAY).order("o2")
    there.at(seconds(2028, 4, 1))
    assert [(t.year, t.month, t.day) for t in entered(there)] == [(2027, 3, 2), (2028, 3, 2)]


def test_an_anniversary_moves_with_the_customer_too() -> None:
    there = harness({"date": "orders.first"}).order()
    there.at(DAY).tell("customer.updated", zone="America/New_York").at(seconds(2027, 4, 1))
    assert [t.hour for t in entered(there)] == [15]


def test_the_anniversary_of_the_subscription() -> None:
    there = harness({"date": "lists.joined"}).subscribed().tell("list.subscribed")
    there.at(seconds(2027, 4, 1))
    assert [(t.year, t.month, t.day) for t in entered(there)] == [(2027, 3, 2)]


def test_a_custom_date_in_the_future_comes_on_the_day_itself() -> None:
    fields = {"id": "fields", "definition": "fields", "fields": [{"id": "wedding", "type": "date"}]}
    files = {"fields": canonical(DEFINITION.validate_python(fields))}
    there = Harness(files | workflow({"date": "fields.wedding"}))
    there.tell("customer.updated", wedding="20/06/2027").at(seconds(2029, 1, 1))
    assert [t.year for t in entered(there)] == [2027, 2028]


ORDERS = {"inactive": "orders", "for": "60d"}
NOTHING = {"inactive": "interactions", "for": "90d"}


def test_no_order_for_60_days() -> None:
    there = harness(ORDERS).order().at(30 * DAY).order("o2").at(90 * DAY - 1)
    assert there.said("timed") == []
    there.at(200 * DAY)
    assert [said.at for said in there.said("timed") if said.decision == "entered"] == [90 * DAY]


def test_a_silence_is_noticed_once_until_it_is_broken() -> None:
    there = harness(ORDERS).order().at(100 * DAY)
    there.tell("order.completed", happened=50 * DAY - 60 * DAY, order_id="old")  # history
    there.tell("customer.updated", country="IT").at(150 * DAY)
    assert len(entered(there)) == 1
    there.order("o2").at(250 * DAY)
    assert len(entered(there)) == 2


def test_silence_is_broken_by_a_person_and_not_by_a_machine() -> None:
    there = harness(NOTHING).tell("page.viewed").at(60 * DAY)
    there.tell("mail.opened", command_id="c", verdict="machine")
    there.tell("mail.sent", command_id="c", message_id="m").at(100 * DAY)
    assert [said.at for said in there.said("timed") if said.decision == "entered"] == [90 * DAY]
    there = harness(NOTHING).tell("page.viewed").at(60 * DAY)
    there.tell("mail.clicked", command_id="c", verdict="human").at(149 * DAY)
    assert entered(there) == []


def test_nobody_is_silent_who_was_never_heard() -> None:
    there = harness(ORDERS).tell("customer.updated", country="IT").at(400 * DAY)
    assert there.said("timed") == []


def test_history_that_is_loaded_begins_nothing_until_a_review() -> None:
    there = harness(ORDERS).at(100 * DAY)
    there.order(happened=0, backfill=True).order("o2", "bruno", happened=70 * DAY, backfill=True)
    there.at(120 * DAY)
    assert entered(there) == []
    there.at(131 * DAY)  # bruno's silence has lasted only now
    assert len(entered(there)) == 1
    there.tell("customer.reviewed").at(132 * DAY)
    assert len(entered(there)) == 2
    there.tell("customer.reviewed").at(133 * DAY)
    assert len(entered(there)) == 2


def test_a_new_version_does_not_notice_the_same_silence_again() -> None:
    there = harness(ORDERS).order().at(61 * DAY)
    version = there.publish(workflow(ORDERS, priority=60)["timed"])
    there.activate({"timed": version}).tell("page.viewed").tell("customer.reviewed").at(90 * DAY)
    assert len(entered(there)) == 1


def test_a_workflow_that_is_not_live_any_more_watches_nothing() -> None:
    there = harness(ORDERS).order()
    there.activate({}).at(70 * DAY)
    assert entered(there) == []
    assert there.customer().watches == {}


def test_nobody_there_for_two_years_is_one_birthday() -> None:
    there = harness(BIRTHDAY).tell("customer.updated", birthday="--06-15")
    there.sleep_until(seconds(2028, 1, 1)).at(seconds(2028, 7, 1))
    assert [t.year for t in entered(there)] == [2028, 2028]  # noticed late, then in time


def test_a_score_that_fades_below_a_threshold_begins_a_workflow() -> None:
    there = (
        harness({"score": "engagement", "below": 5}).order().at(100 * DAY)
    )  # 10, halving in 30 d
    assert [said.at for said in there.said("timed") if said.decision == "entered"] == [
        pytest.approx(30 * DAY, abs=1)
    ]
    there.order("o2").at(200 * DAY)
    assert len(entered(there)) == 2


def test_a_condition_that_time_makes_true_ends_a_run() -> None:
    more = {
        "exit_if": {"orders.last": {"longer_ago_than": "10d"}},
        "steps": [{"id": "mark", "tag": "x", "wait": {"for": "30d"}}],
    }
    there = Harness(workflow({"on": "order.completed"}, **more)).order().at(20 * DAY)
    assert [(s.at, s.decision, s.reason) for s in there.said("timed")] == [
        (0, "entered", "triggered"), (10 * DAY, "exited", "exit_condition"),
    ]  # fmt: skip
    assert there.customer().watches == {}


def test_a_wait_for_something_that_time_makes_true() -> None:
    wait = {"condition": {"cart.changed": {"longer_ago_than": "2h"}}, "timeout": "9d"}
    steps = [{"id": "quiet", "wait": wait}, {"id": "mark", "tag": "x"}]
    entry = {"once_per": "customer"}
    there = Harness(workflow({"on": "cart.product_added"}, steps=steps, entry=entry))
    there.add().at(HOUR).add("tazza").at(DAY)
    assert [(s.at, s.decision) for s in there.said("timed")][-2:] == [
        (3 * HOUR, "acted"), (3 * HOUR, "completed"),
    ]  # fmt: skip


@given(st.dates(min_value=datetime(1900, 1, 1).date(), max_value=datetime(2099, 12, 31).date()))
def test_days_are_read_back_as_they_are_written(day: Any) -> None:
    assert parse_day(str(Day(day.year, day.month, day.day))) == Day(day.year, day.month, day.day)
    assert parse_day(f"{day:%d/%m/%Y}") == Day(day.year, day.month, day.day)


@given(st.text(max_size=30))
def test_no_text_is_an_error(text: str) -> None:
    parse_day(text)


@given(
    st.integers(1, 12), st.integers(1, 29), st.integers(0, 365 * 40), st.integers(0, 40),
    st.sampled_from(["Europe/Rome", "America/New_York", "Pacific/Auckland", "Asia/Kathmandu"]),
    st.times(),
)  # fmt: skip
def test_the_next_one_is_within_a_year_and_falls_on_the_day(
    month: int, day: int, days: int, before: int, zone: str, at: Any
) -> None:
    after = START + days * 86_400_000
    span = before * DAY * 1000
    found = next_yearly(Day(None, month, day), f"{at:%H:%M}", zone, before=span, after=after)
    assert after < found <= after + 367 * 86_400_000
    there = datetime.fromtimestamp(found / 1000 + before * DAY, ZoneInfo(zone))
    if before == 0:
        assert (there.month, there.day) in {(month, day), (2, 28)}
