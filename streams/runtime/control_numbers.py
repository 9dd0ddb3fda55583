"""Numbers of control records: a later one has a higher number, whoever has made it and wherever.

A number is reserved in a topic that only Ritorno writes, by a record of its own. It is the time at
which the broker has taken that record, so that neither the clocks of those who publish matter nor
whether the topic was once made anew; where the broker's clock has gone back, it is one above the
number before. For that each reservation holds the number that was the highest when it was made, and
compaction, which leaves the last of them, takes nothing away.

Who tells every partition something writes before and after that it does. Where the second is
missing, some partitions may know what the topic does not say, and it has to be told again. So it
has where a partition of `customer-events` does not hold what it was told: its topic was made anew,
and who reads it from its beginning knows nothing of what is live.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from schemas.records import OutRecord, Record
from schemas.signing import NUMBER, NotSigned, RecordSigner, number_of, parse_number
from schemas.stored import OWN_PREFIX
from streams.log import Log, LogError, OffsetRange, backwards, scan
from streams.topology import CUSTOMER_EVENTS

RESERVATION = OWN_PREFIX + b"number"
"""Key of a reservation; no product and no definition has one like it."""

BEGUN, ENDED = OWN_PREFIX + b"begun", OWN_PREFIX + b"ended"
"""Keys of what is written around a publication; the value is its number."""

_PER_MS = 4096
"""Told apart within one millisecond, by the offset's last digits."""

_TAIL = 1_000
"""Records looked through first for the last reservation: who publishes ends soon behind one."""

_CLOCKS_DIFFER_MS = 60_000
"""Between the brokers that take records of two topics, at most."""

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


class LastPublication(NamedTuple):
    """The one with the highest number."""

    number: int
    ended: int | None
    """When it had told every partition, ms since the epoch; None: it may not have told some."""


async def last_publication(log: Log, topic: str) -> LastPublication | None:
    """Return the last publication of a topic, None where none is marked. Raises LogError."""
    for start, stop in backwards((await log.offsets(topic))[0], _TAIL):
        begun, ended, at = -1, -1, 0
        async for record in scan(log, topic, [0], start=start, stop=stop):
            number = parse_number(record.value)
            if number is None:
                continue
            if record.key == BEGUN:
                begun = max(begun, number)
            elif record.key == ENDED and number >= ended:
                ended, at = number, record.timestamp
        if max(begun, ended) >= 0:
            return LastPublication(max(begun, ended), at if ended >= begun else None)
    return None


async def untold_partitions(
    log: Log, kind: str, last: LastPublication | None, signer: RecordSigner
) -> list[int]:
    """Return the partitions of `customer-events` whose log doesn't hold what `last` told them.

    Their topic was made anew since. Where the log's beginning has been deleted by age, an owner
    has read it before, and it counts as told; so does what release 0.1 published, which marked no
    publication (`last` is None). `kind`: type of the control records. Raises LogError.
    """
    if last is None or last.ended is None:
        return []
    spans = await log.offsets(CUSTOMER_EVENTS)
    told = await asyncio.gather(
        *(_was_told(log, kind, last.number, last.ended, signer, each, spans[each])
          for each in spans)
    )  # fmt: skip
    return [number for number, was_told in zip(spans, told, strict=True) if not was_told]


async def _was_told(
    log: Log,
    kind: str,
    number: int,
    ended: int,
    signer: RecordSigner,
    partition: int,
    span: OffsetRange,
) -> bool:
    """Look for the control record at the time of the publication, then around it."""
    for margin in (0, _CLOCKS_DIFFER_MS):
        since = min(number // _PER_MS, ended) - margin
        start = await log.offset_at(CUSTOMER_EVENTS, partition, since)
        stop = await log.offset_at(CUSTOMER_EVENTS, partition, ended + margin + 1)
        async for record in scan(log, CUSTOMER_EVENTS, [partition], start=start, stop=stop):
            if _tells(record, kind, number, signer):
                return True
    return 0 < span.start == start


def _tells(record: Record, kind: str, number: int, signer: RecordSigner) -> bool:
    if record.key is not None or record.header("ce_type") != kind.encode():
        return False
    if number_of(record.headers) != number:
        return False
    try:
        signer.check(CUSTOMER_EVENTS, record)
    except NotSigned:
        return False  # not ours, or none that workers with these keys would obey
    return True


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
