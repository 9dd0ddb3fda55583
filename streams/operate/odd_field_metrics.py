"""How often fields of events are read otherwise than they were written, or left out."""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel

from schemas.events import PAYLOADS, CloudEvent
from schemas.events.odd import PROBLEMS
from streams.operate.instruments import Instruments
from streams.operate.panels import Panel

OTHER = "other"
"""A field that no model has, as a custom trait: a shop may have any number of them."""


class OddFieldMetrics:
    """The metric, and who counts."""

    def __init__(self, make: Instruments) -> None:
        self.odd_fields = make.counter(
            "odd_fields",
            "Fields of applied events that were read otherwise than written, or left out.",
            "type",
            "field",
            "problem",
            shown=[
                Panel(
                    "Events",
                    "Odd fields",
                    "Fields that were read otherwise than they were written, or left out; the "
                    "events were applied. See ritorno events quality.",
                ).line("type", "field", "problem", over="1h")
            ],
        )

    def count(self, odd: Counter[tuple[str, str, str]]) -> None:
        """Count fields by type of the event, field and problem."""
        for (type_, field, problem), count in odd.items():
            known = field if field in fields_of(type_) else OTHER
            why = problem if problem in PROBLEMS else OTHER
            self.odd_fields.labels(type_ if type_ in PAYLOADS else OTHER, known, why).inc(count)


@cache
def fields_of(type_: str) -> frozenset[str]:
    """Return the fields that events of a type have, as `products.price`, those of the envelope
    included."""
    model = PAYLOADS.get(type_)
    return frozenset(CloudEvent.model_fields) | frozenset(() if model is None else _fields(model))


def _fields(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield name
        for inner in _models(info.annotation):
            yield from (f"{name}.{field}" for field in _fields(inner))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models(part)
