"""A customer earns points, other bands are announced, and workflows told that wait for a threshold.

What counts is in `agents/rules/scores.py`, what it is worth in `agents/rules/decay.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from agents.context import Context, DomainEvent
from agents.effects import signal
from agents.rules import decay
from agents.rules.event_properties import Properties
from agents.rules.scores import Scale, Scored, scale
from schemas.customer import Customer
from schemas.customer.person import RULES_KEPT, SCORES_KEPT, Score
from schemas.events import Event
from schemas.made import made
from schemas.signals import ScoreChanged


def score(
    customer: Customer, event: Event, counted: Iterable[Scored], time: int, context: Context
) -> None:
    """Add the points of an event that happened at `time` (ms) to every score that counts it."""
    for measure, points, rules in counted:
        lasting: Sequence[str] = ()
        if rules:
            sources = context.live.definitions.deduplication_rules.sources
            shop = sources.shop(event.source) if sources.shops else ""
            evaluation = context.evaluation(customer, event=Properties(event.data), shop=shop)
            for rule, check in rules:
                if check is None or check.matches(evaluation):
                    if rule.within is None:
                        points += rule.add  # noqa: PLW2901  # the sum is what this event is worth
                    else:
                        lasting = (*lasting, rule.id)
        if points or lasting:
            name = measure.scoring.id
            _change(customer, name, measure, points, lasting, time, event.id, context)


def give(customer: Customer, name: str, points: float, cause: str, context: Context) -> None:
    """Add points that a workflow gives. `cause` is an id of what gives them."""
    scoring = context.live.scorings.get(name)
    measure = None if scoring is None else scale(scoring)
    _change(customer, name, measure, points, (), context.now, cause, context)


def adopt(customer: Customer, visitor: Customer, context: Context) -> None:
    """Add the scores of a visitor who turned out to be this customer, and tell what that changes
    as if the customer had earned them now."""
    for name, earned in ((decay.ENGAGEMENT, visitor.engagement), *visitor.scores.items()):
        scoring = context.live.scorings.get(name)
        own = None
        if scoring is not None or name != decay.ENGAGEMENT:
            own = _own(customer, name, context)
        if own is None:
            continue
        if scoring is None:
            decay.adopt(own, earned, None)
            _fit(own)
            continue
        before = decay.value(own, scoring, context.now)
        decay.adopt(own, earned, scoring.half_life)
        _fit(own)
        _update_band(customer, own, scale(scoring), own.time, context.cause, context)
        announce_thresholds(
            name, before, decay.value(own, scoring, context.now), context.now, context
        )


def _own(customer: Customer, name: str, context: Context) -> Score | None:
    """Return a score of the customer's to be changed; None when there are too many others.

    One that nobody has defined (any more) gives way to one that is.
    """
    if name == decay.ENGAGEMENT:
        return customer.engagement
    kept = customer.scores.get(name)
    if kept is not None:
        return kept
    if len(customer.scores) >= SCORES_KEPT:
        gone = [each for each in customer.scores if each not in context.live.scorings]
        if not gone or name not in context.live.scorings:
            return None
        del customer.scores[min(gone, key=lambda each: (customer.scores[each].time, each))]
    customer.scores[name] = Score()
    return customer.scores[name]


def _fit(score: Score) -> None:
    """Forget when those rules held that held longest ago, as far as there are too many."""
    while len(score.last) > RULES_KEPT:
        del score.last[min(score.last, key=lambda rule: (score.last[rule], rule))]


def _change(
    customer: Customer,
    name: str,
    measure: Scale | None,
    points: float,
    lasting: Iterable[str],
    time: int,
    cause: str,
    context: Context,
) -> None:
    """Add points, and those of rules whose points end after a time.

    A score that nobody has defined (any more) keeps what it is worth.
    """
    changed = _own(customer, name, context)
    if changed is None:
        return
    thresholds, before = context.live.thresholds.get(name), 0.0
    if thresholds and measure is not None:
        before = decay.value(changed, measure.scoring, context.now)
    if points:
        decay.add(changed, points, time, None if measure is None else measure.half_life)
    for rule in lasting:
        changed.last[rule] = max(changed.last.get(rule, 0), time)
    if len(changed.last) > RULES_KEPT:
        _fit(changed)
    if measure is None:
        return
    _update_band(customer, changed, measure, time, cause, context)
    if thresholds:
        after = decay.value(changed, measure.scoring, context.now)
        announce_thresholds(name, before, after, context.now, context)


def announce_thresholds(
    name: str, before: float, after: float, time: int, context: Context
) -> None:
    """Let workflows know that wait for a threshold which lies between two values."""
    low, high = (before, after) if before < after else (after, before)
    thresholds = context.live.thresholds.get(name, ())
    if bisect_right(thresholds, low) == bisect_right(thresholds, high):
        return
    data = {"score": name, "before": before, "after": after, "value": after}
    context.caused.append(DomainEvent(f"score:{name}", time, data=data))


def _update_band(
    customer: Customer, changed: Score, measure: Scale, time: int, cause: str, context: Context
) -> None:
    """Say in which band a score is by what it has come to at `time`, if that is another one."""
    latest = changed.value
    if changed.last or time > changed.time:
        latest = decay.value(changed, measure.scoring, max(changed.time, time))
    band = measure.band(latest)
    if band != changed.band:
        _announce(customer, changed, measure.scoring.id, band, cause, context)
        changed.band = band


def _announce(
    customer: Customer, changed: Score, name: str, band: str, cause: str, context: Context
) -> None:
    id_ = f"{cause}:score" if name == decay.ENGAGEMENT else f"{cause}:score:{name}"
    context.effects.append(
        signal(
            made(
                ScoreChanged,
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
