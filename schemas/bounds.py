"""What a kept record may hold at most, so that a log takes it whatever its customer's events were.

Each field of the record says with its type how much it takes: texts in bytes of UTF-8 (an emoji is
one character and four of them), lists and maps in members or, where members differ a hundredfold,
in bytes of them all as they are kept. From that `largest` adds up what a whole record
may come to; a field that says nothing is an error there, and a test compares the sum with
`RECORD_BYTES`. Whoever puts something into a record keeps to what its field says, by `cut`, `fits`
or `shed`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from schemas.reference import VISITOR

RECORD_BYTES = 512 * 1024
"""Of a customer's record: half of what a log takes by default, so that what is made of a record (a
merge, the restoring of one) is taken as well."""

KEY_BYTES = 200
"""Of an id, of a customer, an order or a product: what events may bring (`schemas/events`)."""
ADDRESS_BYTES = 254
"""Of a mail address: RFC 5321 with erratum 1690."""
LIST_BYTES = 100
"""Of a list's name."""

_INT_BYTES = 9
_DECIMAL_BYTES = 41
"""A sum has at most the 28 digits of Python's decimal context, a sign, a point and an exponent."""
_CHARACTER_BYTES = 4
"""Of a character at most, in UTF-8."""
_HEADER_BYTES = 5
"""Before a text, a list or a map, whatever its length."""


class InBytes(NamedTuple):
    """Of a text: bytes of UTF-8. Of a list or a map: bytes of all of it as it is kept."""

    at_most: int


class InNumber(NamedTuple):
    """Members of a list or a map."""

    at_most: int


REFERENCE_BYTES = KEY_BYTES + len(VISITOR)
"""Of who a record is about: an id, and whether it is a visitor's (`schemas/reference.py`)."""

Key = Annotated[str, InBytes(KEY_BYTES)]
Reference = Annotated[str, InBytes(REFERENCE_BYTES)]
Name = Annotated[str, InBytes(63)]
"""Of a workflow, a step, a segment: as definitions may call one."""
Word = Annotated[str, InBytes(32)]
"""From a closed set, or a hash in hex digits."""


class Unbounded(TypeError):
    """A field of a record says not how much it may hold."""


def cut(text: str, limit: int) -> str:
    """Return as much of a text as fits into `limit` bytes."""
    if len(text) * _CHARACTER_BYTES <= limit or fits(text, limit):
        return text
    return text.encode()[:limit].decode("utf-8", "ignore")


def fits(text: str, limit: int) -> bool:
    """Return whether a text takes at most `limit` bytes."""
    characters = len(text)
    if characters * _CHARACTER_BYTES <= limit:
        return True  # whatever they are, as of nearly every text
    return characters <= limit and (text.isascii() or len(text.encode()) <= limit)


_ENCODER = msgspec.msgpack.Encoder()


def kept_bytes(value: Any) -> int:
    """Return how many bytes a part of a record takes as it is kept."""
    return len(_ENCODER.encode(value))


_Member = TypeVar("_Member")


def shed(members: dict[str, _Member] | list[_Member], limit: int, largest_member: int) -> None:
    """Let the first members go until the others fit into `limit` bytes.

    `largest_member`: what one may take at most; while even those would fit nothing is measured.
    """
    if len(members) * largest_member + _HEADER_BYTES <= limit:
        return
    surplus = kept_bytes(members) - limit
    while surplus > 0 and members:
        surplus -= _header_bytes(len(members)) - _header_bytes(len(members) - 1)
        if isinstance(members, dict):
            name = next(iter(members))
            surplus -= kept_bytes(name) + kept_bytes(members.pop(name))
        else:
            surplus -= kept_bytes(members.pop(0))


def _header_bytes(members: int) -> int:
    """What msgpack writes in front of a list or a map: its length in one, three or five bytes."""
    return 1 if members < 16 else 3 if members < 65_536 else 5


def brought_within(value: Any, kind: Any = None) -> Any:
    """Return a value as far as it fits into its type; of a struct that is the default.

    Of texts the beginning stays, of lists and maps the last members. For what was kept before there
    were bounds: whoever changes a record keeps to them, and knows better what may give way.
    """
    kind, limit, number = _said(type(value) if kind is None else kind)
    members = typing.get_args(kind)
    match value:
        case msgspec.Struct():
            hints = typing.get_type_hints(type(value), include_extras=True)
            names = value.__struct_fields__
            return type(value)(*(brought_within(getattr(value, n), hints[n]) for n in names))
        case str() if limit is not None:
            return cut(value, limit)
        case bytes() if limit is not None:
            return value[:limit]
        case list() if members:
            inside = [brought_within(each, members[0]) for each in value]
            return _fitting(inside if number is None else inside[-number:], limit)
        case dict() if members:
            pairs = [
                (brought_within(name, members[0]), brought_within(each, members[1]))
                for name, each in value.items()
            ]
            return _fitting(dict(pairs if number is None else pairs[-number:]), limit)
    return value


def _fitting(members: Any, limit: int | None) -> Any:
    if limit is not None:
        shed(members, limit, limit)
    return members


def _said(kind: Any) -> tuple[Any, int | None, int | None]:
    """Return the bare type, and how many bytes and members it says that it may hold."""
    limits: tuple[Any, ...] = ()
    if typing.get_origin(kind) is Annotated:
        kind, *more = typing.get_args(kind)
        limits = tuple(more)
    limit = next((each.at_most for each in limits if isinstance(each, InBytes)), None)
    number = next((each.at_most for each in limits if isinstance(each, InNumber)), None)
    return kind, limit, number


def largest(kind: Any, path: str = "", *, within_limit: bool = False) -> int:
    """Return the bytes that a value of a type may take at most. Raises Unbounded.

    `path`: where the type stands, for the error. `within_limit`: it is a member of what says how
    much all of its members take together.
    """
    kind, limit, number = _said(kind)
    members = typing.get_args(kind)
    match typing.get_origin(kind) or kind:
        case typing.Union | types.UnionType:
            return max(largest(each, path, within_limit=within_limit) for each in members)
        case typing.Literal:
            return max(_HEADER_BYTES + len(str(each).encode()) for each in members)
        case origin if origin in (list, dict):
            inside = [
                largest(each, f"{path}[]", within_limit=within_limit or limit is not None)
                for each in members
            ]
            content = None if number is None else number * sum(inside)
        case origin if origin in _PLAIN:
            return _PLAIN[origin]
        case origin if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
            return _HEADER_BYTES + sum(bytes_ for _, bytes_ in fields(origin, path))
        case _:
            content = 0 if within_limit else None
    content = content if limit is None else limit
    if content is None:
        raise Unbounded(f"{path or kind}: how much may it hold?")
    return _HEADER_BYTES + content


def fields(kind: type[msgspec.Struct], path: str = "") -> Iterator[tuple[str, int]]:
    """Yield the fields of a struct with what each may take at most. Raises Unbounded."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for name in kind.__struct_fields__:
        yield name, largest(hints[name], f"{path or kind.__name__}.{name}")


_PLAIN: dict[Any, int] = {
    bool: 1,
    int: _INT_BYTES,
    float: _INT_BYTES,
    Decimal: _DECIMAL_BYTES,
    types.NoneType: 1,
}
