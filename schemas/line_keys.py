"""Whose a line is that was refused: the key of its dead letter, so that an export or an erasure
finds it, as it finds the letter of a record."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json

from schemas.bounds import KEY_BYTES

READ_BYTES = 1_048_576
"""Of a line that is no JSON are looked at; a letter keeps no more of it."""

_NAMES = ("userId", "subject", "key", "customer_id", "user_id", "anonymousId", "anonymousid",
          "anonymous_id")  # fmt: skip
"""Where the forms of an event say whom it is about, the surest first."""

_INSIDE = ("data", "properties", "value", "traits")

_BROKEN = re.compile(
    rf'"(?P<name>{"|".join(_NAMES)})"\s*:\s*'
    r'(?:"(?P<text>(?:[^"\\]|\\.){1,1200})"|(?P<number>\d{1,40}))'
)


def key_of(line: bytes) -> bytes | None:
    """Return the id of whom a line is about, None where none can be read, be it that it is cut
    off in the middle."""
    line = line[:READ_BYTES]
    try:
        body = from_json(line)
    except ValueError:
        return _key(_of_broken(line.decode("utf-8", "replace")))
    return _key(_of_object(body)) if isinstance(body, dict) else None


def _of_object(body: dict[str, Any]) -> str | None:
    inner = [body[name] for name in _INSIDE if isinstance(body.get(name), dict)]
    for name in _NAMES:
        for each in (body, *inner):
            if found := _text(each.get(name)):
                return found
    return None


def _of_broken(text: str) -> str | None:
    """What a line that is no JSON says nevertheless, where it says it as JSON does."""
    found: dict[str, str] = {}
    for match in _BROKEN.finditer(text):
        found.setdefault(match["name"], match["number"] or _unescaped(match["text"]))
    return next((found[name] for name in _NAMES if found.get(name)), None)


def _unescaped(text: str) -> str:
    try:
        return _text(from_json(f'"{text}"')) or ""
    except ValueError:
        return ""


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def _key(id_: str | None) -> bytes | None:
    key = b"" if id_ is None else id_.encode("utf-8", "replace")
    return key if 0 < len(key) <= KEY_BYTES else None
