"""Events in words: what happened, and what it was about in a word or two; no addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from schemas.events import Event
from schemas.events.odd import OddField
from schemas.quantity import exact
from schemas.reference import id_of, is_visitors
from streams.messages.decisions import outcome, reason
from streams.messages.spans import money
from streams.messages.translations import Language, known_message, message

_ABOUT = ("order_id", "list", "purpose", "query", "topic", "stage", "path", "step", "reason")
"""Properties that say in a word what an event is about."""

_RETURNED = ("mail.bounced", "mail.complained", "mail.delivered")

ASSUMED = ("time", "currency", "amount")
"""Of what something may be assumed."""

_OF_IDENTITY = {"visitor.merged": "event.merged", "visitor.unlinked": "event.unlinked"}


def happened(
    event: Event,
    language: Language,
    *,
    name: str = "",
    currency: str | None = None,
    number: str | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Return what happened in a line. `name`: what the shop calls an event of its own; `currency`:
    of an amount that names none; `number`: of its order, where it isn't known by its id; `notes`:
    what else there is to know."""
    parts = [part for part in _details(event, currency, number, language) if part]
    known = _OF_IDENTITY.get(event.type)
    words = name or (reason(event.type, language) if known is None else message(language, known))
    text = f"{words}: {', '.join(parts)}" if parts else words
    return f"{text} ({'; '.join(notes)})" if notes else text


def oddities(event: Event, language: Language) -> tuple[str, ...]:
    """Return what of an event was read otherwise or left out, a line for each field."""
    if not event.odd:
        return ()
    return tuple(_oddity(odd, language) for odd in event.odd)


def _oddity(odd: OddField, language: Language) -> str:
    if odd.problem == "more":
        return message(language, "odd.more", value=odd.value)
    id_ = "odd.otherwise" if odd.kept else "odd.left_out"
    if odd.problem == "assumed":
        about = odd.name.rpartition(".")[2]
        problem = message(language, f"odd.assumed.{about if about in ASSUMED else 'amount'}")
    else:
        problem = message(language, f"odd.problem.{odd.problem}")
    return message(language, id_, field=odd.field, value=odd.value, problem=problem)


def _details(
    event: Event, currency: str | None, number: str | None, language: Language
) -> Iterator[str]:
    data: Any = event.data
    name = getattr(data, "name", None) if hasattr(data, "product_id") else None
    product = name or getattr(data, "product_id", None)
    if product:
        quantity = getattr(data, "quantity", 1)
        yield f"{exact(quantity)} × {product}" if event.type.startswith("cart.") else str(product)
    for field in _ABOUT:
        value = getattr(data, field, None)
        if field == "order_id" and value and number and number != value:
            value = f"{number} ({value})"
        if value:
            yield _why(str(value), event.type, language) if field == "reason" else str(value)
    if event.type == "visitor.merged":
        yield id_of(data.anonymous_id)
        if data.ground:
            yield message(language, f"merge.{data.ground}")
    if event.type == "visitor.unlinked":
        yield id_of(data.customer_id if is_visitors(event.customer) else data.anonymous_id)
    total = getattr(data, "total", None)
    if isinstance(total, Decimal):  # else a property of the shop's own of that name
        yield money(total, getattr(data, "currency", None) or currency, language)


def _why(given: str, type_: str, language: Language) -> str:
    """A code of ours in words; what a mail server or a person has said, as it was said."""
    if type_ == "mail.held":
        known = known_message(language, f"hold.{given}")
    elif type_ in _RETURNED:
        known = known_message(language, f"returned.{given}")
    else:
        known = None
    return known or outcome(given, language)
