"""Amounts of a source that has declared the comma as its decimal mark: there `1.234` is a number of
thousands, which ordinary validation would read as one and a bit."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from schemas.field_kinds import Kind, field_kinds

_NUMBERS: frozenset[Kind] = frozenset({"amount", "deduction", "quantity", "number"})
_GROUPED = re.compile(r"\s*[+-]?[1-9]\d{0,2}(?:\.\d{3})+\s*")


def without_points(model: type[BaseModel], data: Any) -> Any:
    """Return data in which points that group thousands are gone."""
    if not isinstance(data, dict):
        return data
    kinds = field_kinds(model)
    changed = dict(data)
    for name, value in data.items():
        kind = kinds.get(name)
        if kind is None:
            continue
        if kind.kind in _NUMBERS and isinstance(value, str) and _GROUPED.fullmatch(value):
            changed[name] = value.replace(".", "")
        elif kind.kind == "list" and kind.model is not None and isinstance(value, list):
            changed[name] = [without_points(kind.model, each) for each in value]
    return changed
