"""Triggers that ask for several occurrences within a time, of the same product, page or category.

Only what a live workflow counts is remembered, and for as long as it may count.
"""

from __future__ import annotations

from agents.context import DomainEvent
from agents.definitions.published import WorkflowVersion
from agents.digests import derived_id
from schemas.bounds import fits
from schemas.customer import Customer
from schemas.customer.runs import COUNTED_ABOUT_BYTES, COUNTED_KEPT, COUNTED_TIMES
from schemas.definitions.triggers import OnEvent


def reached(
    customer: Customer,
    published: WorkflowVersion,
    trigger: OnEvent,
    occurrence: DomainEvent,
    now: int,
) -> bool:
    """Count one occurrence; return whether there are enough of them now."""
    if trigger.within is None:
        return True
    key = _key(published, trigger, occurrence)
    if not key:
        return False
    since = now - trigger.within
    times = [time for time in customer.counted.pop(key, []) if time > since]
    if occurrence.time > since:
        times = sorted([*times, occurrence.time])[-trigger.times :]
    if times:
        customer.counted[key] = times  # the last one counted is the last to give way
    while len(customer.counted) > COUNTED_KEPT:
        del customer.counted[next(iter(customer.counted))]
    return len(times) >= trigger.times


def begin_anew(customer: Customer, published: WorkflowVersion, occurrence: DomainEvent) -> None:
    """Forget what has been counted, since it has begun a run."""
    trigger = published.workflow.trigger
    if isinstance(trigger, OnEvent) and trigger.within is not None:
        customer.counted.pop(_key(published, trigger, occurrence), None)


def _key(published: WorkflowVersion, trigger: OnEvent, occurrence: DomainEvent) -> str:
    """Return under which name it is counted; none when it is not said what it was about."""
    if trigger.same is None:
        return f"{published.workflow.id}/"
    about = str(occurrence.data.get(trigger.same) or "")
    if not about:
        return ""
    if not fits(about, COUNTED_ABOUT_BYTES):
        about = derived_id(about)
    return f"{published.workflow.id}/{about}"


def adopt(customer: Customer, visitor: Customer) -> None:
    """Add what a visitor's occurrences were counted as."""
    for key, times in visitor.counted.items():
        customer.counted[key] = sorted([*customer.counted.pop(key, []), *times])[-COUNTED_TIMES:]
    while len(customer.counted) > COUNTED_KEPT:
        del customer.counted[next(iter(customer.counted))]
