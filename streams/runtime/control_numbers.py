"""Numbers of control records: a later one has a higher number, whoever has made it and wherever.

A number is reserved in a topic that only Ritorno writes, by a record of its own. It is the time at
which the broker has taken that record, so that neither the clocks of those who publish matter nor
whether the topic was once made anew; where the broker's clock has gone back, it is one above the
number before. For that each reservation holds the number that was the highest when it was made, and
compaction, which leaves the last of them, takes nothing away.

Who tells every partition something writes before and after that it does. Where the second is
missing, some partitions may know what the topic does not say, and it has to be told again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from schemas.records import OutRecord, Record
from schemas.signing import NUMBER, parse_number
from schemas.stored import OWN_PREFIX
from streams.log import Log, LogError, backwards, scan

RESERVATION = OWN_PREFIX + b"number"
"""Key of a reservation; no product and no definition has one like it."""

BEGUN, ENDED = OWN_PREFIX + b"begun", OWN_PREFIX + b"ended"
"""Keys of what is written around a publication; the value is its number."""

_PER_MS = 4096
"""Told apart within one millisecond, by the offset's last digits."""

_TAIL = 1_000
"""Records looked through first for the last reservation: who publishes ends soon behind one."""

ATTEMPTS = 5
"""Whoever publishes at the same time may have a higher number and come first somewhere; what then
comes behind it is refused there, and is told again."""


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
    highest, end = await _latest(log, topic)
    offset = await log.append(topic, 0, [OutRecord(RESERVATION, b"%d" % highest)])
    found = False
    async for record in scan(log, topic, [0], start=end, stop=offset + 1):
        highest = _follow(record, highest)
        found = record.offset == offset
    if not found:
        raise LogError(f"{topic} has taken a record and does not show it. Try again.")
    return Reserved(highest, topic, offset)


async def is_overtaken(log: Log, reserved: Reserved) -> bool:
    """Return whether somebody has reserved another one since. Raises LogError."""
    async for record in scan(log, reserved.topic, [0], start=reserved.offset + 1):
        if record.key == RESERVATION:
            return True
    return False


async def publish_as_latest(
    log: Log, topic: str, tell: Callable[[Reserved], Awaitable[bool]]
) -> bool:
    """Have every partition told something under a number, and again while others reserve one.

    `tell` returns whether it has told all of it, and not found that it is overtaken. Returns
    whether nobody came in between at last. Raises LogError.
    """
    for _ in range(ATTEMPTS):
        reserved = await reserve(log, topic)
        await log.append(topic, 0, [OutRecord(BEGUN, b"%d" % reserved.number)])
        if await tell(reserved):
            await log.append(topic, 0, [OutRecord(ENDED, b"%d" % reserved.number)])
            if not await is_overtaken(log, reserved):
                return True
    return False


async def is_unfinished(log: Log, topic: str) -> bool:
    """Return whether the last publication has begun and not ended. Raises LogError."""
    for start, stop in backwards((await log.offsets(topic))[0], _TAIL):
        highest = {BEGUN: -1, ENDED: -1}
        async for record in scan(log, topic, [0], start=start, stop=stop):
            if record.key in (BEGUN, ENDED):
                number = parse_number(record.value)
                highest[record.key] = max(highest[record.key], -1 if number is None else number)
        if max(highest.values()) >= 0:
            return highest[BEGUN] > highest[ENDED]
    return False


async def _latest(log: Log, topic: str) -> tuple[int, int]:
    """Return the highest number, 0 if there is none, and the end of what was looked through."""
    span = (await log.offsets(topic))[0]
    for start, stop in backwards(span, _TAIL):
        highest = 0
        async for record in scan(log, topic, [0], start=start, stop=stop):
            highest = _follow(record, highest)
        if highest:
            return highest, span.end
    return 0, span.end


def _follow(record: Record, highest: int) -> int:
    """Return the number of a reservation, `highest` if the record is none."""
    if record.key != RESERVATION:
        return highest
    before = parse_number(record.value) or 0
    by_time = record.timestamp * _PER_MS + record.offset % _PER_MS
    return max(by_time, highest + 1, before + 1)
