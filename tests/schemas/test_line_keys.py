"""Whose a refused line is, whatever is wrong with it."""

from __future__ import annotations

import json

import pytest

from schemas.line_keys import key_of


@pytest.mark.parametrize(
    ("line", "key"),
    [
        # Segment, CloudEvents, a recorded line, and what they hold inside.
        ({"type": "track", "event": "No Such Thing", "userId": "anna"}, b"anna"),
        ({"type": "track", "userId": "anna", "anonymousId": "v1"}, b"anna"),
        ({"type": "page", "anonymousId": "v1"}, b"v1"),
        ({"type": "page", "userId": 17}, b"17"),
        ({"specversion": "1.0", "subject": " anna "}, b"anna"),
        ({"specversion": "1.0", "data": {"customer_id": "anna"}}, b"anna"),
        ({"key": "anna", "headers": {}, "value": {}}, b"anna"),
        ({"userId": "àn\nna"}, "àn\nna".encode()),
        # Nobody's.
        ({"type": "track"}, None),
        ({"userId": ""}, None),
        ({"userId": True}, None),
        ({"userId": ["anna"]}, None),
        ({"userId": "x" * 201}, None),
        ([{"userId": "anna"}], None),
        ("anna", None),
    ],
)
def test_where_a_line_says_whom_it_is_about(line: object, key: bytes | None) -> None:
    assert key_of(json.dumps(line).encode()) == key


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"type": "track", "anonymousId": "v1", "userId": "anna", "properties": {"a"', b"anna"),
        (b'{"userId": "a\\"n\\u006ea", ', b'a"nna'),
        (b'{"userId": 17, ', b"17"),
        (b'{"userId": "anna\xff", "x": 1}', "anna\ufffd".encode()),
        (b'{"userId": "ann', None),
        (b"userId=anna", None),
        (b'{"userId": "\\' * 50_000, None),
        (b"\x00\xff", None),
        (b"", None),
    ],
)
def test_a_line_that_is_cut_off_says_it_too(line: bytes, key: bytes | None) -> None:
    assert key_of(line) == key
