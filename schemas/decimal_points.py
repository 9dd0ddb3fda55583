"""Amounts whose point may group thousands: `1.234` of a source that has not declared its mark.

Programs write decimals with a point, and so it is read; of three digits behind it that is an
assumption, which is noted. Numbers of JSON, currencies with three decimals and declared sources
leave no doubt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel

from schemas.field_kinds import FieldKind, Kind, field_kinds
from schemas.money import WITH_THREE_DECIMALS

Path = tuple[int | str, ...]

_SUMS: frozenset[Kind] = frozenset({"amount", "deduction"})
_DOUBTFUL = re.compile(r"\s*[+-]?[1-9]\d{0,2}\.\d{3}\s*")

_THREE_DIGITS = re.compile(rb"\.\d{3}\s*\"")


class _Amounts(NamedTuple):
    """Which fields of a model hold amounts, and which lists of models that do."""

    amounts: tuple[str, ...]
    lists: tuple[str, ...]


def has_three_decimals(data: BaseModel) -> bool:
    """Return whether some amount has just three decimals. Asked of each event, so it is quick."""
    amounts, lists = _amounts(type(data))
    for name in amounts:
        amount = getattr(data, name)
        if amount is not None and str(amount)[-4:-3] == ".":
            return True
    for name in lists:
        for each in getattr(data, name) or ():
            if has_three_decimals(each):
                return True
    return False


def may_have_three_decimals(text: bytes) -> bool:
    """Return whether such an amount may be among what a text of JSON says; quicker still."""
    return _THREE_DIGITS.search(text) is not None


def doubtful(model: type[BaseModel], data: Any, currency: str = "") -> Iterator[tuple[Path, str]]:
    """Yield where in an event's data such amounts are, and what is written there. `currency`: of
    those that name none."""
    if not isinstance(data, dict):
        return
    named = data.get("currency")
    currency = named.strip().upper() if isinstance(named, str) and named.strip() else currency
    for kind, value in _values(model, data):
        if kind.kind in _SUMS and isinstance(value, str):
            if _DOUBTFUL.fullmatch(value) and currency not in WITH_THREE_DECIMALS:
                yield (kind.name,), value
        elif kind.kind == "list" and kind.model is not None and isinstance(value, list):
            for number, each in enumerate(value):
                for path, text in doubtful(kind.model, each, currency):
                    yield (kind.name, number, *path), text


def is_doubtful(text: str) -> bool:
    """Return whether the point in a text may be one that groups thousands."""
    return _DOUBTFUL.fullmatch(text) is not None


def _values(model: type[BaseModel], data: dict[str, Any]) -> Iterator[tuple[FieldKind, Any]]:
    """Yield the fields of an object, also those that lie in another one within it."""
    kinds = field_kinds(model)
    for name, value in data.items():
        kind = kinds.get(name)
        if kind is not None:
            yield kind, value
        elif isinstance(value, dict):
            for inner, each in value.items():
                kind = kinds.get((name, inner))
                if kind is not None:
                    yield kind, each


@cache
def _amounts(model: type[BaseModel]) -> _Amounts:
    kinds = {each.name: each for each in field_kinds(model).values()}
    amounts = tuple(name for name, each in kinds.items() if each.kind in _SUMS)
    lists = tuple(
        name
        for name, each in kinds.items()
        if each.kind == "list" and each.model is not None and any(_amounts(each.model))
    )
    return _Amounts(amounts, lists)
