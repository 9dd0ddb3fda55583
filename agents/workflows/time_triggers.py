"""Time triggers: workflows that begin when time alone has come to something.

A date that comes round each year, a silence that has lasted, a score that has faded below a
threshold. Each is a timer of the customer's, counted anew whenever what it depends on has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agents.context import Context, DomainEvent
from agents.customer import scores
from agents.definitions.time_triggers import (
    SCORE_KEY,
    DateTrigger,
    InactivityTrigger,
    ScoreDecayTrigger,
    TimeTrigger,
)
from agents.rules import decay
from agents.rules.days import Day
from agents.rules.local_time import local_day, next_yearly
from schemas.customer import Customer
from schemas.customer.runs import DATED_KEPT, TIME_TRIGGERS_KEPT
from schemas.stored import NEVER
from schemas.time_units import DAY_MS

FIRED = NEVER
"""Kept instead of a due time: this silence has been noticed."""
OTHER_TIMERS = 8
"""Kept free for the timers beside these: of segments, tags, points, conditions."""
YEARLY_GAP = 300 * DAY_MS
"""ms. Who moves to another zone, or corrects a birthday by a few days, has it once a year."""


def is_ours(key: str) -> bool:
    """Whether a key among the customer's triggers is a workflow's or a score's, and no other's."""
    return not key.startswith(":") or key.startswith(SCORE_KEY)


def arm(customer: Customer, triggers: Iterable[TimeTrigger], context: Context) -> None:
    """Count anew when these are due."""
    for each in triggers:
        due, key = _due(each, customer, context), each.key
        if due is not None and (key in customer.watches or _has_room(customer)):
            customer.watches[key] = due
        elif key in customer.watches:
            del customer.watches[key]


def _has_room(customer: Customer) -> bool:
    """Whether one more can be watched, beside those which aren't ours."""
    return len(customer.watches) < TIME_TRIGGERS_KEPT - OTHER_TIMERS


def fire(
    customer: Customer, triggers: Mapping[str, TimeTrigger], until: int, context: Context
) -> None:
    """Let those fire that are due by `until`, and count when they are next."""
    due = [key for key, instant in customer.watches.items() if instant <= until]
    for key in sorted(key for key in due if key in triggers):
        instant = customer.watches.pop(key)
        _fire(triggers[key], customer, instant, context)
        arm(customer, [triggers[key]], context)


def _due(watch: TimeTrigger, customer: Customer, context: Context) -> int | None:
    """Return when (ms) it is due; None when it isn't at all."""
    if isinstance(watch, DateTrigger):
        return _date_due(watch, customer, context)
    if isinstance(watch, InactivityTrigger):
        return _inactivity_due(watch, customer, context)
    return _decay_due(watch, customer, context)


def _fire(watch: TimeTrigger, customer: Customer, due: int, context: Context) -> None:
    """Tell what has come."""
    if isinstance(watch, DateTrigger):
        _fire_date(watch, customer, due, context)
    elif isinstance(watch, InactivityTrigger):
        _fire_inactivity(watch, customer, due, context)
    else:
        _fire_decay(watch, customer, due, context)


def _date_due(watch: DateTrigger, customer: Customer, context: Context) -> int | None:
    """The next one; of an instant the first is a year later."""
    zone = customer.profile.zone
    value = _value(watch, customer, context)
    if value is None:
        return None
    if watch.field.type == "instant":
        value = value._replace(year=(value.year or 0) + 1)
    last = customer.dated.get(watch.key)
    after = context.now if last is None else max(context.now, last + YEARLY_GAP)
    return next_yearly(value, watch.trigger.at, zone, before=watch.trigger.before, after=after)


def _fire_date(watch: DateTrigger, customer: Customer, due: int, context: Context) -> None:
    """The date is there."""
    customer.dated.pop(watch.key, None)
    customer.dated[watch.key] = due  # the one that was there longest ago stands first
    if len(customer.dated) > DATED_KEPT:
        del customer.dated[next(iter(customer.dated))]
    day = local_day(due + watch.trigger.before, customer.profile.zone)
    data: dict[str, Any] = {"date": str(day)}
    value = _value(watch, customer, context)
    if value is not None and value.year is not None and day.year is not None:
        data["years"] = day.year - value.year
    context.caused.append(DomainEvent(f"watch:{watch.key}", due, data=data))


def _value(watch: DateTrigger, customer: Customer, context: Context) -> Day | None:
    value = watch.field.read(context.evaluation(customer))
    if isinstance(value, int):
        return local_day(value, customer.profile.zone)
    return value if isinstance(value, Day) else None


def _inactivity_due(watch: InactivityTrigger, customer: Customer, context: Context) -> int | None:
    """A time after the last one; nothing when there was none, or when it has been noticed."""
    mail = customer.mail
    if watch.trigger.inactive == "orders":
        last = customer.statistics.last
    else:
        last = max(customer.last_active, mail.opened, mail.clicked)
    due = last + watch.trigger.lasts
    if not last or (due <= context.now and not context.begins):
        return None  # history starts nothing
    if due <= context.now and customer.watches.get(watch.key) == FIRED:
        return FIRED
    return due


def _fire_inactivity(
    watch: InactivityTrigger, customer: Customer, due: int, context: Context
) -> None:
    """The silence has lasted."""
    customer.watches[watch.key] = FIRED
    context.caused.append(DomainEvent(f"watch:{watch.key}", due))


def _decay_due(watch: ScoreDecayTrigger, customer: Customer, context: Context) -> int | None:
    """When it may pass one of the thresholds."""
    scoring = context.live.scorings.get(watch.name)
    if scoring is None:
        return None
    kept = decay.kept(customer, watch.name)
    due = decay.passes(kept, scoring, context.now, watch.thresholds)
    return None if due == NEVER else due


def _fire_decay(watch: ScoreDecayTrigger, customer: Customer, due: int, context: Context) -> None:
    """It has; nobody did anything."""
    scoring = context.live.scorings.get(watch.name)
    if scoring is not None:
        kept = decay.kept(customer, watch.name)
        before = decay.value(kept, scoring, due - 1)
        after = decay.value(kept, scoring, context.now)
        scores.announce_thresholds(watch.name, before, after, due, context)
