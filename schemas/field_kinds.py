"""What the models say of their fields beyond validation: what kind of value each holds, and so how
one that is written otherwise is read (`schemas/mending.py`)."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from schemas.bounds import InBytes

Kind = Literal[
    "id", "text", "code", "url", "address", "currency", "zone", "amount", "deduction", "quantity",
    "number", "flag", "word", "object", "list", "other",
]  # fmt: skip


Key = str | tuple[str, str]
"""Under which a field is looked for; two where it lies in another object."""


class Holds(NamedTuple):
    """Of a text, in its annotation: which kind it is."""

    kind: Kind


class Strict(NamedTuple):
    """Of a field, in its annotation: what can't be read refuses the event, although the field may
    be absent."""


class FieldKind(NamedTuple):
    """What is known of a field, or of the members of a list."""

    name: str
    keys: tuple[Key, ...]
    """Under which it is looked for; the first one that is there counts."""
    kind: Kind
    required: bool
    nullable: bool
    strict: bool
    at_least: int | None
    """Of a number."""
    at_most: int | None
    """Characters of a text."""
    in_bytes: int | None
    """Bytes of it."""
    words: tuple[str, ...]
    """Those that it may be."""
    model: type[BaseModel] | None
    """Of an object, or of the members of a list of such."""


@cache
def field_kinds(model: type[BaseModel]) -> Mapping[Key, FieldKind]:
    """Return the fields of a model by each key under which they are looked for."""
    hints = typing.get_type_hints(model, include_extras=True)
    found: dict[Key, FieldKind] = {}
    for name, field in model.model_fields.items():
        keys = _keys(name, field, by_name=bool(model.model_config.get("populate_by_name")))
        kind = _kind(name, hints[name], keys, required=field.is_required())
        found.update((key, kind) for key in (*keys, name))
    return found


@cache
def member_kind(model: type[BaseModel], name: str) -> FieldKind:
    """Return the kind of a list's members."""
    for part in _parts(typing.get_type_hints(model, include_extras=True)[name]):
        if typing.get_origin(part) in _LISTS:
            return _kind(name, typing.get_args(part)[0], (name,), required=True)
    raise LookupError(f"{model.__name__}.{name}: no list")


_LISTS = (list, tuple)
"""What a list of JSON is read as."""

_OF_A_MEMBER = 2
"""Names that lead to a member of an object; what lies deeper is not repaired."""


def _keys(name: str, field: FieldInfo, *, by_name: bool) -> tuple[Key, ...]:
    alias = field.validation_alias
    if alias is None:
        return (name,)
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    keys: list[Key] = []
    for each in choices:
        if isinstance(each, str):
            keys.append(each)
        elif len(each.path) == _OF_A_MEMBER:
            outer, inner = each.path
            keys.append((str(outer), str(inner)))
    return (*keys, name) if by_name and name not in keys else tuple(keys)


def _kind(name: str, annotation: Any, keys: tuple[Key, ...], *, required: bool) -> FieldKind:
    parts = list(_parts(annotation))
    is_list = any(typing.get_origin(each) in _LISTS for each in parts)
    return FieldKind(
        name=name,
        keys=keys,
        kind="list" if is_list else _of(parts),
        required=required,
        nullable=types.NoneType in parts,
        strict=any(isinstance(each, Strict) for each in parts),
        at_least=next((least for each in parts if (least := _at_least(each)) is not None), None),
        at_most=next((size for each in parts if (size := _at_most(each)) is not None), None),
        in_bytes=next((each.at_most for each in parts if isinstance(each, InBytes)), None),
        words=tuple(
            word
            for each in parts
            if typing.get_origin(each) is Literal
            for word in typing.get_args(each)
        ),
        model=next(
            (each for each in parts if isinstance(each, type) and issubclass(each, BaseModel)),
            None,
        ),
    )


def _of(parts: list[Any]) -> Kind:
    held = next((each.kind for each in parts if isinstance(each, Holds)), None)
    if held is not None:
        return held
    if any(typing.get_origin(each) is Literal for each in parts):
        return "word"
    if any(isinstance(each, type) and issubclass(each, BaseModel) for each in parts):
        return "object"
    if any(typing.get_origin(each) is dict for each in parts):
        return "object"
    plain: tuple[tuple[type, Kind], ...] = (
        (bool, "flag"), (Decimal, "quantity" if int in parts else "amount"), (float, "number"),
        (int, "number"), (str, "text"),
    )  # fmt: skip
    return next((kind for type_, kind in plain if type_ in parts), "other")


def _at_most(part: Any) -> int | None:
    return getattr(part, "max_length", None)


def _at_least(part: Any) -> int | None:
    return getattr(part, "ge", None)


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield what an annotation is made of: alternatives, members and what is said of them."""
    yield annotation
    if isinstance(annotation, FieldInfo):
        yield from annotation.metadata
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        inner, *said = typing.get_args(annotation)
        yield from _parts(inner)
        for each in said:
            yield from _parts(each)
    elif origin is not None and origin is not Literal:
        for part in typing.get_args(annotation):
            yield from _parts(part)
