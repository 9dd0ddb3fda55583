"""Standing: what is true of a customer at the moment, kept right without anybody polling.

Segments are entered and left in the state change that makes them true or false, and at the very
instant at which time alone does: each segment says when that will be. The dates and silences that
workflows begin on are watched in the same way. A watch is a timer of the customer's, by name; what
it leads to is told like anything that a step has caused.

After a change of the definitions everything is looked at anew, at the customer's next event.
"""

from __future__ import annotations

from agents import loyalty, tags, worth
from agents.conditions import Subject, read_field
from agents.context import Context, Occurred
from agents.definitions import Published
from agents.effects import signal
from agents.vocabulary import Part
from agents.vocabulary.changing import EVERYTHING
from agents.vocabulary.days import Day, day_at, instant_of, next_yearly, parse_day
from schemas.customer import Customer
from schemas.definitions.triggers import OnDate, OnInactivity
from schemas.signals import SegmentChanged
from schemas.stored import NEVER

SEGMENTS = "segments"
SCORES = "scores"
ROUNDS = 3
"""How often segments are looked at that ask for segments: longer chains are a mistake."""


def look(customer: Customer, parts: frozenset[Part], context: Context) -> None:
    """Look again at what may have changed, which is said by the `parts` of what is known."""
    live = context.live
    if customer.reviewed != live.standing:
        customer.reviewed, parts = live.standing, EVERYTHING
        for name in [each for each in customer.watches if each not in _OWN and each != SEGMENTS]:
            del customer.watches[name]
    if not parts:
        return
    if live.segment_checks or customer.segments:
        _look_at_segments(customer, parts, context)
    if live.floors and "scores" in parts:
        _watch_scores(customer, context)
    for published in live.watched:
        _watch(customer, published, parts, context)


def wake(customer: Customer, due: int, context: Context) -> None:
    """Do what there is to do for the watches that are due."""
    for name in take_due(customer, due):
        if name == loyalty.WATCH:
            loyalty.review(customer, context)
        elif name == tags.WATCH:
            tags.expire(customer, context)
        elif name == SCORES:
            _pass_floors(customer, due, context)
        elif name != SEGMENTS:
            _begin(customer, name, due, context)
    look(customer, EVERYTHING, context)


def take_due(customer: Customer, due: int) -> list[str]:
    """Take the watches off that are due, and return them."""
    names = sorted(name for name, at in customer.watches.items() if at <= due)
    for name in names:
        del customer.watches[name]
    return names


# Segments.


def _look_at_segments(customer: Customer, parts: frozenset[Part], context: Context) -> None:
    subject = Subject(customer, context.now, rules=context.live)
    checks = context.live.segment_checks
    for name in [each for each in customer.segments if each not in checks]:
        customer.segments.remove(name)  # there is no such segment any more
    for _ in range(ROUNDS):
        moved = False
        for name, check in checks.items():
            if check.parts & parts and check(subject) != (name in customer.segments):
                _move(customer, name, context)
                moved = True
        if not moved:
            break
        parts = frozenset({"segments"})
    _set(customer, SEGMENTS, min((c.changes_at(subject) for c in checks.values()), default=NEVER))


def _move(customer: Customer, name: str, context: Context) -> None:
    entered = name not in customer.segments
    if entered:
        customer.segments = sorted([*customer.segments, name])
    else:
        customer.segments.remove(name)
    when = "entered" if entered else "left"
    cause = f"{name}/{when}/{context.now}"
    changed = SegmentChanged(
        id=f"{customer.key}/{cause}", time=context.now, customer=customer.key, segment=name,
        change="entered" if entered else "left",
    )  # fmt: skip
    context.effects.append(signal(changed))
    context.caused.append(Occurred(f"segment:{name}:{when}", context.now, id=cause))


# Scores that fall below a threshold with time.


def _watch_scores(customer: Customer, context: Context) -> None:
    live = context.live
    falls = (
        worth.passes(worth.kept(customer, name), live.scorings[name], context.now, floors)
        for name, floors in live.floors.items()
        if name in live.scorings
    )
    _set(customer, SCORES, min(falls, default=NEVER))


def _pass_floors(customer: Customer, due: int, context: Context) -> None:
    for name in context.live.floors:
        scoring = context.live.scorings.get(name)
        if scoring is None:
            continue
        kept = worth.kept(customer, name)
        data = {
            "before": worth.value(kept, scoring, due - 1),
            "after": worth.value(kept, scoring, due),
        }
        context.caused.append(Occurred(f"score:{name}", due, data=data, id=f"{name}/{due}"))


# Dates and silences.


def _watch(
    customer: Customer, published: Published, parts: frozenset[Part], context: Context
) -> None:
    workflow = published.workflow
    due = NEVER
    match workflow.trigger:
        case OnInactivity(inactive=what, lasts=lasts):
            if not parts & {"orders", "activity"}:
                return
            since = customer.statistics.last if what == "orders" else customer.last_active
            if since and customer.dated.get(workflow.id) != since:
                due = since + lasts
        case OnDate() as trigger:
            day = _day(customer, trigger.date, context)
            if day is not None:
                zone = customer.profile.zone
                after = customer.dated.get(workflow.id, max(context.now - 1, _of_itself(day, zone)))
                due = next_yearly(day, trigger.at, zone, before=trigger.before, after=after)
    _set(customer, workflow.id, due)


def _begin(customer: Customer, workflow_id: str, due: int, context: Context) -> None:
    published = context.live.workflows.get(workflow_id)
    if published is None:
        return
    trigger = published.workflow.trigger
    if isinstance(trigger, OnInactivity):
        customer.dated[workflow_id] = due - trigger.lasts
    elif isinstance(trigger, OnDate):
        customer.dated[workflow_id] = due
    occurred = Occurred(f"watch:{workflow_id}", due, id=f"{workflow_id}/{due}")
    context.caused.append(occurred)


def _day(customer: Customer, name: str, context: Context) -> Day | None:
    value = read_field(name, Subject(customer, context.now, rules=context.live))
    if isinstance(value, int) and not isinstance(value, bool):
        return day_at(value, customer.profile.zone)
    return parse_day(value) if isinstance(value, str) else value


def _of_itself(day: Day, zone: str) -> int:
    """Return when the day is over that the date is about, which is no anniversary of it yet."""
    return 0 if day.year is None else instant_of(day.in_year(day.year), "23:59", zone)


def _set(customer: Customer, name: str, due: int) -> None:
    if due == NEVER:
        customer.watches.pop(name, None)
    else:
        customer.watches[name] = due


_OWN = frozenset({loyalty.WATCH, tags.WATCH})
