"""Bad input: each is refused with the right reason and a detail that names field and value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letters import (
    MAX_DETAIL,
    OWN_HEADERS,
    DeadLetter,
    Resolution,
    read_letter,
    refuse,
    refuse_line,
    resolve,
)
from schemas.records import OutRecord, Record
from schemas.validation import Unreadable
from schemas.wire import MAX_EVENT_BYTES, parse_published, parse_record

REASONS = {"invalid_json", "invalid_event", "missing_id", "unknown_type", "too_large"}
NESTED = b"[" * 500_000 + b"]" * 400_000
ORDER = {"order_id": "o1", "products": [{"product_id": "p1", "price": "9.90"}]}
HEADERS = {"ce_id": b"e1", "ce_source": b"/shop", "ce_type": b"order.completed",
           "ce_time": b"2026-03-02T10:00:00Z"}  # fmt: skip


def order(**fields: Any) -> bytes:
    return json.dumps(ORDER | fields).encode()


def product(**fields: Any) -> bytes:
    return json.dumps(ORDER | {"products": [{"product_id": "p1"} | fields]}).encode()


BINARY: list[tuple[str, bytes | None, dict[str, Any], str, str, str]] = [
    # (key, value, changed headers, reason, names, shows)
    ("k", b"not json", {}, "invalid_json", "value", "not json"),
    ("k", b"[1]", {}, "invalid_event", "value", "[1]"),
    ("k", b"null", {}, "invalid_event", "order_id", "missing"),
    ("k", b"{}", {}, "invalid_event", "order_id", "missing"),
    ("k", None, {}, "invalid_event", "order_id", "missing"),
    ("k", NESTED, {}, "invalid_json", "value", "recursion"),
    ("k", b'{"a":' + NESTED + b"}", {}, "invalid_json", "value", "recursion"),
    ("k", b'{"order_id": "\xff"}', {}, "invalid_json", "value", "unicode"),
    ("k", order(order_id=["o1"]), {}, "invalid_event", "order_id", '["o1"]'),
    ("k", order(order_id=""), {}, "invalid_event", "order_id", "''"),
    ("k", order(order_id="a\r\nb"), {}, "invalid_event", "order_id", r"a\r\nb"),
    ("k", order(order_id="x" * 201), {}, "invalid_event", "order_id", "xxx"),
    ("k", order(products="p1"), {}, "invalid_event", "products", "'p1'"),
    ("k", order(products=[{}]), {}, "invalid_event", "products.0.product_id", "missing"),
    ("k", order(products=[{"product_id": "p"}] * 2001), {}, "invalid_event", "products", "2000"),
    ("k", product(price=True), {}, "invalid_event", "products.0.price", "True"),
    ("k", product(price="NaN"), {}, "invalid_event", "products.0.price", "NaN"),
    ("k", product(price="Infinity"), {}, "invalid_event", "products.0.price", "Infinity"),
    ("k", product(price=float("nan")), {}, "invalid_event", "products.0.price", "nan"),
    ("k", product(price=float("inf")), {}, "invalid_event", "products.0.price", "inf"),
    ("k", b'{"order_id":"o","total":1e999}', {}, "invalid_event", "total", "inf"),
    ("k", product(price="1e999"), {}, "invalid_event", "products.0.price", "1e999"),
    ("k", product(price="9" * 5000), {}, "invalid_event", "products.0.price", "999"),
    ("k", product(quantity=-(10**7)), {}, "invalid_event", "products.0.quantity", "-10000000"),
    ("k", product(quantity=10**30), {}, "invalid_event", "products.0.quantity", "1000000"),
    ("k", order(), {"ce_type": b"order.exploded"}, "unknown_type", "type", "order.exploded"),
    ("k", order(), {"ce_type": b"ritorno.tick"}, "unknown_type", "type", "ritorno.tick"),
    ("k", order(), {"ce_type": b"\xff"}, "invalid_event", "ce_type", r"\xff"),
    ("k", order(), {"ce_type": None}, "unknown_type", "type", "''"),
    ("k", order(), {"ce_id": None}, "missing_id", "ce_id", "''"),
    ("k", order(), {"ce_id": b"a\nb"}, "invalid_event", "ce_id", r"a\nb"),
    ("k", order(), {"ce_id": b"\xc3"}, "invalid_event", "ce_id", r"\xc3"),
    ("k", order(), {"ce_time": b"\xfe"}, "invalid_event", "ce_time", r"\xfe"),
    ("", order(), {}, "missing_id", "key", "''"),
    ("\x00progress", order(), {}, "invalid_event", "key", "progress"),
    ("k" * 201, order(), {}, "invalid_event", "key", "kkk"),
    ("k", b'{"order_id":"' + b"x" * MAX_EVENT_BYTES + b'"}', {}, "too_large", "bytes", "1000000"),
]


@pytest.mark.parametrize("visitor", [b"a\rb", b"\xfe", b"v" * 201])
def test_a_visitors_id_that_is_none_costs_no_customers_event(visitor: bytes) -> None:
    headers = tuple((HEADERS | {"ce_anonymousid": visitor}).items())
    read = parse_record(Record("customer-events", 0, 0, 0, b"k", order(), headers))
    assert (read.customer, read.anonymous_id) == ("k", None)
    assert [odd.field for odd in read.odd] == ["ce_anonymousid"]


@pytest.mark.parametrize(("key", "value", "changed", "reason", "names", "shows"), BINARY)
def test_binary(
    key: str, value: bytes | None, changed: dict[str, Any], reason: str, names: str, shows: str
) -> None:
    headers = tuple((HEADERS | changed).items())
    with pytest.raises(Unreadable) as caught:
        parse_record(Record("customer-events", 0, 0, 0, key.encode(), value, headers))
    assert caught.value.reason == reason, caught.value.detail
    assert names in caught.value.detail
    assert shows in caught.value.detail
    assert len(caught.value.detail) < MAX_DETAIL


def test_a_key_that_is_no_text_or_missing() -> None:
    for key, reason in [(b"\xff\xfe", "invalid_event"), (None, "missing_id")]:
        with pytest.raises(Unreadable) as caught:
            parse_record(Record("t", 0, 0, 0, key, order(), tuple(HEADERS.items())))
        assert caught.value.reason == reason
        assert caught.value.detail.startswith("key: ")
    with pytest.raises(Unreadable, match="no value"):
        parse_record(Record("t", 0, 0, 0, b"k", None, ()))


CLOUD: dict[str, Any] = {"specversion": "1.0", "id": "e1", "type": "list.subscribed",
                         "subject": "anna", "data": {}}  # fmt: skip
TRACK: dict[str, Any] = {"type": "track", "event": "Order Completed", "messageId": "e1",
                         "userId": "anna", "properties": ORDER}  # fmt: skip
LINES: list[tuple[Any, str, str]] = [
    (b"{", "invalid_json", "not JSON"),
    (b"", "invalid_json", "not JSON"),
    (b"\xff", "invalid_json", "not JSON"),
    (NESTED, "invalid_json", "recursion"),
    (b'"text"', "invalid_event", "str"),
    (b" " * (MAX_EVENT_BYTES + 1), "too_large", str(MAX_EVENT_BYTES)),
    ({}, "invalid_event", "neither"),
    ({"type": "batch", "batch": []}, "invalid_event", "batch: 0 calls in one object"),
    ({"batch": [TRACK, TRACK]}, "invalid_event", "batch: 2 calls in one object"),
    ({"type": "teleport"}, "invalid_event", "'teleport'"),
    ({"type": ["track"]}, "invalid_event", "['track']"),
    (CLOUD | {"specversion": "0.3"}, "invalid_event", "specversion"),
    (CLOUD | {"id": None}, "missing_id", "id"),
    (CLOUD | {"id": ""}, "missing_id", "id"),
    ({k: v for k, v in CLOUD.items() if k != "id"}, "missing_id", "id"),
    (CLOUD | {"subject": None}, "missing_id", "subject"),
    (CLOUD | {"subject": "a\nb"}, "invalid_event", "subject"),
    (CLOUD | {"type": "list.exploded"}, "unknown_type", "list.exploded"),
    (CLOUD | {"type": 5}, "unknown_type", "'5'"),
    (CLOUD | {"data": [1]}, "invalid_event", "data"),
    (CLOUD | {"time": 10**5000}, "invalid_json", "not JSON"),
    (CLOUD | {"backfill": "perhaps"}, "invalid_event", "backfill"),
    (TRACK | {"messageId": None}, "missing_id", "messageId"),
    ({k: v for k, v in TRACK.items() if k != "messageId"}, "missing_id", "messageId"),
    (TRACK | {"event": " "}, "unknown_type", "' '"),
    (TRACK | {"event": None}, "unknown_type", "None"),
    (TRACK | {"properties": "p"}, "invalid_event", "properties: not an object (got 'p')"),
    (TRACK | {"userId": None}, "missing_id", "userId, anonymousId"),
    (TRACK | {"userId": ""}, "missing_id", "userId, anonymousId"),
    (TRACK | {"userId": {"a": 1}}, "invalid_event", "customer id"),
    ({"headers": [], "value": {}}, "invalid_event", "headers"),
    ({"headers": {"ce_id": 1}, "value": {}}, "invalid_event", "headers"),
    ({"headers": {"ce_id": "1"}, "value": {}}, "invalid_event", "ce_type"),
    ({"headers": {"ce_id": "1", "ce_type": "page.viewed"}, "value": {}, "key": 5},
     "invalid_event", "key"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "reason", "shows"), LINES)
def test_lines(line: Any, reason: str, shows: str) -> None:
    raw = line if isinstance(line, bytes) else _dumps(line)
    with pytest.raises(Unreadable) as caught:
        parse_published(raw)
    assert caught.value.reason == reason, caught.value.detail
    assert shows in caught.value.detail
    assert len(caught.value.detail) < MAX_DETAIL


def _dumps(line: Any) -> bytes:
    if isinstance(line.get("time"), int) and line["time"] > 10**400:
        rest = json.dumps(line | {"time": 0})
        return rest.replace('"time": 0', '"time": ' + "1" * 5000 + "x").encode()
    return json.dumps(line).encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
fields = st.sampled_from(["id", "type", "subject", "data", "time", "messageId", "userId", "event",
                          "properties", "traits", "anonymousId", "key", "headers", "value",
                          "specversion", "products", "order_id", "price", "email"])  # fmt: skip


@given(st.sampled_from([CLOUD, TRACK, {}]), st.dictionaries(fields, json_values))
def test_whatever_it_is_it_is_read_or_refused(base: dict[str, Any], extra: dict[str, Any]) -> None:
    try:
        parse_published(json.dumps(base | extra))
    except Unreadable as error:
        assert error.reason in REASONS


@given(
    st.none() | st.binary(max_size=8), st.none() | st.binary(max_size=40),
    st.dictionaries(st.sampled_from(["ce_id", "ce_type", "ce_time", "ce_source", "ce_anonymousid"]),
                    st.none() | st.binary(max_size=12)),
)  # fmt: skip
def test_whatever_lies_in_the_log_is_read_or_refused(
    key: bytes | None, value: bytes | None, headers: dict[str, Any]
) -> None:
    merged = {"ce_type": b"page.viewed", "ce_id": b"e"} | headers
    try:
        parse_record(Record("t", 0, 0, 0, key, value, tuple(merged.items())))
    except Unreadable as error:
        assert error.reason in REASONS


def test_a_dead_letter_keeps_the_record_and_says_why_and_whence() -> None:
    headers = (("ce_id", b"\xff"), ("dl_topic", b"an earlier refusal"))
    record = Record("customer-events", 3, 77, 1_772_445_600_123, b"k\xff", None, headers)
    letter = refuse(record, reason="invalid_event", detail="x" * 900, time=record.timestamp)
    assert [name for name, _ in letter.headers[-6:]] == list(OWN_HEADERS)
    read = read_letter(Record("dead-letters", 1, 5, 0, *letter))
    assert isinstance(read, DeadLetter)
    assert read.original == OutRecord(b"k\xff", None, headers)
    assert (read.id, read.origin, read.time) == (
        "1:5",
        ("customer-events", 3, 77),
        record.timestamp,
    )
    assert len(read.detail) == MAX_DETAIL
    done = resolve(read)
    assert read_letter(Record("dead-letters", 1, 6, 0, *done)) == Resolution(1, 5)


def test_a_refused_line_and_a_foreign_record() -> None:
    letter = refuse_line(b"{", topic="customer-events", number=7, reason="invalid_json",
                         detail="not JSON \ud800", time=1_772_445_600_000)  # fmt: skip
    read = read_letter(Record("dead-letters", 0, 0, 0, *letter))
    assert isinstance(read, DeadLetter)
    assert (read.origin, read.original) == (("customer-events", -1, 7), OutRecord(None, b"{", ()))
    with pytest.raises(ValueError, match="not a dead letter"):
        read_letter(Record("dead-letters", 0, 0, 0, None, b"x"))
