"""Plain values, as JSON and the kept record have them, read as what a field is.

Nothing raises: what is of another type, or no number at all, is not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from agents.rules.local_time import zone_of
from schemas.bounds import cut
from schemas.customer.person import FIELD_BYTES
from schemas.days import Day, parse_day
from schemas.instant import parse_instant, to_datetime
from schemas.money import amount_text, decimals_of


def to_number(value: Any) -> int | float | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    amount = to_amount(value)
    if amount is None:
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:  # more than a record can keep
        value = str(value)
    number = value if isinstance(value, int | float) else float(amount)
    return number if math.isfinite(number) else None


def to_amount(value: Any) -> Decimal | None:
    """Return a finite amount, None for anything else. A float is read through its shortest text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def to_text(value: Any) -> str:
    return "" if value is None else str(value)


def to_day(value: Any) -> Day | None:
    return parse_day(value) if isinstance(value, str) else None


def to_flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def to_texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else []


def to_instant(value: Any) -> int | None:
    try:
        return parse_instant(value)
    except ValueError:
        return None


def of_type(given: Any, type_: str) -> bool | int | float | str | None:
    """Return a value as what a shop has declared is kept: text, number, flag, or a date as ISO
    text; None when it is of another type."""
    if type_ == "flag":
        return given if isinstance(given, bool) else {"true": True, "false": False}.get(str(given))
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return None
    if type_ == "number":
        return to_number(given)
    if type_ == "date":
        day = parse_day(str(given))
        return None if day is None else str(day)
    return cut(str(given), FIELD_BYTES)


def written(value: Any, type_: str, zone: str) -> str:
    """Return a field's value as a text shows it: `12`, `52.00`, `2026-03-02`, `caffè, tè`; an
    instant by the clock of `zone`, and nothing when it isn't known."""
    if value is None:
        return ""
    if type_ == "instant":
        return f"{to_datetime(value).astimezone(zone_of(zone)):%Y-%m-%d %H:%M}"
    if type_ in ("texts", "numbers"):
        return ", ".join(map(str, value))
    if isinstance(value, Decimal):
        return amount_text(value)
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value).lower() if isinstance(value, bool) else str(value)


def spoken_amount(amount: Decimal, language: str, currency: str = "") -> str:
    """Return an amount as it is read in a language: `1.234,50` in Italian, else `1,234.50`; whole
    where its currency has no smaller unit."""
    text = f"{amount:,.{decimals_of(currency)}f}"
    return text.translate(_ITALIAN) if language == "it" else text


_ITALIAN = str.maketrans(",.", ".,")

READERS: Mapping[str, Callable[[Any], Any]] = {
    "text": to_text,
    "number": to_number,
    "money": to_amount,
    "flag": to_flag,
    "date": to_day,
    "texts": to_texts,
    "instant": to_instant,
    "any": lambda value: value,
}
