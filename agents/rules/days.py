"""Days as shops write them, and when they come round again by the customer's clock."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from functools import lru_cache
from typing import NamedTuple

from agents.rules.local_time import zone_of
from schemas.instant import from_datetime, to_datetime
from schemas.stored import NEVER

_FORMS = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?:[T ].*)?"),
    re.compile(r"(?:--)?(?P<month>\d{2})-?(?P<day>\d{2})"),  # ISO 8601 and vCard without a year
    re.compile(r"(?P<day>\d{1,2})[/.](?P<month>\d{1,2})[/.](?P<year>\d{4})"),  # as Italy writes
    re.compile(r"(?P<day>\d{1,2})[/.](?P<month>\d{1,2})"),
)
_LEAP_YEAR = 2000
_NO_YEAR = 1604
"""Apple's address book writes a birthday whose year isn't known as one in 1604."""
_FIRST_YEAR, _LAST_YEAR = 1850, 2099
"""Whoever was born before, or has an appointment after, is a mistake in somebody's data."""


class Day(NamedTuple):
    """A day; of a birthday the year is often not known."""

    year: int | None
    month: int
    day: int

    def __str__(self) -> str:
        """As ISO 8601 writes it: `2026-03-02`, without a year `--03-02`."""
        year = "-" if self.year is None else f"{self.year:04}"
        return f"{year}-{self.month:02}-{self.day:02}"

    def in_year(self, year: int) -> date:
        """Return that day of another year. 29 February is the 28th where there is none."""
        try:
            return date(year, self.month, self.day)
        except ValueError:
            return date(year, 2, 28)


@lru_cache(maxsize=4096)
def parse_day(text: str) -> Day | None:
    """Read a day in one of the usual forms; None when it is none of them or there is no such day.

    `1990-05-17`, also with a time behind it or without its year (`--05-17`, `05-17`), `17/05/1990`,
    `17.5.`: the day comes first where there are no hyphens.
    """
    for form in _FORMS:
        match = form.fullmatch(text.strip().rstrip("."))
        if match is None:
            continue
        parts = {name: int(part) for name, part in match.groupdict().items()}
        year = None if parts.get("year") == _NO_YEAR else parts.get("year")
        day = Day(year, parts["month"], parts["day"])
        return day if _exists(day) else None
    return None


def _exists(day: Day) -> bool:
    if day.year is not None and not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        return False
    try:
        date(_LEAP_YEAR if day.year is None else day.year, day.month, day.day)
    except ValueError:
        return False
    return True


def to_day(value: Day | int | str | None, zone: str) -> Day | None:
    """Return the day that a field names: a day, an instant (ms), or either as text."""
    if isinstance(value, Day) or value is None:
        return value
    return parse_day(value) if isinstance(value, str) else day_at(value, zone)


def day_at(instant: int, zone: str) -> Day:
    """Return which day it is at an instant (ms) by the customer's clock."""
    local = to_datetime(instant).astimezone(zone_of(zone))
    return Day(local.year, local.month, local.day)


def instant_of(day: date, at: str, zone: str) -> int:
    """Return the instant (ms) at which the customer's clock shows `at` (`09:00`) on that day.

    A time that daylight saving skips comes an hour later by the clock; one that comes twice counts
    the first time.
    """
    return from_datetime(datetime.combine(day, time.fromisoformat(at), tzinfo=zone_of(zone)))


def begins(day: Day, zone: str) -> int | None:
    """Return the first instant (ms) of a day; None when its year isn't known."""
    if day.year is None:
        return None
    return instant_of(date(day.year, day.month, day.day), "00:00", zone)


def next_yearly(day: Day, at: str, zone: str, *, before: int = 0, after: int) -> int:
    """Return the next instant (ms) later than `after` that lies `before` (ms) the day's local time,
    this year or another; never before the day's own year. NEVER when there is none any more."""
    year = max(day_at(after, zone).year or 0, day.year or 0)
    while year <= _LAST_YEAR:
        instant = instant_of(day.in_year(year), at, zone) - before
        if instant > after:
            return instant
        year += 1
    return NEVER
