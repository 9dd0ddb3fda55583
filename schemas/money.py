"""Money: decimal amounts, never floats. The currency (ISO 4217) stands beside them."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, WithJsonSchema

from schemas.field_kinds import Holds

MAX_AMOUNT = Decimal("1000000000")
"""A shop's order above a thousand million of anything is a unit mistake."""

DECIMALS = 9
"""Behind the point, at most; what a sum has beyond is of the machine that reckoned it."""

# A number as JSON or a CSV export writes it. Keeps NaN, Infinity and 1e999 away from Decimal.
_PLAIN_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,9})?")


def parse_amount(value: Any) -> Decimal:
    """Read a decimal string or a number. Raises ValueError naming the value.

    A float is read through its shortest text: 52.1 becomes 52.1 and not 52.10000000000000142.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError(f"not an amount: {value!r}"[:100])
    text = str(value).strip()
    if not _PLAIN_NUMBER.fullmatch(text):
        raise ValueError(f"not an amount: {text[:40]!r}")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not an amount: {text[:40]!r}") from None
    if abs(amount) > MAX_AMOUNT:
        raise ValueError(f"amount too large: {text[:40]!r}")
    return amount


def amount_text(amount: Decimal) -> str:
    """Return an amount with at least two decimals, without exponent: `52.00`, `0.125`."""
    plain = str(amount)
    if plain[-3:-2] == ".":  # as nearly all are written
        return plain
    if -amount.as_tuple().exponent < 2:  # type: ignore[operator]  # only NaN and Infinity have a text exponent, and parse_amount refuses both
        amount = amount.quantize(Decimal("0.01"))
    return format(amount, "f")


def _wire_text(amount: Decimal) -> str:
    """Return the same for an event, with a fourth decimal where there are three: `1.234` would be
    more than a thousand to a source that has declared its comma."""
    text = amount_text(amount)
    return f"{text}0" if text[-4:-3] == "." and abs(amount) >= 1 else text


_WITHOUT_DECIMALS = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV"}
    | {"XAF", "XOF", "XPF"}
)

WITH_THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
"""Currencies of a thousand parts."""


def decimals_of(currency: str) -> int:
    """Return with how many decimals amounts of a currency are written."""
    if currency in WITH_THREE_DECIMALS:
        return 3
    return 0 if currency in _WITHOUT_DECIMALS else 2


_AMOUNT_SCHEMA = {"type": "string", "pattern": r"^-?\d{1,15}(\.\d{1,9})?$", "examples": ["52.00"]}

# Checked by pydantic's own engine, in the hot path of every product. A number is read through its
# shortest text, so 52.1 becomes 52.1 and not 52.10000000000000142.
Amount = Annotated[
    Decimal,
    Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT, decimal_places=DECIMALS),
    PlainSerializer(_wire_text, return_type=str),
    WithJsonSchema(_AMOUNT_SCHEMA),
]
"""Any amount, also a negative one (an adjustment)."""

Price = Annotated[
    Decimal,
    Field(ge=0, le=MAX_AMOUNT, decimal_places=DECIMALS),
    PlainSerializer(_wire_text, return_type=str),
    WithJsonSchema(_AMOUNT_SCHEMA | {"pattern": r"^\d{1,15}(\.\d{1,9})?$"}),
]
"""An amount that can't be negative."""

Deduction = Annotated[Price, Holds("deduction")]
"""What is taken off or given back: its sign says nothing."""
