"""`traceparent` of events, in each accepted form."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import OutRecord, Record
from schemas.trace import traceparent
from schemas.wire import parse_published, parse_record, to_record

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CLOUD = {"ce_id": "1", "ce_type": "customer.created", "ce_specversion": "1.0"}
STRUCTURED = {"specversion": "1.0", "id": "1", "type": "customer.created", "subject": "anna"}
SEGMENT = {"type": "identify", "userId": "anna", "messageId": "1"}


def read(headers: dict[str, str], value: object = None) -> str:
    raw = tuple((name, text.encode()) for name, text in headers.items())
    body = json.dumps(value or {}).encode()
    return parse_record(Record("t", 0, 0, 0, b"anna", body, raw)).traceparent


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        (CLOUD | {"traceparent": TRACE}, None),
        (CLOUD | {"ce_traceparent": TRACE}, None),
        ({"traceparent": TRACE}, STRUCTURED),
        ({"traceparent": TRACE}, SEGMENT),
        ({}, STRUCTURED | {"traceparent": TRACE}),
        ({}, SEGMENT | {"context": {"traceparent": TRACE}}),
        ({}, {"key": "anna", "headers": CLOUD | {"traceparent": TRACE}, "value": {}}),
    ],
)
def test_it_is_read_wherever_it_stands(headers: dict[str, str], value: object) -> None:
    assert read(headers, value) == TRACE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-1",
        TRACE.upper(),
        TRACE + "-00",
        TRACE + "\n",
        "ff" + TRACE[2:],
        TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        TRACE.replace("00f067aa0ba902b7", "0" * 16),
        "è" * 55,
    ],
)
def test_what_is_none_is_left_out_and_the_event_counts(text: str) -> None:
    assert read(CLOUD | {"traceparent": text}) == ""
    assert read({}, STRUCTURED | {"traceparent": text}) == ""
    assert read({}, SEGMENT | {"context": {"traceparent": text}}) == ""


@pytest.mark.parametrize("context", [None, [], "x", {"traceparent": 7}])
def test_an_odd_context_is_no_trace(context: object) -> None:
    assert read({}, SEGMENT | {"context": context}) == ""


def test_it_is_written_as_it_was_read() -> None:
    event = parse_published(json.dumps(STRUCTURED | {"traceparent": TRACE}))
    written = to_record(event)
    assert ("traceparent", TRACE.encode()) in written.headers
    assert parse_record(Record("t", 0, 0, 0, *written)).traceparent == TRACE
    untraced: OutRecord = to_record(event._replace(traceparent=""))
    assert "traceparent" not in dict(untraced.headers)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert traceparent(text) in ("", text)
