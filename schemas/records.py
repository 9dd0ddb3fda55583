"""What travels through a log, whichever log it is: the record read and the record to be written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Headers = Sequence[tuple[str, bytes]]

UNREADABLE = "ritorno_unreadable"
"""The one header of what stands for a record of the log that can't be read: why."""


class Record(NamedTuple):
    """One record as read from a partition of a log.

    `timestamp` is the log's own append time in milliseconds since the epoch, never the producer's.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    def header(self, name: str) -> bytes | None:
        """Return the last header called `name`, or None."""
        for key, value in reversed(self.headers):
            if key == name:
                return value
        return None


class OutRecord(NamedTuple):
    """One record to be appended. A `value` of None is a tombstone in a compacted topic."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
