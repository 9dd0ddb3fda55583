"""Time triggers: workflows that begin when time alone has come to something.

A date that comes round each year, a silence that has lasted, a score that has faded below a
threshold. Each is a timer of the customer's, counted anew whenever what it depends on has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

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
from agents.rules.local_time import local_day, next_yearly
from schemas.customer import Customer
from schemas.customer.runs import DATED_KEPT, TIME_TRIGGERS_KEPT
from schemas.days import Day
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


def reschedule(customer: Customer, triggers: Iterable[TimeTrigger], context: Context) -> None:
    """Count anew when these are due."""
    for each in triggers:
        due, key = _KINDS[type(each)].due(each, customer, context), each.key
        if due is not None and (key in customer.watches or _has_room(customer)):
            customer.watches[key] = due
        elif key in customer.watches:
            del customer.watches[key]


def _has_room(customer: Customer) -> bool:
    """Whether one more can be kept, beside those which aren't ours."""
    return len(customer.watches) < TIME_TRIGGERS_KEPT - OTHER_TIMERS


def fire(
    customer: Customer, triggers: Mapping[str, TimeTrigger], until: int, context: Context
) -> None:
    """Let those fire that are due by `until`, and count when they are next."""
    due = [key for key, instant in customer.watches.items() if instant <= until]
    for key in sorted(key for key in due if key in triggers):
        instant = customer.watches.pop(key)
        trigger = triggers[key]
        _KINDS[type(trigger)].fire(trigger, customer, instant, context)
        reschedule(customer, [trigger], context)


def _date_due(trigger: DateTrigger, customer: Customer, context: Context) -> int | None:
    """The next one; of an instant the first is a year later."""
    zone = customer.profile.zone
    value = _value(trigger, customer, context)
    if value is None:
        return None
    if trigger.field.type == "instant":
        value = value._replace(year=(value.year or 0) + 1)
    last = customer.dated.get(trigger.key)
    after = context.now if last is None else max(context.now, last + YEARLY_GAP)
    return next_yearly(
        value, trigger.definition.at, zone, before=trigger.definition.before, after=after
    )


def _fire_date(trigger: DateTrigger, customer: Customer, due: int, context: Context) -> None:
    """The date is there."""
    customer.dated.pop(trigger.key, None)
    customer.dated[trigger.key] = due  # the one that was there longest ago stands first
    if len(customer.dated) > DATED_KEPT:
        del customer.dated[next(iter(customer.dated))]
    day = local_day(due + trigger.definition.before, customer.profile.zone)
    data: dict[str, Any] = {"date": str(day)}
    value = _value(trigger, customer, context)
    if value is not None and value.year is not None and day.year is not None:
        data["years"] = day.year - value.year
    context.caused.append(DomainEvent(f"watch:{trigger.key}", due, data=data))


def _value(trigger: DateTrigger, customer: Customer, context: Context) -> Day | None:
    value = trigger.field.read(context.evaluation(customer))
    if isinstance(value, int):
        return local_day(value, customer.profile.zone)
    return value if isinstance(value, Day) else None


def _inactivity_due(trigger: InactivityTrigger, customer: Customer, context: Context) -> int | None:
    """A time after the last one; nothing when there was none, or when it has been noticed."""
    mail = customer.mail
    if trigger.definition.inactive == "orders":
        last = customer.statistics.last
    else:
        last = max(customer.last_active, mail.opened, mail.clicked)
    due = last + trigger.definition.lasts
    if not last or (due <= context.now and not context.begins):
        return None  # history starts nothing
    if due <= context.now and customer.watches.get(trigger.key) == FIRED:
        return FIRED
    return due


def _fire_inactivity(
    trigger: InactivityTrigger, customer: Customer, due: int, context: Context
) -> None:
    """The silence has lasted."""
    customer.watches[trigger.key] = FIRED
    context.caused.append(DomainEvent(f"watch:{trigger.key}", due))


def _decay_due(trigger: ScoreDecayTrigger, customer: Customer, context: Context) -> int | None:
    """When it may pass one of the thresholds."""
    scoring = context.live.scorings.get(trigger.name)
    if scoring is None:
        return None
    kept = decay.kept(customer, trigger.name)
    due = decay.passes(kept, scoring, context.now, trigger.thresholds)
    return None if due == NEVER else due


def _fire_decay(trigger: ScoreDecayTrigger, customer: Customer, due: int, context: Context) -> None:
    """It has; nobody did anything."""
    scoring = context.live.scorings.get(trigger.name)
    if scoring is not None:
        kept = decay.kept(customer, trigger.name)
        before = decay.value(kept, scoring, due - 1)
        after = decay.value(kept, scoring, context.now)
        scores.announce_thresholds(trigger.name, before, after, due, context)


class _Kind(NamedTuple):
    """What is done about a time trigger; the first argument's type is that of the row."""

    due: Callable[[Any, Customer, Context], int | None]
    """Returns when (ms) it is due; None when it isn't at all."""
    fire: Callable[[Any, Customer, int, Context], None]
    """Tells what has come."""


_KINDS: Mapping[type[TimeTrigger], _Kind] = {
    DateTrigger: _Kind(_date_due, _fire_date),
    InactivityTrigger: _Kind(_inactivity_due, _fire_inactivity),
    ScoreDecayTrigger: _Kind(_decay_due, _fire_decay),
}
