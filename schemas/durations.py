"""Durations and times of the day as people write them in workflow files."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from schemas.time_units import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS

_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_UNITS_MS = (WEEK_MS, DAY_MS, HOUR_MS, MINUTE_MS, 1_000)
MAX_DURATION = 10 * 366 * DAY_MS
"""Nobody waits for longer than ten years, and instants stay within what a calendar can write."""
_SHORT_NAMES = ("w", "d", "h", "m", "s")


def parse_duration(value: Any) -> int:
    """Read `1h`, `2d12h`, `30m`, `0s` as milliseconds. Raises ValueError naming the value."""
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not any(match.groups()):
        raise ValueError(f"not a duration such as 30m, 1h or 2d12h: {value!r}")
    duration = sum(
        int(count) * unit
        for count, unit in zip(match.groups(), _UNITS_MS, strict=True)
        if count is not None
    )
    if duration > MAX_DURATION:
        raise ValueError(f"longer than ten years: {value[:40]!r}")
    return duration


def duration_text(milliseconds: int) -> str:
    """Return the shortest text that `parse_duration` reads as the same duration."""
    parts, rest = [], milliseconds
    for unit, name in zip(_UNITS_MS, _SHORT_NAMES, strict=True):
        count, rest = divmod(rest, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["2d12h"]}),
]
