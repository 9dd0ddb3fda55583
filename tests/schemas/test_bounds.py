"""What a record may hold adds up to less than a log takes, and the sums are true."""

from __future__ import annotations

import types
import typing
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import customer as record
from schemas.bounds import (
    RECORD_BYTES,
    InBytes,
    InNumber,
    Key,
    Unbounded,
    cut,
    fields,
    fits,
    kept_bytes,
    largest,
    shed,
)
from schemas.customer import Customer, consent, encode_customer, mail, person, runs, shopping
from schemas.stored import HEAD_SIZE

STRUCTS = dict.fromkeys(
    each
    for limit in (record, consent, mail, person, runs, shopping)
    for each in vars(limit).values()
    if isinstance(each, type) and issubclass(each, msgspec.Struct)
)


def test_what_a_record_may_hold_adds_up_to_less_than_the_budget() -> None:
    assert HEAD_SIZE + sum(bytes_ for _, bytes_ in fields(Customer)) < RECORD_BYTES


def test_what_proves_something_has_room_whatever_else_there_is() -> None:
    proofs = 2 * consent.PURPOSES + consent.LISTS_KEPT
    assert proofs * largest(consent.Evidence) < consent.EVIDENCE_TOTAL_BYTES
    assert consent.LISTS_KEPT < consent.EVIDENCE_KEPT


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda each: each.__name__)
def test_nothing_takes_more_than_its_type_says(struct: type[msgspec.Struct]) -> None:
    fullest = _fullest(struct)
    assert kept_bytes(fullest) <= largest(struct)
    if isinstance(fullest, Customer):
        assert len(encode_customer(fullest)) < RECORD_BYTES


@pytest.mark.parametrize(
    "kind",
    [str, bytes, list[int], dict[Key, int], Annotated[list[str], InNumber(3)], Any,
     Annotated[dict[Key, Any], InNumber(3)]],
)  # fmt: skip
def test_a_field_that_says_nothing_is_an_error(kind: Any) -> None:
    grown = msgspec.defstruct("Grown", [("fine", Annotated[str, InBytes(3)]), ("field", kind)])
    with pytest.raises(Unbounded, match=r"Grown\.field.*: how much may it hold\?"):
        dict(fields(grown))


@given(st.text(), st.integers(0, 40))
def test_a_text_is_cut_at_a_character(text: str, limit: int) -> None:
    kept = cut(text, limit)
    assert text.startswith(kept)
    assert fits(kept, limit)
    assert len(kept.encode()) <= limit
    assert fits(text, limit) == (len(text.encode()) <= limit) == (kept == text)
    assert len(kept.encode()) > limit - 4 or kept == text


@example(["", "a" * 8, *["b" * 8] * 15], 1 + 9 * 15)  # fifteen need a shorter header than sixteen
@given(st.lists(st.text(max_size=30)), st.integers(0, 200))
def test_the_first_ones_give_way(members: list[str], limit: int) -> None:
    kept = list(members)
    shed(kept, limit, 125)
    assert members[len(members) - len(kept) :] == kept
    assert not kept or kept_bytes(kept) <= limit
    assert kept == members or kept_bytes(members[-len(kept) - 1 :]) > limit
    named = {f"{number}": text for number, text in enumerate(members)}
    shed(named, limit, 128)
    assert not named or kept_bytes(named) <= limit


def _fullest(kind: Any, limit: int | None = None) -> Any:  # noqa: PLR0911  one for each kind
    """Return the value that takes most of all that fit into a type."""
    limits: tuple[Any, ...] = ()
    if typing.get_origin(kind) is Annotated:
        kind, *more = typing.get_args(kind)
        limits = tuple(more)
    size = next((each.at_most for each in limits if isinstance(each, InBytes)), limit)
    number = next((each.at_most for each in limits if isinstance(each, InNumber)), None)
    members = typing.get_args(kind)
    match typing.get_origin(kind) or kind:
        case typing.Union | types.UnionType:
            return _fullest(members[0])
        case typing.Literal:
            return max(members, key=len)
        case origin if origin is list:
            if number is None:
                return _filled(size, lambda _: _fullest(members[0], 40))
            return [_fullest(members[0]) for _ in range(number)]
        case origin if origin is dict:
            width = largest(members[0], within_limit=True) - 5 or 40
            names = (f"{place:0{width}}"[-width:] for place in range(number or 100_000))
            if number is None:
                pairs = _filled(size, lambda _: (next(names), _fullest(members[1], 40)))
                return dict(pairs[:-1])
            return {name: _fullest(members[1]) for name in names}
        case origin if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
            hints = typing.get_type_hints(origin, include_extras=True)
            return origin(*(_fullest(hints[name]) for name in origin.__struct_fields__))
    plain = {
        bool: True,
        int: 2**63 - 1,
        float: 0.1,
        Decimal: Decimal("-1.2345678901234567890123e+30"),
    }
    if kind in plain:
        return plain[kind]
    return b"x" * (size or 0) if kind is bytes else "x" * (size or 0)


def _filled(limit: int | None, make: Any) -> list[Any]:
    assert limit is not None
    members: list[Any] = []
    while kept_bytes(members) <= limit:
        members.append(make(None))
    return members[:-1]
