"""What is noted of odd fields: bounded, and what was left out before what was read otherwise."""

from __future__ import annotations

import pytest

from schemas.events import Event
from schemas.events.odd import (
    HEADER,
    ODD_FIELD,
    ODD_KEPT,
    ODD_VALUE,
    OddField,
    header,
    noted,
    of_header,
    shown,
)
from schemas.events.shopping import PageViewed
from schemas.records import Record
from schemas.wire import parse_record, to_record


def test_few_are_noted_as_they_come() -> None:
    odd = [
        OddField("total", "'10,00'", "format", True),
        OddField("tax", "'x'", "unreadable", False),
    ]
    assert noted(odd) == tuple(odd)


def test_of_many_those_left_out_are_noted_first_and_the_rest_is_counted() -> None:
    repaired = [OddField(f"products.{n}.price", "'1,5'", "format", True) for n in range(10)]
    left_out = OddField("tax", "'x'", "unreadable", False)

    kept = noted([*repaired, left_out])

    assert kept == (left_out, *repaired[: ODD_KEPT - 1], OddField("", "3", "more", True))


def test_a_value_is_cut() -> None:
    assert shown("x" * 1000) == "'" + "x" * (ODD_VALUE - 2) + "…"
    assert shown([1]) == "[1]"


def test_a_record_in_our_own_words_says_what_was_odd_about_the_senders() -> None:
    odd = (
        OddField("products.2.price", "''", "empty", False),
        OddField("zone", "", "assumed", True),
    )
    event = Event("1", "page.viewed", "/shop", None, "anna", None, False, PageViewed(), odd=odd)
    key, value, headers = to_record(event)
    record = Record("customer-events", 0, 0, 1, key, value, headers)
    assert parse_record(record).odd == odd
    assert [each.name for each in odd] == ["products.price", "zone"]
    assert "ritorno_odd" not in dict(to_record(event._replace(odd=())).headers)


@pytest.mark.parametrize("said", [b"{", b"[1]", b'[["a","b","invented",true]]', b"\xff"])
def test_what_somebody_else_writes_there_is_nothing(said: bytes) -> None:
    headers = (("ce_type", b"page.viewed"), ("ce_id", b"1"), (HEADER, said))
    assert parse_record(Record("customer-events", 0, 0, 1, b"anna", b"{}", headers)).odd == ()


def test_a_header_holds_no_more_than_an_event() -> None:
    many = tuple(OddField("f" * 999, "v" * 999, "kind", True) for _ in range(100))
    found = of_header(header(many)[1])
    assert len(found) == ODD_KEPT + 1
    assert {(len(each.field), len(each.value)) for each in found} == {(ODD_FIELD, ODD_VALUE)}
