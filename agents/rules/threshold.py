"""Finds the instant, to the millisecond, at which a value that changes with time passes a
threshold."""

from __future__ import annotations

from collections.abc import Callable

from schemas.stored import NEVER
from schemas.time_units import DAY_MS, HOUR_MS

_REACH = 1 << 20
"""How far (ms) an estimate may be off: a quarter of an hour, where rounding makes it a few ms."""
_EARLY = HOUR_MS
"""ms. An estimate errs by far less, and an hour of every crossing's way is no burden."""
_HORIZON = 100 * 366 * DAY_MS


def early(near: float, now: int) -> int | None:
    """Return when (ms) to look again for a threshold that is passed about at `near`; None when that
    is so soon that it has to be known exactly.

    A little too early: to look once more then costs less than to know exactly at each event, most
    of which move it further away.
    """
    if near > now + _HORIZON:
        return NEVER
    return int(near) - _EARLY if near > now + 2 * _EARLY else None


def exact(value: Callable[[int], float], now: int, threshold: float, near: float) -> int:
    """Return the first instant (ms) after `now` at which `value`, which goes one way only, is on
    another side of the threshold; NEVER when that isn't about at `near`."""
    return _first(_leaves_its_side(value, now, threshold), now, int(near))


def _leaves_its_side(
    value: Callable[[int], float], now: int, threshold: float
) -> Callable[[int], bool]:
    def side(time: int) -> int:
        current = value(time)
        return (current > threshold) - (current < threshold)

    here = side(now)
    return lambda time: side(time) != here


def _first(is_passed: Callable[[int], bool], now: int, near: int) -> int:
    """Return the first instant after `now` at which `is_passed`, which then goes on to, near
    `near`."""
    step, high = 1, max(near, now + 1)
    while not is_passed(high):
        if step > _REACH:
            return NEVER
        high += step
        step *= 2
    step, low = 1, high - 1
    while low > now and is_passed(low):
        low -= step
        step *= 2
    low = max(low, now)
    while high - low > 1:
        middle = (low + high) // 2
        if is_passed(middle):
            high = middle
        else:
            low = middle
    return high
