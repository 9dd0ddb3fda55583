"""A shop's own events: those that are counted leave how often they occurred, and when last.

Everything else that they lead to (runs, scores) they have in common with ours.
"""

from __future__ import annotations

from agents.context import Context, DomainEvent
from schemas.customer import Customer
from schemas.customer.person import OCCURRED_TOTAL_BYTES, Occurred, occurred_bytes
from schemas.events import Event
from schemas.events.custom import CUSTOM


def occurred(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Count one, if it is counted."""
    name = event.type.removeprefix(CUSTOM)
    if context.live.custom_events[name].counted:
        before = customer.occurred.pop(name, None) or Occurred()
        last = max(before.last, context.when(event.time))
        customer.occurred[name] = Occurred(before.times + 1, last)
        _fit(customer)
    return []


def adopt(customer: Customer, visitor: Customer) -> None:
    """Add those of a visitor who turned out to be this customer."""
    for name, theirs in visitor.occurred.items():
        mine = customer.occurred.pop(name, None) or Occurred()
        customer.occurred[name] = Occurred(mine.times + theirs.times, max(mine.last, theirs.last))
    _fit(customer)


def _fit(customer: Customer) -> None:
    """Let those go that are counted no longer: of what is, there is room for all."""
    while occurred_bytes(customer.occurred) > OCCURRED_TOTAL_BYTES:
        del customer.occurred[next(iter(customer.occurred))]
