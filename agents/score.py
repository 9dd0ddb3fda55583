"""Engagement (S03): points for what a customer does, halving with time.

The score at time t is the sum of points · 2^(−(t − tᵢ) / half-life) over all scored events. Kept as
the value at the time of the latest one, it comes out the same in whatever order they arrive, up to
the rounding.
"""

from __future__ import annotations

import math

from agents.context import Context
from agents.effects import signal
from schemas.customer import Customer, Score
from schemas.events import Event
from schemas.signals import ScoreChanged
from schemas.definitions.scoring import Scoring

PRECISION = 9
"""Decimals that are kept. Hides the last bits, in which two machines' 2^x may differ."""


def score(customer: Customer, event: Event, context: Context) -> None:
    """Add the event's points; tell the world when the score crosses into another band."""
    scoring = context.live.scoring
    points = scoring.points.get(event.type) if scoring is not None else None
    if points is None or scoring is None:
        return
    engagement = customer.engagement
    add(engagement, points, context.when(event.time), scoring.half_life)
    band = _band(scoring, engagement.value)
    if band != engagement.band:
        _announce(customer, event, band, context)
        engagement.band = band


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


def _announce(customer: Customer, event: Event, band: str, context: Context) -> None:
    context.effects.append(
        signal(
            ScoreChanged(
                id=f"{event.id}:score",
                time=context.now,
                customer=customer.key,
                value=round(customer.engagement.value, 3),
                band=band,
                previous_band=customer.engagement.band,
            )
        )
    )
