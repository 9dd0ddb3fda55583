"""Custom fields: facts of the shop's own, declared in `fields.yaml` with their types.

A trait of the same name sets one, or a `set` step. What is of another type is left out and said;
the rest of the event is applied all the same. Of each field the newest statement counts
(`statements.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.context import Context
from agents.customer import statements
from agents.rules.values import of_type
from schemas.bounds import kept_bytes
from schemas.customer import Customer
from schemas.customer.person import FIELD_BYTES, FIELDS_TOTAL_BYTES, StatedAt
from schemas.definitions.shop import CustomField
from schemas.events.odd import OddField, shown
from schemas.events.person import Traits

_STATED = "fields."
"""Before a field's name, where the time is kept at which it was stated."""

_LARGEST = FIELD_BYTES + 64
"""Bytes of a field with its name, which has at most 41 letters."""


def apply_traits(customer: Customer, traits: Traits, said: StatedAt, context: Context) -> None:
    """Take over the traits that are custom fields, as they were stated at a time; what is absent
    stays, null and an empty text take one away."""
    declared = context.live.fields
    if not declared:
        return
    for name, given in (traits.model_extra or {}).items():
        if name in declared:
            value = None if given == "" else given
            _state(customer, declared[name], value, said, context)


def unfitting(traits: Traits, declared: Mapping[str, CustomField]) -> list[OddField]:
    """Return the traits that are custom fields and of another type than theirs."""
    return [
        OddField(name, shown(given), "kind", kept=False)
        for name, given in (traits.model_extra or {}).items()
        if name in declared
        and given not in (None, "")
        and of_type(given, declared[name].type) is None
    ]


def put(customer: Customer, name: str, value: Any, said: StatedAt, context: Context) -> None:
    """Set a field that a workflow names; None takes it away."""
    declared = context.live.fields.get(name)
    if declared is not None:
        _state(customer, declared, value, said, context)
    elif value is None:
        customer.fields.pop(name, None)
    else:
        context.odd_fields.append(OddField(name, shown(value), "unknown_word", kept=False))


def _state(
    customer: Customer, field: CustomField, given: Any, said: StatedAt, context: Context
) -> None:
    """Take over what was stated of a field, if it can be kept and is the newest statement."""
    value = None if given is None else of_type(given, field.type)
    problem = ""
    if given is not None and value is None:
        problem = "kind"
    elif not _is_newest(customer, field.id, said, gives=value is not None):
        return
    elif value is None:
        customer.fields.pop(field.id, None)
    elif _has_room(customer, field.id, value):
        customer.fields[field.id] = value
    else:
        problem = "too_long"
    if problem:
        context.odd_fields.append(OddField(field.id, shown(given), problem, kept=False))
    else:
        statements.note(customer, _STATED + field.id, said)


def _is_newest(customer: Customer, name: str, said: StatedAt, *, gives: bool) -> bool:
    known = name in customer.fields
    return statements.is_newest(customer, _STATED + name, said, known=known, gives=gives)


def _has_room(customer: Customer, name: str, value: bool | int | float | str) -> bool:
    if (len(customer.fields) + 1) * _LARGEST <= FIELDS_TOTAL_BYTES:
        return True
    return kept_bytes({**customer.fields, name: value}) <= FIELDS_TOTAL_BYTES


def adopt(customer: Customer, visitor: Customer) -> None:
    """Take over what a visitor had told, as far as it is newer or fills a gap, and there is
    room."""
    told = [name.removeprefix(_STATED) for name in visitor.stated if name.startswith(_STATED)]
    for name in dict.fromkeys((*visitor.fields, *told)):
        value, said = visitor.fields.get(name), visitor.stated.get(_STATED + name)
        if said is None:
            if name not in customer.fields and _STATED + name not in customer.stated:
                _adopt(customer, name, value)
        elif _is_newest(customer, name, said, gives=value is not None) and _adopt(
            customer, name, value
        ):
            statements.note(customer, _STATED + name, said)


def _adopt(customer: Customer, name: str, value: bool | int | float | str | None) -> bool:
    """Take over a value, None for none; return whether there was room."""
    if value is None:
        customer.fields.pop(name, None)
        return True
    if not _has_room(customer, name, value):
        return False
    customer.fields[name] = value
    return True
