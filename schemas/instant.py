"""Points in time: milliseconds since the epoch in memory, RFC 3339 in UTC on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

EARLIEST = 946_684_800_000
"""2000-01-01T00:00:00Z. An older event is a device whose clock was reset, not a purchase."""
LATEST = 4_102_444_800_000
"""2100-01-01T00:00:00Z. The same at the other end."""

SECONDS_CACHED = 1_024
"""Texts of seconds: what is decided together is written with the same few times again and again."""


def to_datetime(instant: int) -> datetime:
    """Return `instant` (ms since the epoch) as an aware datetime in UTC."""
    return UNIX_EPOCH + instant * MILLISECOND


def from_datetime(moment: datetime) -> int:
    """Return an aware datetime as ms since the epoch; fractions of a millisecond are cut off."""
    return (moment - UNIX_EPOCH) // MILLISECOND


def to_rfc3339(instant: int) -> str:
    """Return `2026-03-01T09:30:00Z`, with three decimals only when there are milliseconds."""
    second, milliseconds = divmod(instant, 1000)
    if milliseconds:
        return f"{_to_the_second(second)}.{milliseconds:03}Z"
    return f"{_to_the_second(second)}Z"


@lru_cache(maxsize=SECONDS_CACHED)
def _to_the_second(second: int) -> str:
    return to_datetime(second * 1000).replace(tzinfo=None).isoformat(timespec="seconds")


def parse_instant(value: Any) -> int:
    """Read an RFC 3339 text or ms since the epoch. Raises ValueError naming the value.

    A text without a zone is taken as UTC: exports of shops often leave the Z out.
    """
    if isinstance(value, bool):
        raise ValueError(f"not a point in time: {value!r}")
    if isinstance(value, int):
        instant = value
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"not an RFC 3339 time: {value[:64]!r}") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        instant = from_datetime(moment)
    elif isinstance(value, datetime):
        instant = from_datetime(value if value.tzinfo else value.replace(tzinfo=UTC))
    else:
        raise ValueError(f"not a point in time: {type(value).__name__}")
    if not EARLIEST <= instant < LATEST:
        raise ValueError(f"time outside 2000–2099: {str(value)[:64]!r}")
    return instant


Instant = Annotated[
    int,
    BeforeValidator(parse_instant),
    PlainSerializer(to_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

LocalTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
"""`09:30`: a time of day by the customer's clock."""
