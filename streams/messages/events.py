"""Events in words: what happened, and what it was about in a word or two; no addresses."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from schemas.events import Event
from schemas.events.odd import OddField
from schemas.quantity import exact
from schemas.reference import id_of
from schemas.time_units import MINUTE_MS
from streams.messages.decisions import outcome, reason
from streams.messages.spans import money
from streams.messages.translations import Language, known_message, message

_ABOUT = ("order_id", "list", "purpose", "query", "topic", "stage", "path", "step", "reason")
"""Properties that say in a word what an event is about."""

_RETURNED = ("mail.bounced", "mail.complained", "mail.delivered")

LATE_MS = 5 * MINUTE_MS
"""An event that reaches the log so much later is said to have."""


def happened(event: Event, language: Language, *, appended: int) -> str:
    """Return what happened in a line; `appended`: when it reached the log (ms)."""
    parts = [part for part in _details(event, language) if part]
    if event.backfill:
        parts.append(message(language, "event.history"))
    elif event.time is not None and appended - event.time > LATE_MS:
        parts.append(message(language, "event.late"))
    if event.type == "visitor.merged":
        words = message(language, "event.merged")
    else:
        words = reason(event.type, language)
    return f"{words}: {', '.join(parts)}" if parts else words


def oddities(event: Event, language: Language) -> tuple[str, ...]:
    """Return what of an event was read otherwise or left out, a line for each field."""
    if not event.odd:
        return ()
    return tuple(_oddity(odd, language) for odd in event.odd)


def _oddity(odd: OddField, language: Language) -> str:
    if odd.problem == "more":
        return message(language, "odd.more", value=odd.value)
    id_ = "odd.otherwise" if odd.kept else "odd.left_out"
    problem = message(language, f"odd.problem.{odd.problem}")
    return message(language, id_, field=odd.field, value=odd.value, problem=problem)


def _details(event: Event, language: Language) -> Iterator[str]:
    data: Any = event.data
    name = getattr(data, "name", None) if hasattr(data, "product_id") else None
    product = name or getattr(data, "product_id", None)
    if product:
        quantity = getattr(data, "quantity", 1)
        yield f"{exact(quantity)} × {product}" if event.type.startswith("cart.") else str(product)
    for field in _ABOUT:
        value = getattr(data, field, None)
        if value:
            yield _why(str(value), event.type, language) if field == "reason" else str(value)
    if event.type == "visitor.merged":
        yield id_of(data.anonymous_id)
        if data.ground:
            yield message(language, f"merge.{data.ground}")
    total = getattr(data, "total", None)
    if isinstance(total, Decimal):  # else a property of the shop's own of that name
        yield money(total, getattr(data, "currency", None), language)


def _why(given: str, type_: str, language: Language) -> str:
    """A code of ours in words; what a mail server or a person has said, as it was said."""
    if type_ == "mail.held":
        known = known_message(language, f"hold.{given}")
    elif type_ in _RETURNED:
        known = known_message(language, f"returned.{given}")
    else:
        known = None
    return known or outcome(given, language)
