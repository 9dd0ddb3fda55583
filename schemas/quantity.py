"""Quantities: whole pieces are ints, what is sold by weight or length a Decimal."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema

MAX_QUANTITY = 1_000_000
"""More of anything on one line is a mistake in the unit."""

_FINEST = Decimal("1e-9")


class _OneError:
    """Has a field that is neither of its alternatives say so once, by its own name."""

    def __init__(self, least: int) -> None:
        self._message = f"expected a number from {least} to {MAX_QUANTITY}"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        alternatives: Any = handler(source)
        said: CoreSchema = alternatives | {
            "custom_error_type": "quantity",
            "custom_error_message": self._message,
        }
        return said


def _json_schema(least: int) -> WithJsonSchema:
    sign = "-?" if least < 0 else ""
    number = {"type": "number", "minimum": least, "maximum": MAX_QUANTITY}
    text = {"type": "string", "pattern": rf"^{sign}\d{{1,7}}(\.\d{{1,9}})?$"}
    return WithJsonSchema({"anyOf": [number, text]})


_AS_NUMBER = PlainSerializer(float, return_type=float, when_used="json")

# The first alternative is that of nearly every line and costs next to nothing.
Quantity = Annotated[
    Annotated[int, Field(ge=0, le=MAX_QUANTITY)]
    | Annotated[Decimal, Field(ge=0, le=MAX_QUANTITY, decimal_places=9), _AS_NUMBER],
    Field(union_mode="left_to_right"),
    _OneError(0),
    _json_schema(0),
]
"""How much of a product: 2, or 1.5."""

LineQuantity = Annotated[
    Annotated[int, Field(ge=-MAX_QUANTITY, le=MAX_QUANTITY)]
    | Annotated[Decimal, Field(ge=-MAX_QUANTITY, le=MAX_QUANTITY, decimal_places=9), _AS_NUMBER],
    Field(union_mode="left_to_right"),
    _OneError(-MAX_QUANTITY),
    _json_schema(-MAX_QUANTITY),
]
"""The same in a line of an order: that of a returned line is negative."""


def exact(quantity: int | Decimal) -> int | Decimal:
    """Return a quantity as it is kept: a whole one as an int, another without trailing zeros."""
    if isinstance(quantity, int):
        return quantity
    whole = int(quantity)
    return whole if whole == quantity else quantity.quantize(_FINEST).normalize()


def as_number(quantity: int | Decimal) -> int | float:
    """Return a quantity as JSON has it, for templates and conditions."""
    return quantity if isinstance(quantity, int) else float(quantity)
