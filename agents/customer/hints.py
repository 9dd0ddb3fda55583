"""What libraries send along with events: it counts where nothing else has been said.

A language and a zone are those of the device: the latest hint counts until somebody states one, and
a trait that was taken away stays away. An address is taken from the shop's own calls that name a
customer who has none, on the weakest ground.
"""

from __future__ import annotations

from agents.context import Context
from agents.customer import grounds, speaker, statements
from schemas.bounds import cut
from schemas.customer import Customer
from schemas.customer.person import PROFILE_BYTES, StatedAt
from schemas.events import Event
from schemas.events.hints import Hints

_STATED = "hints."
"""Before a trait's name, where the time of its latest hint is kept."""


def take(customer: Customer, event: Event, hints: Hints, context: Context) -> bool:
    """Take over what an event's hints say of the person; return whether that changed anything."""
    changed = _fill(customer, "locale", hints.locale, event, context)
    changed |= _fill(customer, "zone", hints.zone, event, context)
    if hints.email and _is_shops(event):
        profile = customer.profile
        if not profile.email and "email" not in customer.stated:
            said = statements.of(event, context, typed=True)
            changed |= grounds.take(customer, hints.email, "typed", said, context.now)
    return changed


def _fill(customer: Customer, name: str, hint: str, event: Event, context: Context) -> bool:
    return bool(hint) and _take(customer, name, hint, statements.of(event, context))


def _take(customer: Customer, name: str, hint: str, said: StatedAt) -> bool:
    if name in customer.stated:
        return False
    last = customer.stated.get(_STATED + name)
    if last is None and getattr(customer.profile, name):
        return False  # said before there were times
    if not statements.is_later(said, last):
        return False
    statements.note(customer, _STATED + name, said)
    before = getattr(customer.profile, name)
    setattr(customer.profile, name, cut(hint, PROFILE_BYTES))
    return bool(before != hint)


def adopt(customer: Customer, visitor: Customer) -> None:
    """Take over a visitor's hints where nothing else was said, by the customer or the visitor: of
    each the latest counts."""
    for name in ("locale", "zone"):
        said = visitor.stated.get(_STATED + name)
        if said is not None and name not in visitor.stated:
            _take(customer, name, getattr(visitor.profile, name), said)


def _is_shops(event: Event) -> bool:
    """Whether the shop's own call names a customer."""
    return event.named and not (event.forwarded or speaker.by_visitor(event))
