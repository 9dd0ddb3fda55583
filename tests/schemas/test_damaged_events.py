"""Random damage of optional fields never refuses an event, whatever its type; that of needed ones
refuses with the field's name, and nothing raises anything but Unreadable."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from schemas.bounds import KEY_BYTES
from schemas.events import INTERNAL_TYPES, PAYLOADS
from schemas.events.odd import ODD_KEPT
from schemas.field_kinds import FieldKind, field_kinds
from schemas.notation import Notation
from schemas.outcomes import OUTCOMES
from schemas.records import Record
from schemas.validation import Unreadable
from schemas.wire import parse_published, parse_record, to_record
from tests.schemas.test_wire import minimal

SHOP = Notation(shop_url="https://shop.example", decimal_marks={"/": "point"})
TYPES = sorted(PAYLOADS.keys() - INTERNAL_TYPES - OUTCOMES.keys())
ODD: list[Any] = [
    "", " ", "\u00a0", None, [], {}, [[]], "n/a", "null", "NaN", "Infinity", "-1", "10,00", "€ 5",
    "1.234,56", "free", True, False, 0, -1, 1.5, 10**30, 1e300, ["A"], ["A", "B"], {"a": 1}, [{}],
    [None], "x" * 3000, "è" * 300, "a@b.it, c@d.it", "\ufeffa@b.it", "data:image/png;base64,AA",
    "/relative", "www.shop.it/x y", "UTC+2", "Mars/Olympus", "perhaps", {"0": {"product_id": "p"}},
    '{"product_id": "p"}', "[1, 2", "0000-00-00", "€", "EURO",
]  # fmt: skip
"""Values that no field wants. None has control characters, which an id must not, or one comma and
three digits, which only a source that declares its mark may."""


def optional(model: type[BaseModel]) -> list[FieldKind]:
    """Return the fields whose damage must not cost an event."""
    kinds = {each.name: each for each in field_kinds(model).values()}
    return [each for each in kinds.values() if not each.required and not each.strict]


def event(type_: str, data: dict[str, Any]) -> bytes:
    body = {"specversion": "1.0", "id": "e", "source": "/shop", "type": type_, "subject": "anna"}
    return json.dumps(body | {"data": data}).encode()


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damage_of_optional_fields_never_refuses(data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from(TYPES))
    kinds = optional(PAYLOADS[type_])
    sound = minimal(type_) | ({"revenue": "9.00"} if type_ == "order.completed" else {})
    damaged = dict(sound)
    for kind in data.draw(st.lists(st.sampled_from(kinds), max_size=6)) if kinds else []:
        if kind.name != "revenue":
            damaged[kind.name] = data.draw(st.sampled_from(ODD))
        if kind.kind == "list" and kind.model is not None:
            inside = [each.name for each in optional(kind.model)]
            line = st.dictionaries(st.sampled_from(inside), st.sampled_from(ODD), max_size=4)
            damaged[kind.name] = [
                {"product_id": "p"} | each
                for each in data.draw(st.lists(line | st.just({"product_id": ""}), max_size=3))
            ]
    read = parse_published(event(type_, damaged), SHOP)
    assert len(read.odd) <= ODD_KEPT + 1
    written = to_record(read)
    again = parse_record(Record("t", 0, 0, 0, *written), SHOP)
    assert to_record(again).value == written.value


@pytest.mark.parametrize("type_", TYPES)
def test_damage_of_a_needed_field_refuses_with_its_name(type_: str) -> None:
    model, sound = PAYLOADS[type_], minimal(type_)
    for kind in {each.name: each for each in field_kinds(model).values() if each.required}.values():
        for odd in ("", [], {"a": 1}, True, "x" * (KEY_BYTES + 1)):
            if kind.kind == "text" and odd not in ([], {"a": 1}, True):
                continue  # a text may be empty, and of a long one the beginning is kept
            with pytest.raises(Unreadable, match=kind.name) as refused:
                parse_published(event(type_, sound | {kind.name: odd}))
            assert "got" in refused.value.detail


json_values = st.recursive(
    st.sampled_from(ODD) | st.text(max_size=20) | st.floats() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@given(st.sampled_from(TYPES), st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_its_fields_it_is_read_or_refused(
    type_: str, data: st.DataObject
) -> None:
    names = [str(key) for key in field_kinds(PAYLOADS[type_])]
    fields = st.dictionaries(st.sampled_from(names), json_values) if names else st.just({})
    try:
        read = parse_published(event(type_, minimal(type_) | data.draw(fields)), SHOP)
    except Unreadable as error:
        assert error.reason in {"invalid_event", "invalid_json"}
    else:
        assert parse_record(Record("t", 0, 0, 0, *to_record(read)), SHOP).type == type_
