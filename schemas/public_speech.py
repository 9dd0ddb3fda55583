"""What the public may say: whoever has a key that stands in a page, or speaks through another door
of ours that anybody may use.

It says what people do there, of themselves: of a visitor, and never of a customer. What an event
type's row says (`public` in `schemas/event_type.py`) holds for whole types; here is the rest.
"""

from __future__ import annotations

from schemas.events import EVENT_TYPES, Event
from schemas.events.custom import is_custom
from schemas.events.person import ConsentChange

PUBLIC_TYPES = frozenset(each.name for each in EVENT_TYPES.values() if each.public)

GUEST = "email:"
"""Begins the key of a guest of a shop's, made of the address (`streams/connect/facts.py`): who
knows an address could speak as its guest."""

CART, CHECKOUT = "cart:", "checkout:"
"""Begin the key of a visitor of whom a shop knows only the cart or the checkout: its token stands
in addresses of pages."""

_SHOPS = (GUEST, CART, CHECKOUT)

ORDERED, HINTED = "order.completed", "order.hinted"
"""A purchase, which only the shop can tell; and what a page says of one."""

_CONSENT = frozenset({"consent.given", "consent.withdrawn"})


def withheld(event: Event) -> str:
    """Return what of an event the public may not say; empty when it may say all of it."""
    if event.customer.startswith(_SHOPS):
        return f"anonymousId: {event.customer[:64]!r} is made by the shop, which speaks of it"
    if event.type not in PUBLIC_TYPES and not is_custom(event.type):
        return f"type: {event.type!r} is the shop's to say, with a secret key"
    if event.type in _CONSENT:
        data: ConsentChange = event.data
        if data.purpose != "tracking":
            return f"purpose: consent to {data.purpose} is the shop's to say, with a secret key"
    if event.backfill:
        return "backfill: history is the shop's to say, with a secret key"
    return ""
