"""Hours of the day at which a mail may go, in the customer's own zone."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.definitions.waits import Window
from schemas.instant import from_datetime, to_datetime

DEFAULT_ZONE = "Europe/Rome"


def next_opening(instant: int, window: Window, zone: str) -> int:
    """Return `instant` when it lies in the window, else when the window opens next.

    A window that begins in the hour that daylight saving skips opens an hour later by the clock.
    """
    local = to_datetime(instant).astimezone(zone_of(zone))
    opens, closes = time.fromisoformat(window.opens), time.fromisoformat(window.closes)
    if opens <= local.time() < closes:
        return instant
    day = local.date() if local.time() < opens else local.date() + timedelta(days=1)
    opening = from_datetime(datetime.combine(day, opens, tzinfo=zone_of(zone)))
    if opening < instant:  # in the hour that comes twice, past it the first time
        opening = from_datetime(datetime.combine(day, opens.replace(fold=1), tzinfo=zone_of(zone)))
    return opening


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of that name; ours when there is none."""
    try:
        return ZoneInfo(name or DEFAULT_ZONE)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(DEFAULT_ZONE)
