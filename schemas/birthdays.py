"""Birthdays as shops and devices write them: a day, or the instant at which it begins for whoever
wrote it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from schemas.days import parse_day

_ZERO = re.compile(r"0000-00-00(?:[T ].*)?")
"""How MySQL writes that there is no date."""
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_NUMBER = re.compile(r"-?\d{9,13}")
_YEAR_FIRST = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})")
_DAY_FIRST = re.compile(r"(\d{1,2})-(\d{1,2})-(\d{4})")
_UTC = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*(?:Z|[+-]00:?00)")

_SECONDS_BELOW = 4_000_000_000
"""A number below is seconds since the epoch, up to 2096; above it milliseconds, from February
1970."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HALF_A_DAY = timedelta(hours=12) - timedelta(milliseconds=1)


def read_birthday(text: str) -> str:
    """Return a birthday as ISO 8601 writes it, without a year (`--06-15`) where none is known;
    empty where the text says that there is none. Raises ValueError.

    An instant is the midnight nearest to it: a browser in Rome writes 15 June 1990 as
    `1990-06-14T22:00:00Z`.
    """
    text = text.strip()
    if not text or _ZERO.fullmatch(text):
        return ""
    try:
        day = parse_day(_as_day(text))
    except ValueError:
        day = None
    if day is None:
        raise ValueError("no day that could be a birthday")
    return str(day)


def _as_day(text: str) -> str:
    """Return the day in a form that is read everywhere; what is in none of ours stays."""
    if compact := _COMPACT.fullmatch(text):
        return "-".join(compact.groups())
    if _NUMBER.fullmatch(text):
        number = int(text)
        milliseconds = number * 1000 if abs(number) < _SECONDS_BELOW else number
        return _nearest_midnight(_EPOCH + timedelta(milliseconds=milliseconds))
    if _UTC.fullmatch(text):
        return _nearest_midnight(datetime.fromisoformat(text))
    if year_first := _YEAR_FIRST.fullmatch(text):
        year, month, number_of_day = year_first.groups()
        return f"{year}-{month:0>2}-{number_of_day:0>2}"
    if day_first := _DAY_FIRST.fullmatch(text):
        return "/".join(day_first.groups())
    return text


def _nearest_midnight(moment: datetime) -> str:
    try:
        return (moment + _HALF_A_DAY).date().isoformat()
    except OverflowError:
        return ""
