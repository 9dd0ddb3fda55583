"""Spans of time as a shop writes them that keeps its clock's local time without a zone.

On one night in October the clock shows the hour from two to three twice, and on one in March not
at all. What is asked for is a span of real time, and the shop compares texts: so a span that holds
the change of the clock is asked for from the earliest to the latest text that it holds, and an hour
that is shown twice is read in both. Whatever was read before is known by its fact id.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from schemas.instant import EARLIEST, LATEST, from_datetime, to_datetime

NONE = "0000-00-00"
"""With or without `00:00:00` behind it: what PrestaShop writes where there is no time."""

_STEP = timedelta(minutes=15)
"""Clocks change on quarters of an hour."""
_LONGEST = timedelta(days=2)
"""A span that is looked at quarter by quarter."""


def text_of(instant: int, zone: tzinfo) -> str:
    """Return what the shop's clock shows at `instant` (ms)."""
    return _text(to_datetime(instant).astimezone(zone))


def local_span(start: int, end: int, zone: tzinfo) -> tuple[str, str]:
    """Return the first and the last second that the shop's clock shows from `start` to `end`
    (ms), the second one included, rounded outwards."""
    first, last = to_datetime(start - start % 1000), to_datetime(end)
    if last - first > _LONGEST:
        # Only its ends may lie near a change of the clock.
        low, _ = _extremes(first, first + _LONGEST, zone)
        _, high = _extremes(last - _LONGEST, last, zone)
        return low, high
    return _extremes(first, last, zone)


def instant_of(text: str, zone: tzinfo, *, not_before: int = 0, not_after: int = LATEST) -> int:
    """Return when it was (ms), of a text that may be shown twice: the first time that isn't before
    what it followed, unless that was still to come at `not_after`.

    A time that the clock leaps over in March counts as if it had not leapt. Raises ValueError.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"not a local time: {text[:40]!r}") from None
    if moment.tzinfo is not None:
        instants = [from_datetime(moment)]
    else:
        folds = (0, 1) if _is_shown(moment, zone) else (0,)
        both = {from_datetime(moment.replace(tzinfo=zone, fold=fold)) for fold in folds}
        instants = sorted(both)
    fitting = [each for each in instants if not_before <= each <= not_after]
    found = fitting[0] if fitting else instants[0] if not_before <= instants[0] else instants[-1]
    if not EARLIEST <= found < LATEST:
        raise ValueError(f"time outside 2000–2099: {text[:40]!r}")
    return found


def _extremes(first: datetime, last: datetime, zone: tzinfo) -> tuple[str, str]:
    shown = [_text(first.astimezone(zone)), _text(last.astimezone(zone))]
    moment = first
    while moment < last:
        following = min(moment + _STEP - (moment - moment.min.replace(tzinfo=UTC)) % _STEP, last)
        before, after = moment.astimezone(zone), following.astimezone(zone)
        if before.utcoffset() != after.utcoffset():
            # The change is at `following`: until a second before, the clock goes on as before.
            shown += [_text(after), _text((following - timedelta(seconds=1)).astimezone(zone))]
        moment = following
    return min(shown), max(shown)


def _is_shown(moment: datetime, zone: tzinfo) -> bool:
    """Whether the clock shows it at all."""
    there = moment.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return there.replace(tzinfo=None, fold=0) == moment.replace(fold=0)


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=None, microsecond=0, fold=0).isoformat(" ")
