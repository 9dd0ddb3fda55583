"""Resources of shops as their APIs write them in JSON: reading fields that may be anything.

What is there in another form than it should be is taken for absent, but for ids and times, without
which an event would mean something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from schemas.instant import parse_instant
from schemas.money import DECIMALS
from schemas.validation import Unreadable

Resource = Mapping[str, Any]

MAX_LINES = 2_000
"""Of an order, as its event may have them."""
_CENT, _TOO_MUCH = Decimal("0.01"), Decimal(10**12)


def objects(resource: Resource, name: str) -> list[Resource]:
    """Return the objects of a list; anything else in it is none."""
    found = resource.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def an_object(resource: Resource, name: str) -> Resource:
    """Return an object, empty where there is none."""
    found = resource.get(name)
    return found if isinstance(found, dict) else {}


def text(resource: Resource, name: str) -> str:
    """Return a text, empty where there is none; numbers are ids."""
    found = resource.get(name)
    if isinstance(found, str):
        return found.strip()
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def id_of(resource: Resource, name: str = "id") -> str:
    """Return an id. Raises Unreadable."""
    found = text(resource, name)
    if not found or found == "0":
        raise Unreadable("missing_id", f"{name}: missing (got {resource.get(name)!r})"[:200])
    return found


def time_of(resource: Resource, *names: str) -> int | None:
    """Return the first of the times that is there, ms since the epoch. Raises Unreadable for one
    that can't be read."""
    for name in names:
        found = resource.get(name)
        if found in (None, ""):
            continue
        try:
            return parse_instant(found)
        except ValueError as error:
            raise Unreadable("invalid_event", f"{name}: {error}") from None
    return None


def needed_time(resource: Resource, *names: str) -> int:
    """Return the first of the times that is there. Raises Unreadable where there is none."""
    found = time_of(resource, *names)
    if found is None:
        raise Unreadable("invalid_event", f"{names[0]}: missing")
    return found


def amount(value: Any) -> Decimal | None:
    """Return a sum, None where there is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < _TOO_MUCH else None


def rounded(value: Decimal) -> Decimal:
    """Return a sum to the cent."""
    return value.quantize(_CENT)


def plain_sum(value: Decimal | None) -> str | None:
    """Return a sum as events write it."""
    if value is None:
        return None
    written = format(value, "f")
    if len(written.partition(".")[2]) > DECIMALS:
        written = format(round(value, DECIMALS), "f")
    return written
