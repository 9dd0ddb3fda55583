"""Reads JSON in which half of a character stands: JavaScript and PHP cut texts in the middle of an
emoji, and write a surrogate without its other half, which no JSON may have."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json

from schemas.events.odd import OddField, shown

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_REPLACED = "\ufffd"
_REFUSED = "\x1a"
"""In an id, where no control character may stand."""
_AROUND = ("properties", "traits", "data", "value")


def whole(text: bytes | str) -> bytes:
    """Return JSON text in which U+FFFD stands for each half of a character."""
    given = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], given)


def read(text: bytes | str) -> tuple[Any, list[OddField]]:
    """Return what JSON text says, and the first text of which a half was replaced. In ids a half
    becomes what is refused there. Raises ValueError."""
    try:
        return from_json(text), []
    except ValueError:
        mended = whole(text)
        if rb"\ufffd" not in mended:
            raise
    odd: list[OddField] = []
    return _without_ids(from_json(mended), (), odd), odd


def _without_ids(value: Any, path: tuple[str, ...], odd: list[OddField]) -> Any:
    if isinstance(value, dict):
        return {name: _without_ids(each, (*path, name), odd) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_ids(each, (*path, str(n)), odd) for n, each in enumerate(value)]
    if not isinstance(value, str) or _REPLACED not in value:
        return value
    if path and path[-1].lower().endswith(("id", "sku", "key", "subject")):
        return value.replace(_REPLACED, _REFUSED)
    if not odd:
        field = path[1:] if path[:1] and path[0] in _AROUND else path
        odd.append(OddField(".".join(field), shown(value), "unreadable", kept=True))
    return value
