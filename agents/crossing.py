"""When a number that flows with time passes a threshold, to the millisecond."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from schemas.stored import NEVER

_REACH = 1 << 20
"""How far (ms) an estimate may be off: a quarter of an hour, where rounding makes it a few ms."""
_HORIZON = 100 * 366 * 86_400_000


def crossing(
    value: Callable[[int], float], now: int, thresholds: Iterable[float],
    estimate: Callable[[float], float],
) -> int:  # fmt: skip
    """Return the first instant (ms) after `now` at which `value` is on another side of one of the
    thresholds; NEVER when it stays where it is.

    `value` goes one way only. `estimate` says about when it is at a threshold, infinity if never.
    """
    ends = [
        _first(_leaves_its_side(value, now, threshold), now, int(near))
        for threshold in thresholds
        if math.isfinite(near := estimate(threshold)) and near < now + _HORIZON
    ]
    return min(ends, default=NEVER)


def _leaves_its_side(
    value: Callable[[int], float], now: int, threshold: float
) -> Callable[[int], bool]:
    def side(time: int) -> int:
        current = value(time)
        return (current > threshold) - (current < threshold)

    here = side(now)
    return lambda time: side(time) != here


def _first(holds: Callable[[int], bool], now: int, near: int) -> int:
    """Return the first instant after `now` at which `holds`, which then goes on to, near `near`."""
    step, high = 1, max(near, now + 1)
    while not holds(high):
        if step > _REACH:
            return NEVER
        high += step
        step *= 2
    step, low = 1, high - 1
    while low > now and holds(low):
        low -= step
        step *= 2
    low = max(low, now)
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
