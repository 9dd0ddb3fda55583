"""Spans of a shop's local time, and pages that say where the next one begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.instant import from_datetime
from schemas.time_units import DAY_MS, HOUR_MS, MINUTE_MS
from streams.connect.keyset import Keyset, Place, following_second
from streams.connect.local_windows import instant_of, local_span, text_of
from streams.connect.walk import OVERLAP_MS, begin, finished, unfinished
from tests.examples import examples

ROME = ZoneInfo("Europe/Rome")
ZONES = [ROME, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/St_Johns"), ZoneInfo("UTC")]
OCTOBER = from_datetime(datetime(2026, 10, 25, 1, 0, tzinfo=UTC))
"""03:00 in Rome becomes 02:00."""
MARCH = from_datetime(datetime(2026, 3, 29, 1, 0, tzinfo=UTC))
"""02:00 in Rome becomes 03:00."""
CHANGES = [OCTOBER, MARCH, from_datetime(datetime(2026, 4, 4, 15, 0, tzinfo=UTC)),
           from_datetime(datetime(2026, 11, 1, 4, 30, tzinfo=UTC))]  # fmt: skip


@examples(60)
@given(
    change=st.sampled_from(CHANGES),
    zone=st.sampled_from(ZONES),
    start=st.integers(-3 * HOUR_MS, 3 * HOUR_MS),
    length=st.one_of(st.integers(0, 10 * MINUTE_MS), st.integers(0, 5 * DAY_MS)),
    within=st.floats(0, 1),
)
def test_a_span_holds_all_that_the_clock_shows_in_it(
    change: int, zone: ZoneInfo, start: int, length: int, within: float
) -> None:
    first = change + start
    low, high = local_span(first, first + length, zone)
    assert low <= text_of(first + int(length * within), zone) <= high


def test_a_span_over_the_change_of_the_clock() -> None:
    span = local_span(OCTOBER - 5 * MINUTE_MS, OCTOBER + 5 * MINUTE_MS, ROME)
    assert span == ("2026-10-25 02:00:00", "2026-10-25 02:59:59")
    span = local_span(MARCH - 5 * MINUTE_MS, MARCH + 5 * MINUTE_MS, ROME)
    assert span == ("2026-03-29 01:55:00", "2026-03-29 03:05:00")


@examples(60)
@given(change=st.sampled_from(CHANGES), zone=st.sampled_from(ZONES),
       start=st.integers(-3 * HOUR_MS, 3 * HOUR_MS))  # fmt: skip
def test_a_time_that_is_shown_is_read_as_one_at_which_it_is(
    change: int, zone: ZoneInfo, start: int
) -> None:
    instant = (change + start) // 1000 * 1000
    shown = text_of(instant, zone)
    read = instant_of(shown, zone)
    assert text_of(read, zone) == shown and read <= instant
    assert instant_of(shown, zone, not_before=instant) == instant


def _morning() -> int:
    return from_datetime(datetime(2026, 3, 2, 9, 15, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "bounds", "expected"),
    [
        ("2026-10-25 02:30:00", {}, OCTOBER - 30 * MINUTE_MS),
        ("2026-10-25 02:30:00", {"not_before": OCTOBER - 10 * MINUTE_MS}, OCTOBER + 30 * MINUTE_MS),
        ("2026-10-25 02:30:00", {"not_after": OCTOBER}, OCTOBER - 30 * MINUTE_MS),
        ("2026-03-29 02:30:00", {}, MARCH + 30 * MINUTE_MS),
        ("2026-03-02 10:15:00", {"not_after": 0}, _morning()),
    ],
)  # fmt: skip
def test_which_of_two_times_is_meant(text: str, bounds: dict[str, int], expected: int) -> None:
    assert instant_of(text, ROME, **bounds) == expected


@pytest.mark.parametrize("text", ["", "domani", "0000-00-00 00:00:00", "1999-01-01 00:00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        instant_of(text, ROME)


@examples(40)
@given(
    seconds=st.lists(st.integers(0, 6), max_size=40),
    size=st.integers(2, 5),
    moves=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 3)), max_size=12),
)
def test_pages_have_every_row_that_stays_though_others_move(
    seconds: list[int], size: int, moves: list[tuple[int, int]]
) -> None:
    """Rows that are changed meanwhile move behind the span, where the next poll finds them."""
    base = datetime(2026, 3, 2, 10, 0)  # as shops write it

    def text(second: int) -> str:
        return (base + timedelta(seconds=second)).isoformat(" ")

    changed = dict(enumerate(map(text, seconds), start=1))
    keyset: Keyset | None = Keyset(text(0), text(6))
    read: list[int] = []
    moved: set[int] = set()
    waiting = list(moves)
    for _ in range(500):
        if keyset is None:
            break
        if keyset.above is None:
            found = sorted((each, id_) for id_, each in changed.items()
                           if keyset.since <= each <= keyset.until)  # fmt: skip
        else:
            found = sorted((each, id_) for id_, each in changed.items()
                           if each == keyset.since and id_ > keyset.above)  # fmt: skip
        page = [Place(each, id_) for each, id_ in found[:size]]
        read += [page[each].id for each in keyset.unread(page)]
        keyset = keyset.after(page, more=len(found) > size or len(page) == size)
        if waiting:
            id_, later = waiting.pop()
            if id_ in changed:
                changed[id_] = text(100 + later)
                moved.add(id_)
    assert keyset is None
    assert set(changed) - moved <= set(read)
    assert len(read) == len(set(read))


def test_a_cursor_goes_on_in_a_span_and_behind_it() -> None:
    walk = begin("", since=MARCH - DAY_MS, now=MARCH, zone=ROME)
    assert walk.keyset == Keyset("2026-03-28 02:00:00", "2026-03-29 03:00:00")
    half = walk._replace(keyset=Keyset("2026-03-28 05:00:00", walk.keyset.until, frozenset({7})))
    assert begin(unfinished(half), since=0, now=MARCH + DAY_MS, zone=ROME) == half
    following = begin(finished(half), since=0, now=MARCH + HOUR_MS, zone=ROME)
    assert following.keyset.since == text_of(MARCH - OVERLAP_MS, ROME)
    assert following.end == MARCH + HOUR_MS


@pytest.mark.parametrize("cursor", ["{", "[]", "7", '{"since": 1}', '{"through": "x"}', "null"])
def test_a_cursor_that_cannot_be_read_means_reading_again(cursor: str) -> None:
    assert begin(cursor, since=MARCH, now=MARCH + 1000, zone=UTC) == begin(
        "", since=MARCH, now=MARCH + 1000, zone=UTC
    )


def test_the_second_behind_a_second() -> None:
    assert following_second("2026-12-31 23:59:59") == "2027-01-01 00:00:00"
