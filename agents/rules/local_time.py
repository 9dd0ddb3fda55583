"""Hours at which a mail may go, and days, by the clock on the wall: the customer's or the shop's.

Everything is decided by what that clock shows, also while it is put forward or back: hours that are
skipped never come, hours that come twice count twice. So each search walks: on to where the clock
would show the wanted time if nobody touched it, or to where somebody does, and looks again.
"""

from __future__ import annotations

from datetime import date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.commands import QuietHours
from schemas.definitions.waits import Window
from schemas.instant import MILLISECOND, to_datetime

DEFAULT_ZONE = "Europe/Rome"
"""Of a customer whose zone is not known, or is none."""

_DAY = 86_400_000


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
        instant = _walk(instant, (wanted - _shown(instant, zone)) % _DAY, zone)
    return instant


def quiet_until(instant: int, quiet: QuietHours, zone: str) -> int:
    """Return `instant` (ms) when it isn't quiet then, else when the quiet hours end."""
    return quiet_ends(instant, quiet.begins, quiet.ends, zone)


def day_of(instant: int, zone: str) -> int:
    """Return the number of the local day, which grows by one each midnight."""
    return local(instant, zone).toordinal()


def next_day(instant: int, zone: str) -> int:
    """Return the first instant (ms) of a later day."""
    today = day_of(instant, zone)
    while day_of(instant, zone) <= today:
        instant = _walk(instant, _DAY - _shown(instant, zone), zone)
    return instant


def local(instant: int, zone: str) -> datetime:
    """Return what the customer's clock shows."""
    return to_datetime(instant).astimezone(zone_of(zone))


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of that name; ours when there is none."""
    try:
        return ZoneInfo(name or DEFAULT_ZONE)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(DEFAULT_ZONE)


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
