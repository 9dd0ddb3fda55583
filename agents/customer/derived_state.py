"""Derived state: what follows from what is known of a customer, kept right at every instant.

Which segments the customer is in, which tags have not expired, and when to look next. Whoever
changes a customer says here which parts of what is known have changed (`changed`); the partition
says when time has come (`wake`). What follows is told to workflows within the same state change.

The record says by which definitions it is right. When others have become live, everything is
looked at again at the customer's next event; `ritorno workflows review` makes that one for each
customer, for those who are silent.
"""

from __future__ import annotations

from agents.commerce import loyalty
from agents.commerce.coupons import POOL_PREFIX
from agents.context import Context
from agents.customer import segments, tags
from agents.definitions.derived_state import Affected
from agents.rules.fields import Part
from agents.workflows import time_triggers
from schemas.customer import Customer
from schemas.stored import NEVER

SEGMENTS = ":segments"
"""Key of their timer among the watches; no workflow's id has a colon."""
_TAGS_CHANGED: frozenset[Part] = frozenset({"tags"})
_POINTS_CHANGED: frozenset[Part] = frozenset({"points", "tier"})


def changed(customer: Customer, parts: frozenset[Part], context: Context) -> None:
    """Bring segments and time triggers up to date after these parts have changed."""
    look(customer, context.live.derived_state.reading(parts), context)


def look(customer: Customer, what: Affected, context: Context) -> None:
    """Bring those segments and time triggers up to date that may be other ones by what has
    changed."""
    if customer.reviewed != context.live.derived_state.version:
        reevaluate(customer, context)
    elif (what.segments or what.time_triggers) and _is_somebody(customer):
        _look(customer, what, context.now, context)


def reevaluate(customer: Customer, context: Context) -> None:
    """Look at everything: other definitions are live than those by which the record is right."""
    if not _is_somebody(customer):
        return
    derived_state = context.live.derived_state
    segments.leave_unknown(customer, derived_state.segmentation, context)
    customer.watches.pop(SEGMENTS, None)
    for key in [key for key in customer.watches if key not in derived_state.time_triggers.all]:
        if time_triggers.is_ours(key):
            del customer.watches[key]
    _await(
        customer, segments.follow(customer, derived_state.segmentation.all, context.now, context)
    )
    time_triggers.reschedule(customer, derived_state.time_triggers.all.values(), context)
    customer.reviewed = derived_state.version


def wake(customer: Customer, due: int, context: Context) -> None:
    """Do what is due at `due`: points and tags end, segments turn, dates and silences begin
    workflows."""
    derived_state = context.live.derived_state
    if customer.reviewed != derived_state.version:
        reevaluate(customer, context)
    if customer.watches.get(loyalty.OLDEST_MONTH_ENDS, due + 1) <= due:
        loyalty.reevaluate(customer, context)
        _look(customer, derived_state.reading(_POINTS_CHANGED), due, context)
    if customer.watches.get(tags.EXPIRY, due + 1) <= due:
        tags.expire(customer, context)
        _look(customer, derived_state.reading(_TAGS_CHANGED), due, context)
    if customer.watches.get(SEGMENTS, due + 1) <= due:
        del customer.watches[SEGMENTS]
        _await(customer, segments.follow(customer, derived_state.segmentation.timed, due, context))
    time_triggers.fire(customer, derived_state.time_triggers.all, due, context)


def give_up(customer: Customer, due: int) -> dict[str, int]:
    """Forget what is due, and return it: doing it has failed, by a defect of ours."""
    given_up = {key: instant for key, instant in customer.watches.items() if instant <= due}
    for key in given_up:
        del customer.watches[key]
    return given_up


def _is_somebody(customer: Customer) -> bool:
    """Neither a visitor who has become a customer nor a pool of coupons."""
    return not customer.became and not customer.key.startswith(POOL_PREFIX)


def _look(customer: Customer, what: Affected, time: int, context: Context) -> None:
    if what.segments:
        _await(customer, segments.follow(customer, what.segments, time, context))
    if what.time_triggers:
        time_triggers.reschedule(customer, what.time_triggers, context)


def _await(customer: Customer, next_change: int) -> None:
    """Look again then, or when that was planned before: too early costs one look."""
    planned = customer.watches.get(SEGMENTS, next_change)
    if min(next_change, planned) != NEVER:
        customer.watches[SEGMENTS] = min(next_change, planned)
