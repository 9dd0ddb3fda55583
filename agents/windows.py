"""Days and hours of the day in a customer's or the shop's own zone: when a mail may go."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.commands import QuietHours
from schemas.definitions.waits import Window
from schemas.instant import from_datetime, to_datetime

DEFAULT_ZONE = "Europe/Rome"


def next_opening(instant: int, window: Window, zone: str) -> int:
    """Return `instant` when it lies in the window, else when the window opens next.

    A window that begins in the hour that daylight saving skips opens an hour later by the clock.
    """
    opens, closes = time.fromisoformat(window.opens), time.fromisoformat(window.closes)
    local = to_datetime(instant).astimezone(zone_of(zone)).time()
    return instant if opens <= local < closes else _next(instant, opens, zone)


def quiet_until(instant: int, quiet: QuietHours, zone: str) -> int:
    """Return `instant` when it is not quiet then, else when the quiet hours end.

    They may go over midnight; an end that daylight saving skips comes an hour later by the clock.
    """
    begins, ends = time.fromisoformat(quiet.begins), time.fromisoformat(quiet.ends)
    local = to_datetime(instant).astimezone(zone_of(zone)).time()
    inside = begins <= local < ends if begins <= ends else local >= begins or local < ends
    return _next(instant, ends, zone) if inside else instant


def day_of(instant: int, zone: str) -> int:
    """Return the number of the local day, which grows by one each midnight."""
    return to_datetime(instant).astimezone(zone_of(zone)).toordinal()


def next_day(instant: int, zone: str) -> int:
    """Return when the next local day begins."""
    return _next(instant, time(0), zone)


def _next(instant: int, clock: time, zone: str) -> int:
    """Return when the local clock shows `clock` for the next time after `instant`."""
    local = to_datetime(instant).astimezone(zone_of(zone))
    day = local.date() if local.time() < clock else local.date() + timedelta(days=1)
    shown = from_datetime(datetime.combine(day, clock, tzinfo=zone_of(zone)))
    if shown < instant:  # in the hour that comes twice, past it the first time
        shown = from_datetime(datetime.combine(day, clock.replace(fold=1), tzinfo=zone_of(zone)))
    return shown


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of that name; ours when there is none."""
    try:
        return ZoneInfo(name or DEFAULT_ZONE)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(DEFAULT_ZONE)
