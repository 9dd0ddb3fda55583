"""Events in words: what happened, and what it was about in a word or two; no addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.events import Event
from schemas.money import amount_text
from streams.messages.decisions import OUTCOMES, REASONS, Language

_ABOUT = ("order_id", "list", "purpose", "query", "topic", "stage", "path", "step", "reason")
"""Properties that say in a word what an event is about."""

_LATE: Mapping[Language, str] = {"it": "arrivato in ritardo", "en": "came late"}
_HISTORY: Mapping[Language, str] = {"it": "storico caricato", "en": "history that was loaded"}

LATE_MS = 5 * 60_000
"""An event that reaches the log so much later is said to have."""


def happened(event: Event, language: Language, *, appended: int) -> str:
    """Return what happened in a line; `appended`: when it reached the log (ms)."""
    parts = [part for part in _details(event, language) if part]
    if event.backfill:
        parts.append(_HISTORY[language])
    elif event.time is not None and appended - event.time > LATE_MS:
        parts.append(_LATE[language])
    words = REASONS[language].get(event.type, event.type)
    return f"{words}: {', '.join(parts)}" if parts else words


def _details(event: Event, language: Language) -> Iterator[str]:
    data: Any = event.data
    name = getattr(data, "name", None) if hasattr(data, "product_id") else None
    product = name or getattr(data, "product_id", None)
    if product:
        quantity = getattr(data, "quantity", 1)
        yield f"{quantity} × {product}" if event.type.startswith("cart.") else str(product)
    for field in _ABOUT:
        value = getattr(data, field, None)
        if value:
            yield _outcome(str(value), language) if field == "reason" else str(value)
    total = getattr(data, "total", None)
    if total is not None:
        yield f"{amount_text(total)} {getattr(data, 'currency', '') or ''}".rstrip()


def _outcome(reason: str, language: Language) -> str:
    return OUTCOMES[language].get(reason) or REASONS[language].get(reason, reason)
