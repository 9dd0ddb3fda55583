"""Days as shops write them: `1990-05-17`, `17/05/1990`, of a birthday also without its year."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import NamedTuple

_FORMS = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?:[T ].*)?"),
    re.compile(r"(?:--)?(?P<month>\d{2})-?(?P<day>\d{2})"),  # ISO 8601 and vCard without a year
    re.compile(r"(?P<day>\d{1,2})[/.](?P<month>\d{1,2})[/.](?P<year>\d{4})"),  # as Italy writes
    re.compile(r"(?P<day>\d{1,2})[/.](?P<month>\d{1,2})"),
)
_LEAP_YEAR = 2000
_NO_YEAR = 1604
"""Apple's address book writes a birthday whose year isn't known as one in 1604."""
FIRST_YEAR, LAST_YEAR = 1850, 2099
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
    if day.year is not None and not FIRST_YEAR <= day.year <= LAST_YEAR:
        return False
    try:
        date(_LEAP_YEAR if day.year is None else day.year, day.month, day.day)
    except ValueError:
        return False
    return True
