"""Decay of scores: points that halve with time, and points that end after a time.

The value at time t is the sum of points · 2^(−(t − tᵢ) / half-life) over all scored events. Kept as
the value at the time of the latest one, it comes out the same in whatever order they arrive, up to
the rounding. Rules with `within` add their points besides, whole, until their time is over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial

from agents.rules.threshold import early, exact
from schemas.customer import Customer
from schemas.customer.person import Score
from schemas.definitions.scoring import Scoring
from schemas.stored import NEVER

ENGAGEMENT = "engagement"
PRECISION = 9
"""Decimals that are kept. Hides the last bits, in which two machines' 2^x may differ."""


def kept(customer: Customer, name: str) -> Score:
    """Return a score of the customer's to read from; 0 when nothing was scored yet."""
    return customer.engagement if name == ENGAGEMENT else customer.scores.get(name, _NONE)


def value(score: Score, scoring: Scoring, now: int) -> float:
    """Return what a score is worth at `now` (ms)."""
    left, half_life = score.value, scoring.half_life
    if left and now > score.time and half_life is not None:  # as `faded`, without another call
        left *= math.pow(2.0, (score.time - now) / half_life)
    return left + _of_rules(score, scoring, now) if score.last else left


def add(score: Score, points: float, time: int, half_life: int | None) -> None:
    """Add `points` earned at `time`, which may lie before the time of the kept value."""
    if time >= score.time:
        total = score.value
        if total and half_life is not None and time > score.time:
            total *= math.pow(2.0, (score.time - time) / half_life)
        total += points
        score.time = time
    elif half_life is None:
        total = score.value + points
    else:
        total = score.value + points * math.pow(2.0, (time - score.time) / half_life)
    score.value = round(total, PRECISION)


def faded(score: Score, time: int, half_life: int | None) -> float:
    """Return what is left at `time` of the points that fade."""
    if half_life is None or time <= score.time:
        return score.value
    return score.value * math.pow(2.0, (score.time - time) / half_life)


def passes(score: Score, scoring: Scoring, now: int, thresholds: Iterable[float]) -> int:
    """Return the first instant (ms) after `now` at which the worth may be on another side of one of
    the thresholds without anything happening; NEVER when it stays where it is."""
    earliest = _rules_end(score, scoring, now) if score.last else NEVER
    half_life = scoring.half_life
    if half_life is None or not score.value:
        return earliest
    whole, left = _of_rules(score, scoring, now), faded(score, now, half_life)
    for threshold in thresholds:  # no closures: this runs at each event
        share = (threshold - whole) / left
        if 0 < share <= 1:
            near = now - half_life * math.log2(share)
            passed = early(near, now)
            if passed is None:
                then = partial(_then, score, half_life, whole)
                passed = exact(then, now, threshold, near)
            earliest = min(earliest, passed)
    return earliest


def _then(score: Score, half_life: int, whole: float, time: int) -> float:
    return faded(score, time, half_life) + whole


def adopt(score: Score, other: Score, half_life: int | None) -> None:
    """Add the score of a visitor who turned out to be this customer."""
    if other.time:
        add(score, other.value, other.time, half_life)
    for rule, last in other.last.items():
        score.last[rule] = max(score.last.get(rule, 0), last)


def _rules_end(score: Score, scoring: Scoring, now: int) -> int:
    ends = (
        score.last[rule.id] + rule.within
        for rule in scoring.rules
        if rule.within is not None and rule.id in score.last
    )
    return min((end for end in ends if end > now), default=NEVER)


def _of_rules(score: Score, scoring: Scoring, now: int) -> float:
    if not score.last:
        return 0.0
    return sum(
        rule.add
        for rule in scoring.rules
        if rule.within is not None and now - score.last.get(rule.id, -NEVER) < rule.within
    )


_NONE = Score()
