"""Dates and times of the day in the customer's own zone.

A local time names one instant of a day: in the hour that daylight saving skips it is an hour later
by the clock, in the hour that comes twice it is the first of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from agents.rules.days import Day, day_at, instant_of, parse_day
from agents.rules.local_time import zone_of
from schemas.definitions.waits import Weekday
from schemas.instant import from_datetime, to_datetime

DAY = 86_400_000
_WEEKDAYS: Sequence[Weekday] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


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


def to_day(value: Any, zone: str) -> Day | None:
    """Return the day that a field names, which is a day, an instant in ms, or a text.

    None when it names none: what people type into a form isn't always a date.
    """
    if isinstance(value, str):
        return parse_day(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return day_at(value, zone) if value > 0 else None
    return value if isinstance(value, Day) else None
