"""What only Ritorno itself may say, and so has to sign (`schemas/signing.py`)."""

from __future__ import annotations

from schemas.events import IDENTIFYING_TYPES, INTERNAL_TYPES, PAYLOADS, TOLD_TO_LINKS, Event
from schemas.events.custom import is_custom
from schemas.events.person import CustomerIdentified
from schemas.origin import HEADER as ORIGIN
from schemas.outcomes import OUTCOMES
from schemas.reference import is_visitors

SUBJECTS = ("ritorno/", "ritorno:")
"""Begin the keys of actors of our own. No customer's or visitor's id does."""

TOLD_TO_OURS = frozenset({"coupon.requested"}) | TOLD_TO_LINKS
"""The types that such an actor obeys, and from nobody but our own actors."""

SOURCES = "/ritorno/"
"""Begins the sources of our own events: under one of them nobody else can use up an id."""

IMPORTED = "/ritorno/import"
"""The one source of them that stands for the shop: what an import says, the shop might publish."""

_ANYBODYS = frozenset(PAYLOADS) - INTERNAL_TYPES - frozenset(OUTCOMES) - IDENTIFYING_TYPES
"""The types of events that anybody may tell, whatever they say."""


def is_anybodys(event: Event) -> bool:
    """Return whether it is plain at a glance that an event claims nothing of ours, as nearly all
    are: then there is neither a reserved id in it nor anything else that is."""
    return (
        (event.type in _ANYBODYS or is_custom(event.type))
        and event.origin is None
        and not event.source.startswith(SOURCES)
        and not event.customer.startswith(SUBJECTS)
        and (event.anonymous_id is None or not event.anonymous_id.startswith(SUBJECTS))
    )


def reserved(event: Event) -> str:
    """Return what of an event only Ritorno itself may say; empty when anybody may say it."""
    if event.type in INTERNAL_TYPES:
        return f"type: {event.type!r} is Ritorno's own"
    if event.type in OUTCOMES and event.data.command_id:
        return "command_id: what became of a mail of Ritorno's only Ritorno itself can tell"
    if event.origin is not None:
        return f"{ORIGIN}: only Ritorno's own actors have one"
    if event.source.startswith(SOURCES) and event.source != IMPORTED:
        return f"source: {event.source[:64]!r} is Ritorno's own"
    if is_visitors(event.customer):
        return f"key: {event.customer[:64]!r} is how only Ritorno itself names a visitor"
    return ""


def reserved_id(event: Event) -> str:
    """Return the id of an actor of ours that an event has no business to name; empty if none."""
    ours = event.customer.startswith(SUBJECTS) and not is_visitors(event.customer)
    if ours and event.type not in TOLD_TO_OURS:
        return f"customer id: {event.customer[:64]!r} is Ritorno's own"
    named = [event.anonymous_id] if event.anonymous_id is not None else []
    if event.type in IDENTIFYING_TYPES:
        data: CustomerIdentified = event.data
        named += [each for each in (data.anonymous_id, data.customer_id) if each is not None]
    for each in named:
        if each.startswith(SUBJECTS):
            return f"{each[:64]!r} is Ritorno's own"
    return ""
