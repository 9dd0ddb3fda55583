"""How sure one can be of rates that were counted. No sampling: the same counts, the same answer.

Wilson's interval and Newcombe's for a difference, since they hold also for few conversions; for
"which is the best" the posteriors of the rates (uniform before anything was counted), integrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import exp, lgamma, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

LEVEL = 0.95
"""Of all intervals."""

POWER = 0.8
"""With how many customers a difference shows with this probability: the usual choice."""

_POINTS = 600
"""Per variant, over nine standard deviations each way: an error below 10⁻⁵, says the test."""


class Interval(NamedTuple):
    """From and to, with the probability LEVEL."""

    low: float
    high: float


ANY_RATE = Interval(0.0, 1.0)
ANY_DIFFERENCE = Interval(-1.0, 1.0)
"""When nothing was counted, everything is possible."""


def wilson(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval of a rate; everything is possible when nothing was tried."""
    if not trials:
        return ANY_RATE
    z = NormalDist().inv_cdf((1 + level) / 2)
    rate, spread = successes / trials, z * z / trials
    middle = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(rate * (1 - rate) / trials + spread / (4 * trials))
    low = 0.0 if successes == 0 else middle - half
    return Interval(low, 1.0 if successes == trials else middle + half)


def difference(one: tuple[int, int], other: tuple[int, int]) -> Interval:
    """Return Newcombe's interval of the rate of `one` less that of the `other`.

    Each is (successes, trials).
    """
    if not one[1] or not other[1]:
        return ANY_DIFFERENCE
    mine, theirs = one[0] / one[1], other[0] / other[1]
    my, their = wilson(*one), wilson(*other)
    gap = mine - theirs
    return Interval(
        gap - sqrt((mine - my.low) ** 2 + (their.high - theirs) ** 2),
        gap + sqrt((my.high - mine) ** 2 + (theirs - their.low) ** 2),
    )


def best(counts: Sequence[tuple[int, int]]) -> list[float]:
    """Return for each (successes, trials) the probability that its true rate is the highest.

    The integral of one rate's density times the chance that all others lie below it.
    """
    posteriors = [(successes + 1, trials - successes + 1) for successes, trials in counts]
    grid = sorted({x for posterior in posteriors for x in _around(*posterior)})
    densities = [[_density(x, *posterior) for x in grid] for posterior in posteriors]
    below = [_running(grid, density) for density in densities]
    won = []
    for index, density in enumerate(densities):
        others = [each for number, each in enumerate(below) if number != index]
        heights = list(density)
        for other in others:
            heights = [height * chance for height, chance in zip(heights, other, strict=True)]
        won.append(_running(grid, heights, scaled=False)[-1])
    total = sum(won)
    return [each / total for each in won]


def needed(one: tuple[int, int], other: tuple[int, int]) -> int | None:
    """Return how many customers each variant needs for such a difference to show.

    None when there is no difference.
    """
    if not one[1] or not other[1] or one[0] * other[1] == other[0] * one[1]:
        return None
    mine, theirs = one[0] / one[1], other[0] / other[1]
    normal = NormalDist()
    z = normal.inv_cdf((1 + LEVEL) / 2) + normal.inv_cdf(POWER)
    variance = mine * (1 - mine) + theirs * (1 - theirs)
    return int(z * z * variance / (mine - theirs) ** 2) + 1


def _around(a: int, b: int) -> list[float]:
    """Return points where the density of Beta(a, b) is worth looking at."""
    mean = a / (a + b)
    width = 9 * sqrt(mean * (1 - mean) / (a + b + 1))
    low, high = max(0.0, mean - width), min(1.0, mean + width)
    return [low + (high - low) * number / _POINTS for number in range(_POINTS + 1)]


def _density(x: float, a: int, b: int) -> float:
    if not 0 < x < 1:
        rest = b if x <= 0 else a  # at an edge only what has no other power is not 0
        power = a if x <= 0 else b
        return float(rest) if power == 1 else 0.0
    exponent = (a - 1) * log(x) + (b - 1) * log(1 - x) + lgamma(a + b) - lgamma(a) - lgamma(b)
    return exp(exponent) if exponent > -700 else 0.0


def _running(
    grid: Sequence[float], heights: Sequence[float], *, scaled: bool = True
) -> list[float]:
    """Return the area up to each point, by trapezoids; scaled so that all of it is 1."""
    parts = (
        (right - left) * (one + other) / 2
        for (left, right), (one, other) in zip(pairwise(grid), pairwise(heights), strict=True)
    )
    areas = list(accumulate(parts, initial=0.0))
    return [area / areas[-1] for area in areas] if scaled and areas[-1] else areas
