"""What a step says about coming late, since nobody was there: fire, skip, or wait for a window."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.rules.local_time import next_opening
from schemas.definitions.waits import Window
from schemas.instant import parse_instant, to_rfc3339
from streams.runtime.definitions import read_files
from tests.harness import DAY, FILES, HOUR, Harness, changed

WINDOW = Window.model_validate({"from": "09:00", "to": "21:00"})


def one_step(late: dict[str, object]) -> Harness:
    step = {"id": "only", "wait": {"for": "1h", "since": "cart.changed"}, "send": "cart-reminder",
            "class": "marketing", "kind": "informative", "late": late}  # fmt: skip
    name = "w06-abandoned-cart-a"
    return Harness(FILES | {name: changed(name, steps=[step])}).subscribed().add()


def test_fire_anyway() -> None:
    harness = one_step({"after": "1h", "then": "fire"}).sleep_until(100 * DAY)
    assert [mail.at for mail in harness.mails] == [100 * DAY]


@pytest.mark.parametrize(("after", "fires"), [(3 * HOUR, True), (3 * HOUR + 0.001, False)])
def test_skip_what_is_later_than_allowed(after: float, fires: bool) -> None:
    harness = one_step({"after": "2h", "then": "skip"}).sleep_until(after)
    assert len(harness.mails) == fires
    assert (harness.said()[-2].reason == "late") != fires


def test_wait_for_the_next_window() -> None:
    late = {"after": "2h", "then": "window", "window": {"from": "09:00", "to": "21:00"}}
    harness = one_step(late).sleep_until(13 * HOUR)  # midnight in Rome
    assert harness.said()[-1] == (13 * HOUR, "only", "postponed", "outside_window")
    harness.at(30 * HOUR)
    assert [mail.at for mail in harness.mails] == [22 * HOUR]
    harness = one_step(late).sleep_until(13 * HOUR).sleep_until(35 * HOUR).at(60 * HOUR)
    assert [mail.at for mail in harness.mails] == [
        46 * HOUR
    ]  # nobody was there at the opening either


def test_in_time_there_is_no_window() -> None:
    late = {"after": "2h", "then": "window", "window": {"from": "20:00", "to": "21:00"}}
    assert [mail.at for mail in one_step(late).at(DAY).mails] == [HOUR]


@pytest.mark.parametrize(
    ("instant", "zone", "opening"),
    [
        ("2026-03-28T23:30:00Z", "Europe/Rome", "2026-03-29T07:00:00Z"),  # summer time begins
        ("2026-10-24T23:30:00Z", "Europe/Rome", "2026-10-25T08:00:00Z"),  # and ends
        ("2026-03-01T08:00:00Z", "Europe/Rome", "2026-03-01T08:00:00Z"),  # 09:00, open
        ("2026-03-01T20:00:00Z", "Europe/Rome", "2026-03-02T08:00:00Z"),  # 21:00, closed
        ("2026-03-01T12:00:00Z", "America/New_York", "2026-03-01T14:00:00Z"),
        ("2026-03-01T22:00:00Z", "", "2026-03-02T08:00:00Z"),
        ("2026-03-01T22:00:00Z", "Mars/Olympus", "2026-03-02T08:00:00Z"),
        ("2026-03-01T22:00:00Z", "../../etc/passwd", "2026-03-02T08:00:00Z"),
        ("2026-03-01T22:00:00Z", "Europe", "2026-03-02T08:00:00Z"),
        ("2026-03-01T22:00:00Z", "a\0b", "2026-03-02T08:00:00Z"),
    ],
)
def test_the_next_opening(instant: str, zone: str, opening: str) -> None:
    assert to_rfc3339(next_opening(parse_instant(instant), WINDOW, zone)) == opening


@pytest.mark.parametrize(
    ("instant", "opening"),
    [
        ("2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"),  # 02:00 is skipped: 03:00
        ("2026-10-24T23:30:00Z", "2026-10-25T00:00:00Z"),  # 02:00 the first time
        ("2026-10-25T00:10:00Z", "2026-10-25T00:10:00Z"),  # 02:10 the first time
    ],
)
def test_a_window_that_opens_while_the_clocks_change(instant: str, opening: str) -> None:
    window = Window.model_validate({"from": "02:00", "to": "05:00"})
    assert to_rfc3339(next_opening(parse_instant(instant), window, "Europe/Rome")) == opening


def test_an_opening_never_lies_in_the_past() -> None:
    window = Window.model_validate({"from": "02:30", "to": "05:00"})
    now = parse_instant("2026-10-25T01:15:00Z")  # 02:15 the second time
    assert to_rfc3339(next_opening(now, window, "Europe/Rome")) == "2026-10-25T01:30:00Z"


@pytest.mark.parametrize(("slept", "greeted"), [(8, ["birthday"]), (14, []), (24 * 5, [])])
def test_a_birthday_is_not_congratulated_on_days_later(slept: int, greeted: list[str]) -> None:
    shipped = read_files(Path("workflows"), everything=True)
    harness = Harness({name: shipped[name] for name in ("w25-birthday", "coupons")}).subscribed()
    harness.tell("customer.updated", birthday="1990-03-05")
    nine = 2 * DAY + 22 * HOUR  # in Rome, on 5 March
    harness.sleep_until(nine + slept * HOUR)
    assert [mail.step for mail in harness.mails] == greeted
    assert len(harness.customer().coupons) == len(greeted)
