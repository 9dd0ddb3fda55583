"""Fields of what shops send as JSON, read as they mean them: PrestaShop has texts only, Magento and
modules have numbers, texts and flags for one and the same field. What can't be read is absent."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from schemas.money import amount_text, parse_amount

Row = Mapping[str, Any]
NOTHING: Row = MappingProxyType({})
"""A row of which nothing is known."""

_NO = frozenset({"", "0", "false", "no", "null"})
_LONGEST = 64
"""Characters of a number; no id and no amount has more."""


def text(row: Row, name: str) -> str:
    """Return a text without the blanks around it, empty where there is none."""
    value = row.get(name)
    if isinstance(value, bool) or value is None:
        return ""
    return str(value).strip() if isinstance(value, str | int | Decimal) else ""


def whole(row: Row, name: str) -> int:
    """Return a whole number, 0 where there is none: an id that is 0 is nobody's."""
    value = row.get(name)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    if isinstance(value, str | Decimal) and len(str(value)) <= _LONGEST:
        try:
            number = Decimal(str(value).strip())
            return int(number) if abs(number) < Decimal("1e18") else 0
        except (ArithmeticError, ValueError):
            return 0
    return 0


def flag(row: Row, name: str) -> bool:
    """Return whether a field says yes: `1`, `true`, 1."""
    value = row.get(name)
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def amount(row: Row, *names: str) -> Decimal | None:
    """Return the first of these amounts that can be read, None when there is none."""
    for name in names:
        value = row.get(name)
        if value is None or value == "":
            continue
        try:
            found = parse_amount(value)
        except ValueError:
            continue
        return found.normalize() if found else Decimal(0)
    return None


def written(value: Decimal | None) -> str | None:
    """Return an amount as events have it, None where there is none."""
    return None if value is None else amount_text(value)


def quantity(row: Row, name: str) -> int | str | None:
    """Return how much of something: a whole number of pieces, or a decimal as a text."""
    found = amount(row, name)
    if found is None:
        return None
    return int(found) if found == found.to_integral_value() else format(found, "f")


def rows(value: Any, name: str = "") -> list[dict[str, Any]]:
    """Return the objects of a list; `name`: of the list in an object. Neither is none, as PHP has
    an empty list in the place of an empty object, and an object in the place of a list with
    gaps."""
    found = value.get(name) if name and isinstance(value, Mapping) else value
    if name and not isinstance(value, Mapping):
        return []
    if isinstance(found, Mapping):
        found = list(found.values())
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def inside(row: Row, *names: str) -> Row:
    """Return an object within a row, an empty one where there is none."""
    found: Any = row
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else NOTHING


def without_nothing(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event's properties without those of which nothing is said."""
    return {name: value for name, value in data.items() if value not in (None, "")}
