"""Scoring (S03, S04): points for what a customer does, by event type and by rules.

What a score is worth at a time: `agents/worth.py`. One that crosses into another band is announced;
workflows that wait for a threshold hear of every change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents import tracking, worth
from agents.conditions import Subject
from agents.context import Context, Occurred
from agents.effects import signal
from schemas.customer import Customer, Score
from schemas.definitions.scoring import Scoring
from schemas.events import Event
from schemas.signals import ScoreChanged


def score(
    customer: Customer, event: Event, properties: Mapping[str, Any], context: Context
) -> None:
    """Add what the event is worth to every score; `properties` are the event's, as plain values."""
    scorings = context.live.scored_by.get(event.type, ())
    if not scorings or not tracking.counts(customer, event):
        return
    time = context.when(event.time)
    for scoring in scorings:
        points = scoring.points.get(event.type, 0.0)
        held: list[str] = []
        for rule in scoring.rules:
            if rule.on != event.type:
                continue
            check = context.live.score_checks.get((scoring.id, rule.id))
            if check is not None and not check(
                Subject(customer, context.now, None, properties, context.live)
            ):
                continue
            if rule.within is None:
                points += rule.add
            else:
                held.append(rule.id)
        if points or held:
            _change(customer, scoring.id, points, held, time, f"{event.id}:score", context)


def give(customer: Customer, name: str, points: float, cause: str, context: Context) -> None:
    """Add points that a workflow gives. `cause` is an id of what gives them."""
    _change(customer, name, points, (), context.now, f"{cause}:score", context)


def adopt(customer: Customer, visitor: Customer, context: Context) -> None:
    """Add the scores of a visitor who turned out to be this customer."""
    for name in (worth.ENGAGEMENT, *visitor.scores):
        scoring = context.live.scorings.get(name)
        half_life = None if scoring is None else scoring.half_life
        worth.adopt(_own(customer, name), worth.kept(visitor, name), half_life)


def _own(customer: Customer, name: str) -> Score:
    if name == worth.ENGAGEMENT:
        return customer.engagement
    return customer.scores.setdefault(name, Score())


def _change(
    customer: Customer,
    name: str,
    points: float,
    held: list[str] | tuple[()],
    time: int,
    id_: str,
    context: Context,
) -> None:
    """Add points and note the rules that hold. A score that nobody has defined (any more) keeps
    what it is worth."""
    changed, scoring = _own(customer, name), context.live.scorings.get(name)
    watched = name in context.live.watched_scores
    before = _worth(changed, scoring, context.now) if watched else 0.0
    if points:
        worth.add(changed, points, time, None if scoring is None else scoring.half_life)
    for rule in held:
        changed.last[rule] = max(changed.last.get(rule, 0), time)
    band = "" if scoring is None else scoring.band(_worth(changed, scoring, changed.time))
    if band != changed.band:
        after = _worth(changed, scoring, context.now)
        _announce(customer, name, band, after, id_, context)
        changed.band = band
    if watched:
        data = {"before": before, "after": _worth(changed, scoring, context.now)}
        context.caused.append(Occurred(f"score:{name}", context.now, data=data, id=id_))


def _worth(changed: Score, scoring: Scoring | None, now: int) -> float:
    return changed.value if scoring is None else worth.value(changed, scoring, now)


def _announce(
    customer: Customer, name: str, band: str, value: float, id_: str, context: Context
) -> None:
    context.effects.append(
        signal(
            ScoreChanged(
                id=id_,
                time=context.now,
                customer=customer.key,
                score=name,
                value=round(value, 3),
                band=band,
                previous_band=_own(customer, name).band,
            )
        )
    )
