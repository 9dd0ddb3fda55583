"""What the control records of a partition say that name something: products, live versions."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from agents.context import EventRefused
from schemas.events import CONTROL_TYPES
from schemas.products import Product
from schemas.records import Record
from schemas.validation import first_error


class Feed(BaseModel):
    """Value of a `ritorno.products` control record: products that are new or have changed."""

    products: list[Product]


class Activation(BaseModel):
    """Value of a `ritorno.workflows` control record: which versions new runs begin with."""

    live: dict[str, str]


Said = TypeVar("Said", Feed, Activation)


def kind_of(record: Record) -> str:
    """Return the type of a control record; empty for any other record."""
    if record.key is not None:
        return ""
    kind = (record.header("ce_type") or b"").decode("utf-8", "replace")
    return kind if kind in CONTROL_TYPES else ""


def read(record: Record, model: type[Said]) -> Said:
    """Return what a control record says. Raises EventRefused."""
    try:
        return model.model_validate_json(record.value or b"")
    except ValidationError as error:
        raise EventRefused("invalid_event", first_error(error)) from None
