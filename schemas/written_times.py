"""Points in time as shops' systems write them: without a zone, as seconds, as mails date them."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, NamedTuple

from schemas.events.odd import Problem
from schemas.instant import EARLIEST, LATEST, from_datetime
from schemas.notation import DEFAULT_ZONE
from schemas.zones import read_zone, zone_named

_LONGEST = 100
_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,12})?")
_SLASHED = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?=\D|$)")
_LEAP_SECOND = re.compile(r"(:\d\d):60(?=\D|$)")
_BROWSERS = re.compile(
    r"(?:[A-Z][a-z]{2} )?([A-Z][a-z]{2}) (\d{1,2}) (\d{4}) (\d\d:\d\d:\d\d)"
    r"(?: (?:GMT|UTC)([+-]\d{4}))?(?: \([^)]*\))?"
)
"""`Mon Mar 02 2026 10:00:00 GMT+0100 (CET)`: what a Date is as a text in JavaScript."""
_WITH_ZONE = re.compile(
    r"(.*\d)\s*\[?\s*((?:[A-Za-z]|[+-]\d{1,2}(?::?\d\d)?$)[^\[\]]*)\]?",
)
_PER_MS = ((1, 1_000), (1, 1), (1_000, 1), (1_000_000, 1))
"""Seconds, milliseconds, microseconds and nanoseconds: what a number counts its size tells, as
those of one kind from 2000 to 2099 are none of another."""


class ReadTime(NamedTuple):
    """What was understood."""

    instant: int
    """Ms since the epoch."""
    problem: Problem | None = None
    """`assumed`: it names no zone, and is the shop's. `format`: it is written otherwise."""


def plain_instant(value: Any) -> int | None:
    """Return the instant of a text as we write times, None for any other value."""
    try:
        moment = datetime.fromisoformat(value)
        instant = None if moment.tzinfo is None else from_datetime(moment)
    except (ValueError, TypeError, OverflowError):
        return None
    return instant if instant is not None and EARLIEST <= instant < LATEST else None


def read_time(value: Any, zone: str = DEFAULT_ZONE) -> ReadTime:
    """Read a point in time; `zone` is the shop's. Raises ValueError naming the value."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return _otherwise(value, zone)
        return _read(moment, value, zone)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"not a point in time: {value!r}"[:100])
    return _counted(value)


def _read(moment: datetime, value: object, zone: str, problem: Problem | None = None) -> ReadTime:
    if moment.tzinfo is None:
        moment, problem = moment.replace(tzinfo=_clock(zone)), "assumed"
    try:
        instant = from_datetime(moment)
    except OverflowError:
        instant = 0
    if not EARLIEST <= instant < LATEST:
        raise ValueError(f"time outside 2000–2099: {str(value)[:64]!r}")
    return ReadTime(instant, problem)


@lru_cache(maxsize=8)
def _clock(zone: str) -> tzinfo:
    found = zone_named(zone)
    if found is None:
        raise ValueError(f"no such zone: {zone!r}")
    return found


def _counted(number: float) -> ReadTime:
    for divisor, factor in _PER_MS:
        if number != number or abs(number) > 1e20:  # noqa: PLR0124  # NaN; beyond any
            break
        instant = int(number * factor) // divisor
        if EARLIEST <= instant < LATEST:
            is_ours = divisor == factor == 1 and isinstance(number, int)
            return ReadTime(instant, None if is_ours else "format")
    raise ValueError(f"time outside 2000–2099: {str(number)[:64]!r}")


def _otherwise(text: str, zone: str) -> ReadTime:
    plain = " ".join(text.split()).strip("\"'")
    if not plain or len(plain) > _LONGEST:
        raise ValueError(f"not a time: {text[:64]!r}")
    if _NUMBER.fullmatch(plain):
        number = _counted(float(plain) if "." in plain else int(plain))
        return number._replace(problem="format")
    plain = _SLASHED.sub(lambda m: f"{m[1]}-{int(m[2]):02}-{int(m[3]):02}", plain)
    plain = _LEAP_SECOND.sub(r"\1:59", plain)
    for read in (_iso, _zoned, _browsers, _mails):
        moment = read(plain)
        if moment is not None:
            return _read(moment, text, zone, "format")
    raise ValueError(f"not an RFC 3339 time: {text[:64]!r}")


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _zoned(text: str) -> datetime | None:
    """Read `2026-03-02 10:00:00 UTC`, with any zone behind it."""
    match = _WITH_ZONE.fullmatch(text)
    moment = None if match is None else _iso(match[1].strip())
    name = None if match is None else read_zone(match[2].strip())
    clock = None if name is None else zone_named(name)
    if moment is None or clock is None:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=clock)


def _browsers(text: str) -> datetime | None:
    match = _BROWSERS.fullmatch(text)
    if match is None:
        return None
    month, day, year, clock, offset = match.groups()
    written, form = f"{day} {month} {year} {clock}", "%d %b %Y %H:%M:%S"
    try:
        if offset:
            return datetime.strptime(f"{written} {offset}", f"{form} %z")
        return datetime.strptime(written, form)
    except ValueError:
        return None


def _mails(text: str) -> datetime | None:
    """Read a date as mails and HTTP have it."""
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
