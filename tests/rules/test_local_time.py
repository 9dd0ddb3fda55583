"""Hours and days by the customer's clock, also while it is changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.rules.local_time import day_number, is_quiet, next_day, quiet_ends
from schemas.instant import parse_instant, to_rfc3339
from tests.examples import examples

ZONES = ("Europe/Rome", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe",
         "Africa/Cairo", "Pacific/Apia", "America/Sao_Paulo", "Asia/Tokyo")  # fmt: skip
MINUTE = 60_000
DAY = 1_440 * MINUTE
CHANGES = [parse_instant(f"{day}T00:00:00Z") for day in (
    "2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04",
    "2026-04-24", "2026-10-30", "2011-12-30", "2018-11-04", "2018-02-18",
)]  # fmt: skip
"""Days on which the clocks change somewhere among ZONES, or on which a day is left out."""

instants = st.builds(
    lambda day, minutes, ms: day + minutes * MINUTE + ms,
    st.sampled_from(CHANGES),
    st.integers(-1_800, 1_800),
    st.integers(0, 59_999),
)
times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))


@examples(400)
@given(instants, times, times, st.sampled_from(ZONES))
def test_the_end_of_the_quiet_is_the_first_instant_that_is_not(
    instant: int, begins: str, ends: str, zone: str
) -> None:
    found = quiet_ends(instant, begins, ends, zone)
    assert not is_quiet(found, begins, ends, zone)
    assert (found == instant) == (not is_quiet(instant, begins, ends, zone))
    # All quiet on the way: every minute of it, and the last millisecond.
    assert all(is_quiet(t, begins, ends, zone) for t in range(instant, found, MINUTE))
    assert found == instant or is_quiet(found - 1, begins, ends, zone)


@examples(200)
@given(instants, st.sampled_from(ZONES))
def test_the_next_day_begins_when_the_date_changes(instant: int, zone: str) -> None:
    found = next_day(instant, zone)
    assert day_number(instant, zone) == day_number(found - 1, zone) < day_number(found, zone)
    assert found - instant <= DAY + 120 * MINUTE


@pytest.mark.parametrize(
    ("instant", "ends"),
    [
        ("2026-03-28T20:00:00Z", "2026-03-29T07:00:00Z"),  # 21:00 to 09:00 in eleven hours
        ("2026-10-24T19:00:00Z", "2026-10-25T08:00:00Z"),  # and in thirteen
        ("2026-06-01T18:59:59Z", "2026-06-01T18:59:59Z"),  # not yet
        ("2026-06-02T07:00:00Z", "2026-06-02T07:00:00Z"),  # not any more
    ],
)
def test_a_night_in_rome(instant: str, ends: str) -> None:
    assert to_rfc3339(quiet_ends(parse_instant(instant), "21:00", "09:00", "Europe/Rome")) == ends


def test_from_and_to_alike_are_never_quiet() -> None:
    assert not any(is_quiet(CHANGES[0] + n * MINUTE, "08:00", "08:00", "") for n in range(1_440))


def test_an_end_in_the_hour_that_is_skipped_is_where_the_clock_jumps_to() -> None:
    night = parse_instant("2026-03-29T00:00:00Z")
    assert to_rfc3339(quiet_ends(night, "21:00", "02:30", "")) == "2026-03-29T01:00:00Z"
