"""Time triggers: workflows that begin when time alone has come to something.

A date that comes round each year, a silence that has lasted, a score that has faded below a
threshold. Each is a timer of the customer's, counted anew whenever what it depends on has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from agents.context import Context, DomainEvent
from agents.rules import decay, scores
from agents.rules.days import Day
from agents.rules.fields import Field, FieldRegistry, Part
from agents.rules.local_time import local_day, next_yearly
from agents.rules.values import READERS
from schemas.customer import Customer
from schemas.customer.runs import DATED_KEPT, TIME_TRIGGERS_KEPT
from schemas.definitions.triggers import OnDate, OnInactivity, OnScore
from schemas.definitions.workflow import Workflow
from schemas.stored import NEVER
from schemas.time_units import DAY_MS

FIRED = NEVER
"""Kept instead of a due time: this silence has been noticed."""
OTHER_TIMERS = 8
"""Kept free for the timers beside these: of segments, tags, points, conditions."""
SCORE_KEY = ":score:"
"""Before a score's name; no workflow's id has a colon."""
YEARLY_GAP = 300 * DAY_MS
"""ms. Who moves to another zone, or corrects a birthday by a few days, has it once a year."""


class TimeTrigger(Protocol):
    """Something to look out for."""

    @property
    def key(self) -> str:
        """Under which its due time is kept: a workflow's id, or `:score:NAME`."""

    @property
    def parts(self) -> frozenset[Part]:
        """What its due time depends on."""

    def due(self, customer: Customer, context: Context) -> int | None:
        """Return when (ms) it is due; None when it isn't at all."""

    def fire(self, customer: Customer, due: int, context: Context) -> None:
        """Tell what has come."""


class DateTrigger(NamedTuple):
    """A date comes round again."""

    key: str
    trigger: OnDate
    field: Field

    @property
    def parts(self) -> frozenset[Part]:
        """The date's, and the zone's."""
        return frozenset({self.field.part, "profile"})

    def due(self, customer: Customer, context: Context) -> int | None:
        """The next one; of an instant the first is a year later."""
        zone = customer.profile.zone
        value = self._value(customer, context)
        if value is None:
            return None
        if self.field.type == "instant":
            value = value._replace(year=(value.year or 0) + 1)
        last = customer.dated.get(self.key)
        after = context.now if last is None else max(context.now, last + YEARLY_GAP)
        return next_yearly(value, self.trigger.at, zone, before=self.trigger.before, after=after)

    def fire(self, customer: Customer, due: int, context: Context) -> None:
        """The date is there."""
        customer.dated.pop(self.key, None)
        customer.dated[self.key] = due  # the one that was there longest ago stands first
        if len(customer.dated) > DATED_KEPT:
            del customer.dated[next(iter(customer.dated))]
        day = local_day(due + self.trigger.before, customer.profile.zone)
        data: dict[str, Any] = {"date": str(day)}
        value = self._value(customer, context)
        if value is not None and value.year is not None and day.year is not None:
            data["years"] = day.year - value.year
        context.caused.append(DomainEvent(f"watch:{self.key}", due, data=data))

    def _value(self, customer: Customer, context: Context) -> Day | None:
        value = self.field.read(context.evaluation(customer))
        if isinstance(value, int):
            return local_day(value, customer.profile.zone)
        return value if isinstance(value, Day) else None


class InactivityTrigger(NamedTuple):
    """Nothing has happened for a time."""

    key: str
    trigger: OnInactivity

    @property
    def parts(self) -> frozenset[Part]:
        """Of the orders, or of all that the customer does."""
        orders = self.trigger.inactive == "orders"
        return frozenset({"orders"}) if orders else frozenset({"activity", "mails"})

    def due(self, customer: Customer, context: Context) -> int | None:
        """A time after the last one; nothing when there was none, or when it has been noticed."""
        mail = customer.mail
        if self.trigger.inactive == "orders":
            last = customer.statistics.last
        else:
            last = max(customer.last_active, mail.opened, mail.clicked)
        due = last + self.trigger.lasts
        if not last or (due <= context.now and not context.begins):
            return None  # history starts nothing
        if due <= context.now and customer.watches.get(self.key) == FIRED:
            return FIRED
        return due

    def fire(self, customer: Customer, due: int, context: Context) -> None:
        """The silence has lasted."""
        customer.watches[self.key] = FIRED
        context.caused.append(DomainEvent(f"watch:{self.key}", due))


class ScoreDecayTrigger(NamedTuple):
    """A score fades below a threshold."""

    key: str
    name: str
    thresholds: tuple[float, ...]

    @property
    def parts(self) -> frozenset[Part]:
        """The scores."""
        return frozenset({"scores"})

    def due(self, customer: Customer, context: Context) -> int | None:
        """When it may pass one of the thresholds."""
        scoring = context.live.scorings.get(self.name)
        if scoring is None:
            return None
        kept = decay.kept(customer, self.name)
        due = decay.passes(kept, scoring, context.now, self.thresholds)
        return None if due == NEVER else due

    def fire(self, customer: Customer, due: int, context: Context) -> None:
        """It has; nobody did anything."""
        scoring = context.live.scorings.get(self.name)
        if scoring is not None:
            kept = decay.kept(customer, self.name)
            before = decay.value(kept, scoring, due - 1)
            after = decay.value(kept, scoring, context.now)
            scores.announce_thresholds(self.name, before, after, due, context)


class TimeTriggers:
    """All that a shop's live workflows look out for."""

    def __init__(self, triggers: Sequence[TimeTrigger] = ()) -> None:
        self.all = {each.key: each for each in triggers}
        self._by_parts: dict[frozenset[Part], tuple[TimeTrigger, ...]] = {}

    def reading(self, parts: frozenset[Part]) -> tuple[TimeTrigger, ...]:
        """Return those whose due time may be another one when these parts have changed."""
        found = self._by_parts.get(parts)
        if found is None:
            found = tuple(each for each in self.all.values() if each.parts & parts)
            self._by_parts[parts] = found
        return found


def compile_time_triggers(workflows: Iterable[Workflow]) -> TimeTriggers:
    """Return what these workflows look out for."""
    triggers: list[TimeTrigger] = []
    faded: dict[str, set[float]] = {}
    registry = FieldRegistry()
    for workflow in workflows:
        trigger = workflow.trigger
        if isinstance(trigger, OnDate):
            field = registry.find(trigger.date)
            if field is not None:
                triggers.append(DateTrigger(workflow.id, trigger, as_date(field)))
        elif isinstance(trigger, OnInactivity):
            triggers.append(InactivityTrigger(workflow.id, trigger))
        elif isinstance(trigger, OnScore) and trigger.below is not None:
            faded.setdefault(trigger.score, set()).add(trigger.below)
    triggers += [
        ScoreDecayTrigger(f"{SCORE_KEY}{name}", name, tuple(sorted(thresholds)))
        for name, thresholds in sorted(faded.items())
    ]
    return TimeTriggers(triggers)


def as_date(field: Field) -> Field:
    """Return a custom field, whose type isn't known, as a date."""
    if field.type != "any":
        return field
    read = READERS["date"]
    return field._replace(type="date", read=lambda evaluation: read(field.read(evaluation)))


def is_ours(key: str) -> bool:
    """Whether a key among the customer's triggers is a workflow's or a score's, and no other's."""
    return not key.startswith(":") or key.startswith(SCORE_KEY)


def arm(customer: Customer, triggers: Iterable[TimeTrigger], context: Context) -> None:
    """Count anew when these are due."""
    for each in triggers:
        due, key = each.due(customer, context), each.key
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
        triggers[key].fire(customer, instant, context)
        arm(customer, [triggers[key]], context)
