"""Engagement (S03): points for what a customer does, halving with time.

The score at time t is the sum of points · 2^(−(t − tᵢ) / half-life) over all scored events. Kept as
the value at the time of the latest one, it comes out the same in whatever order they arrive, up to
the rounding.
"""

from __future__ import annotations

import math

from agents import tracking
from agents.context import Context, Occurred
from agents.effects import signal
from schemas.customer import Customer, Score
from schemas.definitions.scoring import Scoring
from schemas.events import Event
from schemas.signals import ScoreChanged

FOREVER = 2**53
"""A half-life, ms, in which nothing is lost."""
PRECISION = 9
"""Decimals that are kept. Hides the last bits, in which two machines' 2^x may differ."""


def score(customer: Customer, event: Event, context: Context) -> None:
    """Add the event's points; tell the world when the score crosses into another band."""
    scoring = context.live.scoring
    points = scoring.points.get(event.type) if scoring is not None else None
    if points is None or scoring is None or not tracking.counts(customer, event):
        return
    time = context.when(event.time)
    _change(customer, customer.engagement, points, time, scoring, event.id, context)


def give(customer: Customer, name: str, points: float, cause: str, context: Context) -> None:
    """Add points that a workflow gives. `cause` is an id of what gives them."""
    scoring = context.live.scorings.get(name)
    _change(customer, kept(customer, name), points, context.now, scoring, cause, context, name)


def kept(customer: Customer, name: str) -> Score:
    """Return the customer's score of that name."""
    if name == "engagement":
        return customer.engagement
    return customer.scores.setdefault(name, Score())


def _change(
    customer: Customer,
    changed: Score,
    points: float,
    time: int,
    scoring: Scoring | None,
    cause: str,
    context: Context,
    name: str = "engagement",
) -> None:
    """Add points; announce another band, and let those workflows know that wait for a threshold.

    A score that nobody has defined (any more) keeps what it is worth.
    """
    watched = name in context.live.watched_scores
    half_life = FOREVER if scoring is None else scoring.half_life
    before = decayed(changed, context.now, half_life) if watched else 0.0
    add(changed, points, time, half_life)
    band = "" if scoring is None else _band(scoring, changed.value)
    if band != changed.band:
        _announce(customer, changed, name, band, f"{cause}:score", context)
        changed.band = band
    if watched:
        data = {"before": before, "after": decayed(changed, context.now, half_life)}
        context.caused.append(Occurred(f"score:{name}", context.now, data=data))


def add(engagement: Score, points: float, time: int, half_life: int) -> None:
    """Add `points` earned at `time`, which may lie before the time of the kept value."""
    if time >= engagement.time:
        value = decayed(engagement, time, half_life) + points
        engagement.time = time
    else:
        value = engagement.value + points * math.pow(2.0, (time - engagement.time) / half_life)
    engagement.value = round(value, PRECISION)


def decayed(engagement: Score, time: int, half_life: int) -> float:
    """Return what the score is worth at `time`, not before the time of the kept value."""
    halvings = (time - engagement.time) / half_life
    return engagement.value * math.pow(2.0, -halvings)


def adopt(engagement: Score, other: Score, half_life: int) -> None:
    """Add the score of a visitor who turned out to be this customer."""
    if other.time:
        add(engagement, other.value, other.time, half_life)


def _band(scoring: Scoring, value: float) -> str:
    name = scoring.bands[0].name
    for band in scoring.bands:
        if value < band.at_least:
            break
        name = band.name
    return name


def _announce(
    customer: Customer, changed: Score, name: str, band: str, id_: str, context: Context
) -> None:
    context.effects.append(
        signal(
            ScoreChanged(
                id=id_,
                time=context.now,
                customer=customer.key,
                score=name,
                value=round(changed.value, 3),
                band=band,
                previous_band=changed.band,
            )
        )
    )
