"""Local time: everything that depends on the clock on the wall, the customer's or the shop's.

    the clock     `zone_of`, `local`, `local_date`, `local_day`, `day_number`
    days          `instant_of`, `day_begins`, `day_named`
    next instant  `next_time`, `next_weekday`, `after_days`, `next_yearly`, `next_day`
    quiet hours   `is_quiet`, `quiet_ends`, `quiet_until`, `next_opening`

Instants are ms since the epoch. A local time names one instant of a day: in the hour that daylight
saving skips it is an hour later by the clock, in the hour that comes twice it is the first of both.

Quiet hours are decided by what the clock shows, also while it is put forward or back: hours that
are skipped never come, hours that come twice count twice. So each search walks: on to where the
clock would show the wanted time if nobody touched it, or to where somebody does, and looks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from schemas.commands import QuietHours
from schemas.days import LAST_YEAR, Day, parse_day
from schemas.definitions.waits import Weekday, Window
from schemas.instant import MILLISECOND, from_datetime, to_datetime
from schemas.notation import DEFAULT_ZONE
from schemas.stored import NEVER
from schemas.time_units import DAY_MS
from schemas.zones import zone_named

_OURS = ZoneInfo(DEFAULT_ZONE)
_WEEKDAYS: Sequence[Weekday] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """Return the zone of that name; ours when there is none."""
    return zone_named(name) or _OURS


def local(instant: int, zone: str) -> datetime:
    """Return what the customer's clock shows."""
    return to_datetime(instant).astimezone(zone_of(zone))


def local_date(instant: int, zone: str) -> date:
    """Return which date the clock shows."""
    return local(instant, zone).date()


def local_day(instant: int, zone: str) -> Day:
    """Return the same as a `Day`, to be compared with those that shops write."""
    today = local(instant, zone)
    return Day(today.year, today.month, today.day)


def day_number(instant: int, zone: str) -> int:
    """Return the number of the local day, which grows by one each midnight."""
    return local(instant, zone).toordinal()


def instant_of(day: date, at: str, zone: str) -> int:
    """Return the instant (ms) at which the customer's clock shows `at` (`09:00`) on that day.

    A time that daylight saving skips comes an hour later by the clock; one that comes twice counts
    the first time.
    """
    return from_datetime(datetime.combine(day, time.fromisoformat(at), tzinfo=zone_of(zone)))


def day_begins(day: Day, zone: str) -> int | None:
    """Return the first instant (ms) of a day; None when its year isn't known."""
    if day.year is None:
        return None
    return instant_of(date(day.year, day.month, day.day), "00:00", zone)


def day_named(value: Any, zone: str) -> Day | None:
    """Return the day that a field names, which is a day, an instant in ms, or a text.

    None when it names none: what people type into a form isn't always a date.
    """
    if isinstance(value, str):
        return parse_day(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return local_day(value, zone) if value > 0 else None
    return value if isinstance(value, Day) else None


def next_time(instant: int, clock: str, zone: str, weekdays: Sequence[Weekday] = ()) -> int:
    """Return the first instant from `instant` on at which it is `clock`, on one of the days."""
    day = local_date(instant, zone)
    while True:
        found = instant_of(day, clock, zone)
        if found >= instant and (not weekdays or _WEEKDAYS[day.weekday()] in weekdays):
            return found
        day += timedelta(days=1)


def next_weekday(instant: int, zone: str, weekdays: Sequence[Weekday]) -> int:
    """Return `instant` if it lies on one of the days, else the same local time on the next one."""
    moment = local(instant, zone)
    while _WEEKDAYS[moment.weekday()] not in weekdays:
        moment += timedelta(days=1)
    return from_datetime(moment)


def after_days(instant: int, duration: int, zone: str) -> int:
    """Return the instant `duration` ms later, whole days counted by the calendar.

    The day after Saturday 10:00 is Sunday 10:00, also when that day has 23 hours.
    """
    days, rest = divmod(duration, DAY_MS)
    moment = local(instant, zone) + timedelta(days=days)
    return from_datetime(moment) + rest


def next_yearly(day: Day, at: str, zone: str, *, before: int = 0, after: int) -> int:
    """Return the next instant (ms) later than `after` that lies `before` (ms) the day's local time,
    this year or another; never before the day's own year. NEVER when there is none any more."""
    year = max(local_day(after, zone).year or 0, day.year or 0)
    while year <= LAST_YEAR:
        instant = instant_of(day.in_year(year), at, zone) - before
        if instant > after:
            return instant
        year += 1
    return NEVER


def next_opening(instant: int, window: Window, zone: str) -> int:
    """Return `instant` (ms) when it lies in the window, else when the window opens next."""
    return quiet_ends(instant, window.closes, window.opens, zone)


def is_quiet(instant: int, begins: str, ends: str, zone: str) -> bool:
    """Return whether it is `begins` or later and not yet `ends`; over midnight when that is the
    earlier, never when both are alike."""
    now, first, last = local(instant, zone).time(), _time(begins), _time(ends)
    return first <= now < last if first <= last else now >= first or now < last


def quiet_ends(instant: int, begins: str, ends: str, zone: str) -> int:
    """Return `instant` (ms) when it isn't quiet then, else the first instant at which it isn't."""
    wanted = _of_day(_time(ends))
    while is_quiet(instant, begins, ends, zone):
        instant = _walk(instant, (wanted - _shown(instant, zone)) % DAY_MS, zone)
    return instant


def quiet_until(instant: int, quiet: QuietHours, zone: str) -> int:
    """Return `instant` (ms) when it isn't quiet then, else when the quiet hours end."""
    return quiet_ends(instant, quiet.begins, quiet.ends, zone)


def next_day(instant: int, zone: str) -> int:
    """Return the first instant (ms) of a later day."""
    today = day_number(instant, zone)
    while day_number(instant, zone) <= today:
        instant = _walk(instant, DAY_MS - _shown(instant, zone), zone)
    return instant


def _walk(instant: int, distance: int, zone: str) -> int:
    """Go `distance` (ms) on, but only to where the clocks change if they do on the way."""
    offset = local(instant, zone).utcoffset()
    before, after = instant, instant + distance
    if local(after, zone).utcoffset() == offset:
        return after
    while after - before > 1:
        middle = (before + after) // 2
        if local(middle, zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def _shown(instant: int, zone: str) -> int:
    """Return what the clock shows, in ms since midnight."""
    return _of_day(local(instant, zone).time())


@lru_cache(maxsize=256)
def _time(text: str) -> time:
    return time.fromisoformat(text)


def _of_day(now: time) -> int:
    return (datetime.combine(date.min, now) - datetime.min) // MILLISECOND
