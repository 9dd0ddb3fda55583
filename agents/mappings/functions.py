"""Functions of a mapping's expressions besides CEL's own. What is null stays null."""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

MAX_TEXT = 65_536
"""Characters of a text that goes into an expression, and of one that comes out."""

MAX_SCALE = 38
"""Places behind the point: what SQL's decimals have at most."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decimal(value: Any, scale: int) -> str:
    """Return the amount of which `value` is the unscaled number: a whole one, or big-endian bytes
    in base64, as Kafka Connect writes decimals in JSON. Raises ValueError."""
    if not 0 <= scale <= MAX_SCALE:
        raise ValueError(f"decimal: a scale from 0 to {MAX_SCALE} is needed (got {scale})")
    if isinstance(value, bytes):
        unscaled = int.from_bytes(value, signed=True)
    elif isinstance(value, str):
        try:
            unscaled = int.from_bytes(base64.b64decode(value, validate=True), signed=True)
        except binascii.Error:
            raise ValueError(f"decimal: not base64 (got {value[:40]!r})") from None
    elif isinstance(value, int) and not isinstance(value, bool):
        unscaled = value
    else:
        raise ValueError(f"decimal: neither a whole number nor base64 (got {value!r})"[:100])
    if abs(unscaled) >= 10**MAX_SCALE:
        raise ValueError("decimal: more than 38 digits")
    return f"{Decimal(unscaled).scaleb(-scale):f}"


def _instant(value: Any, name: str, per_second: int) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: not a number (got {value!r})"[:100])
    try:
        moment = _EPOCH + timedelta(microseconds=int(value * (1_000_000 / per_second)))
    except OverflowError:
        raise ValueError(f"{name}: no point in time (got {value})") from None
    return moment.isoformat().replace("+00:00", "Z")


def _seconds(value: Any) -> str:
    return _instant(value, "seconds", 1)


def _millis(value: Any) -> str:
    return _instant(value, "millis", 1_000)


def _micros(value: Any) -> str:
    return _instant(value, "micros", 1_000_000)


def _days(value: Any) -> str:
    return _instant(value * 86_400, "days", 1)[:10]


def _replace(text: str, old: str, new: str) -> str:
    if len(text) + text.count(old) * len(new) > MAX_TEXT:
        raise ValueError("replace: the text becomes too long")
    return text.replace(old, new)


def _hash(text: str) -> str:
    """Return a name that is the same for the same text and tells nothing of it: for a key."""
    return sha256(text.strip().lower().encode()).hexdigest()[:32]


def _null_stays(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*values: Any) -> Any:
        return None if values and values[0] is None else function(*values)

    return called


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "decimal": decimal,
    "seconds": _seconds,
    "millis": _millis,
    "micros": _micros,
    "days": _days,
    "lower": str.lower,
    "upper": str.upper,
    "trim": str.strip,
    "replace": _replace,
    "hash": _hash,
}

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    name: _null_stays(function) for name, function in _FUNCTIONS.items()
}
"""By name: `decimal(bytes, 2)`, `millis(1767225600000)`, `lower(value.email)`."""
