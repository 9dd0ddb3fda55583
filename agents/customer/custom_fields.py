"""Custom fields: facts of the shop's own, declared in `fields.yaml` with their types.

A trait of the same name sets one, or a `set` step. What is of another type is refused and counted;
the rest of the event is applied all the same.
"""

from __future__ import annotations

from typing import Any

from agents.context import Context
from agents.rules.days import parse_day
from agents.rules.values import to_number
from schemas.bounds import cut, kept_bytes
from schemas.customer import Customer
from schemas.customer.person import FIELD_BYTES, FIELDS_TOTAL_BYTES
from schemas.definitions.shop import CustomField
from schemas.events.person import Traits

_LARGEST = FIELD_BYTES + 64
"""Bytes of a field with its name, which has at most 41 letters."""


def apply_traits(customer: Customer, traits: Traits, context: Context) -> None:
    """Take over the traits that are custom fields; what is absent or null stays."""
    declared = context.live.fields
    if not declared:
        return
    for name, given in (traits.model_extra or {}).items():
        if name in declared and given is not None:
            _set(customer, declared[name], given, context)


def put(customer: Customer, name: str, value: Any, context: Context) -> None:
    """Set a field that a workflow names; None takes it away."""
    declared = context.live.fields.get(name)
    if value is None:
        customer.fields.pop(name, None)
    elif declared is None:
        context.refused_fields.append(name)
    else:
        _set(customer, declared, value, context)


def _set(customer: Customer, field: CustomField, given: Any, context: Context) -> None:
    value = _fitting(given, field)
    if value is None or not _has_room(customer, field.id, value):
        context.refused_fields.append(field.id)
    else:
        customer.fields[field.id] = value


def _has_room(customer: Customer, name: str, value: bool | int | float | str) -> bool:
    if (len(customer.fields) + 1) * _LARGEST <= FIELDS_TOTAL_BYTES:
        return True
    return kept_bytes({**customer.fields, name: value}) <= FIELDS_TOTAL_BYTES


def _fitting(given: Any, field: CustomField) -> bool | int | float | str | None:
    """Return what is kept; None when it is of another type."""
    if field.type == "flag":
        return given if isinstance(given, bool) else {"true": True, "false": False}.get(str(given))
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return None
    if field.type == "number":
        return to_number(given)
    if field.type == "date":
        day = parse_day(str(given))
        return None if day is None else str(day)
    return cut(str(given), FIELD_BYTES)


def adopt(customer: Customer, visitor: Customer) -> None:
    """Fill the gaps from what a visitor had told, as far as there is room."""
    for name, value in visitor.fields.items():
        if name not in customer.fields and _has_room(customer, name, value):
            customer.fields[name] = value
