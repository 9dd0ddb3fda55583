"""Halves of characters, and history that is said beside its place."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from schemas.records import Record
from schemas.validation import Unreadable
from schemas.wire import parse_published, parse_record
from streams.tools.publisher import read_lines
from streams.tools.replay_dealing import Dealer

ORDER = {"order_id": "o", "total": "1"}
SEGMENT = {"type": "track", "event": "Order Completed", "messageId": "m", "userId": "a",
           "timestamp": "2026-03-02T10:00:00Z", "properties": ORDER}  # fmt: skip
CLOUD = {"specversion": "1.0", "id": "c", "source": "/s", "type": "order.completed",
         "time": "2026-03-02T10:00:00Z", "subject": "a", "data": ORDER}  # fmt: skip
RECORDED = {"key": "a", "value": ORDER, "headers": {
    "ce_id": "c", "ce_type": "order.completed", "ce_time": "2026-03-02T10:00:00Z"}}  # fmt: skip


def with_name(name: str, **fields: Any) -> str:
    line = json.dumps(SEGMENT | {"properties": ORDER | {"products": [
        {"product_id": "p", "name": "NAME"}]}} | fields)  # fmt: skip
    return line.replace("NAME", name)


@pytest.mark.parametrize("half", ["\\ud83d", "\\uDE00", "\\ud83dx", "\\ud83d\\ud83d\\ude00"])
def test_half_of_a_character_costs_no_event(half: str) -> None:
    for line in (with_name(f"Moka {half}"), with_name(f"Moka {half}").encode()):
        event = parse_published(line)
        assert event.data.products[0].name.startswith("Moka \ufffd")
        assert [(o.field, o.problem, o.kept) for o in event.odd] == [
            ("products.0.name", "unreadable", True)
        ]


def test_whole_characters_and_backslashes_stay() -> None:
    assert parse_published(with_name("\\ud83d\\ude00")).odd == ()
    name = parse_published(with_name("a\\\\ud83d \\ud83d")).data.products[0].name
    assert name == "a\\ud83d \ufffd"


def test_half_of_a_character_in_an_id_is_refused() -> None:
    for name in ("userId", "messageId"):
        with pytest.raises(Unreadable):
            parse_published(json.dumps(SEGMENT | {name: "a\ud83d"}))
    assert parse_published(json.dumps(SEGMENT | {"anonymousId": "a\ud83d"})).anonymous_id is None
    with pytest.raises(Unreadable, match="order_id"):
        parse_published(json.dumps(SEGMENT | {"properties": ORDER | {"order_id": "\ud83d"}}))
    with pytest.raises(Unreadable, match="JSON"):
        parse_published('{"a": "\\ud83d"')


def test_half_of_a_character_in_a_record() -> None:
    headers = (("ce_id", b"m"), ("ce_type", b"page.viewed"))
    event = parse_record(Record("t", 0, 0, 0, b"a", b'{"title": "x \\ud83d"}', headers))
    assert (event.data.title, event.odd[0].field) == ("x \ufffd", "title")


def test_a_line_with_half_a_character_is_dealt_to_its_customer() -> None:
    line = with_name("Moka \\ud83d").encode()
    whole = with_name("Moka").encode()
    for user in range(5):
        both = [each.replace(b'"a"', b'"u%d"' % user) for each in (line, whole)]
        dealer = Dealer(both)
        assert len({dealer.deal(each).partition for each in both}) == 1


def places(said: Any) -> list[dict[str, Any]]:
    return [
        SEGMENT | {"backfill": said},
        SEGMENT | {"Backfill": said},
        SEGMENT | {"context": {"backfill": said}},
        SEGMENT | {"context": {"Backfill": said}},
        SEGMENT | {"context": [{"BACKFILL": said}]},
        SEGMENT | {"context": json.dumps({"backfill": said})},
        SEGMENT | {"properties": ORDER | {"backfill": said}},
        SEGMENT | {"context": {"backfill": False}, "backfill": said},
        CLOUD | {"backfill": said},
        CLOUD | {"BackFill": said},
        CLOUD | {"ritornobackfill": said},
        CLOUD | {"data": ORDER | {"backfill": said}},
        CLOUD | {"data": ORDER | {"is_backfill": said}},
        RECORDED | {"value": ORDER | {"backfill": said}},
        RECORDED | {"headers": RECORDED["headers"] | {"ce_ritornobackfill": str(said)}},  # type: ignore[operator]  # of a test's own object
    ]


@pytest.mark.parametrize("yes", [True, "true", "Yes ", 1])
def test_history_is_said_in_any_place(yes: Any) -> None:
    for body in places(yes):
        assert parse_published(json.dumps(body)).backfill is True


def test_history_that_cant_be_read_is_refused_in_any_place() -> None:
    for body in places("perhaps"):
        with pytest.raises(Unreadable, match="neither true nor false"):
            parse_published(json.dumps(body))


def test_what_is_not_said_is_no_history() -> None:
    for body in (
        SEGMENT,
        CLOUD,
        RECORDED,
        SEGMENT | {"type": " TRACK"},
        SEGMENT | {"backfill": "no"},
        CLOUD | {"backfill": ""},
    ):
        assert parse_published(json.dumps(body)).backfill is False


def test_history_is_said_in_a_record() -> None:
    headers = [("ce_id", b"m"), ("ce_type", b"page.viewed"), ("ce_time", b"2026-03-02T10:00:00Z")]
    for value, more in (
        (b'{"backfill": "true"}', []),
        (b"{}", [("ce_ritornobackfill", b"true")]),
    ):
        assert parse_record(Record("t", 0, 0, 0, b"a", value, headers + more)).backfill


def test_a_byte_order_mark_may_begin_any_line() -> None:
    lines = b"\xef\xbb\xbf{}\n\xef\xbb\xbf[]\n"
    assert [each.content for each in read_lines(io.BytesIO(lines))] == [b"{}", b"[]"]
