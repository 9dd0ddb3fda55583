"""Where an event says that it is history (`backfill`), in places and spellings beside its own: what
has happened long ago must never be mailed because a field stood one level too high."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.spelling import spelled
from schemas.validation import checked_flag
from schemas.value_repairs import as_object

MARK = b"backfill"
_NAMES = frozenset({"backfill", "ritornobackfill", "isbackfill", "cebackfill", "ceritornobackfill"})
_AROUND = ("context", "properties", "traits", "data", "headers", "value")


def may_be_said(text: bytes | str) -> bool:
    """Whether it is worth looking for in JSON text."""
    return "backfill" in text.lower() if isinstance(text, str) else MARK in text.lower()


def placed(body: dict[str, Any]) -> dict[str, Any]:
    """Return an event in any form with `backfill` in its own place, where it is said anywhere.
    Raises Unreadable for one that can't be read."""
    flags = [checked_flag(place, value) for place, value in _said(body)]
    if not any(flags):
        return body
    if isinstance(body.get("headers"), dict):
        return {**body, "headers": {**body["headers"], "ce_backfill": "true"}}
    return {**body, "backfill": True}


def is_said(data: Any, place: str) -> bool:
    """Whether the data of an event says it. Raises Unreadable."""
    found = data if isinstance(data, dict) else as_object(data) or {}
    return any(checked_flag(f"{place}.{name}", each) for name, each in _named(found))


def _said(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from _named(body)
    for around in _AROUND:
        inner = body.get(around)
        found = inner if isinstance(inner, dict) else as_object(inner)
        for name, value in _named(found or {}):
            yield f"{around}.{name}", value


def _named(said: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in said.items():
        if "backfill" in name.lower() and spelled(name).replace("_", "") in _NAMES:
            yield name, value
