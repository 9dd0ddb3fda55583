"""Numbers of control records: a later one has a higher number, whoever has made it and wherever.

A number is reserved in a topic that only Ritorno writes, by an empty record; it is the time at
which the broker has taken that record. So the clocks of those who publish don't matter, nor whether
the topic was once made anew.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.records import OutRecord
from schemas.signing import NUMBER
from streams.log import Log, LogError

_RESERVED = OutRecord(b"number", None)
"""A tombstone: nobody reads it, and compaction takes it away."""

_PER_MS = 4096
"""Told apart within one millisecond, by the offset's last digits."""


class Reserved(NamedTuple):
    """A number, and where it was reserved."""

    number: int
    topic: str
    offset: int

    def on(self, record: OutRecord) -> OutRecord:
        """Return the record with this number."""
        return record._replace(headers=(*record.headers, (NUMBER, b"%d" % self.number)))


async def reserve(log: Log, topic: str) -> Reserved:
    """Reserve a number in the first partition of `topic`. Raises LogError."""
    offset = await log.append(topic, 0, [_RESERVED])
    async for chunk in log.read(topic, 0, offset, offset + 1):
        for record in chunk:
            number = record.timestamp * _PER_MS + offset % _PER_MS
            return Reserved(number, topic, offset)
    raise LogError(f"{topic} has taken a record and does not show it. Try again.")


async def is_overtaken(log: Log, reserved: Reserved) -> bool:
    """Return whether somebody has reserved another one since. Raises LogError."""
    end = (await log.offsets(reserved.topic))[0].end
    async for chunk in log.read(reserved.topic, 0, reserved.offset + 1, end):
        if any(record.key == _RESERVED.key for record in chunk):
            return True
    return False
