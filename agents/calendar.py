"""Dates and times of the day in the customer's own zone.

A local time names one instant of a day: in the hour that daylight saving skips it is an hour later
by the clock, in the hour that comes twice it is the first of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from agents.windows import zone_of
from schemas.definitions.waits import Weekday
from schemas.instant import EARLIEST, LATEST, from_datetime, to_datetime

DAY = 86_400_000
_WEEKDAYS: Sequence[Weekday] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def instant_of(day: date, clock: str, zone: str) -> int:
    """Return when it is `clock` (`09:00`) on that day."""
    return from_datetime(datetime.combine(day, time.fromisoformat(clock), tzinfo=zone_of(zone)))


def local_day(instant: int, zone: str) -> date:
    """Return which day it is for the customer."""
    return to_datetime(instant).astimezone(zone_of(zone)).date()


def next_time(instant: int, clock: str, zone: str, weekdays: Sequence[Weekday] = ()) -> int:
    """Return the first instant from `instant` on at which it is `clock`, on one of the days."""
    day = local_day(instant, zone)
    while True:
        found = instant_of(day, clock, zone)
        if found >= instant and (not weekdays or _WEEKDAYS[day.weekday()] in weekdays):
            return found
        day += timedelta(days=1)


def next_weekday(instant: int, zone: str, weekdays: Sequence[Weekday]) -> int:
    """Return `instant` if it lies on one of the days, else the same local time on the next one."""
    moment = to_datetime(instant).astimezone(zone_of(zone))
    while _WEEKDAYS[moment.weekday()] not in weekdays:
        moment += timedelta(days=1)
    return from_datetime(moment)


def after_days(instant: int, duration: int, zone: str) -> int:
    """Return the instant `duration` ms later, whole days counted by the calendar.

    The day after Saturday 10:00 is Sunday 10:00, also when that day has 23 hours.
    """
    days, rest = divmod(duration, DAY)
    moment = to_datetime(instant).astimezone(zone_of(zone)) + timedelta(days=days)
    return from_datetime(moment) + rest


def anniversary(day: date, year: int) -> date:
    """Return the day in that year. 29 February is the 28th in years without it."""
    try:
        return day.replace(year=year)
    except ValueError:
        return day.replace(year=year, day=28)


def to_day(value: Any, zone: str) -> date | None:
    """Return the day that a field names: an instant in ms, a date, or either as ISO text.

    None when it names none: what people type into a form isn't always a date, nor one of a life.
    """
    if isinstance(value, str):
        value = _from_text(value)
    if isinstance(value, int) and not isinstance(value, bool) and EARLIEST <= value < LATEST:
        value = to_datetime(value)
    if isinstance(value, datetime):
        value = (value.astimezone(zone_of(zone)) if value.tzinfo else value).date()
    return value if isinstance(value, date) and 1900 <= value.year < 2100 else None


def _from_text(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
