"""Deduplication of messages between our own actors, by their origin: each counts once, whatever its
number and however often it comes.

The partition that tells gives each message its origin (`schemas/origin.py`). The partition that
hears keeps one high-water mark for each partition that has told it anything, and drops what is not
above it. Both are exact because of two laws:

- effects are appended whole and in order per partition (`CommitProtocol._send`), so the messages
  that came from there until a crash are the first ones of those that should have come;
- state is written only when all effects of its batch are in the log. A customer that is ahead of
  the log, and so tells nothing again, has told at records all of whose messages are there; those of
  others then have the same number or a lower one, which is below the mark.

Marks belong to the partition and not to its customers: they outlive an erasure and the tombstone
after it, and a message of long ago brings nobody back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from agents.effects import Effect
from schemas import topics
from schemas.events import Event
from schemas.origin import HEADER, Origin
from schemas.records import OutRecord
from schemas.stored import NEVER, ORIGIN_PREFIX, pack, read_own


class HighWaterMark(NamedTuple):
    """How far the messages from one partition have been heard."""

    log_epoch: int = -1
    offset: int = -1
    number: int = -1


class Origins:
    """The origins that one partition gives, and those that it has heard of."""

    def __init__(self, partition: int, load: Callable[[bytes], bytes | None]) -> None:
        """`load` returns a kept record by key."""
        self._partition = partition
        self._load = load
        self._high_water_marks: dict[int, HighWaterMark] = {}
        self._changed: dict[int, int] = {}
        """By the partition that has told, the offset at which its mark was moved last."""

    def is_news(self, origin: Origin, offset: int) -> bool:
        """Whether a message, read at `offset`, was not heard before; it is from now on."""
        high_water_mark = HighWaterMark(origin.log_epoch, origin.offset, origin.number)
        if high_water_mark <= self._high_water_mark(origin.partition):
            return False
        self._high_water_marks[origin.partition] = high_water_mark
        self._changed[origin.partition] = offset
        return True

    def give(self, effects: list[Effect], since: int, log_epoch: int, offset: int) -> None:
        """Give each message among `effects[since:]`, decided at `offset`, its origin."""
        number = 0
        for index in range(since, len(effects)):
            effect = effects[index]
            if effect.topic == topics.CUSTOMER_EVENTS:
                origin = Origin(self._partition, log_epoch, offset, number)
                effects[index] = effect._replace(content=_from(origin, effect))
                number += 1

    def take(self) -> list[tuple[bytes, bytes]]:
        """Return key and kept form of the marks that have moved since the last call."""
        changed, self._changed = self._changed, {}
        return [
            (_key(number), pack(offset, NEVER, _ENCODER.encode(self._high_water_marks[number])))
            for number, offset in changed.items()
        ]

    def _high_water_mark(self, partition: int) -> HighWaterMark:
        high_water_mark = self._high_water_marks.get(partition)
        if high_water_mark is None:
            stored = self._load(_key(partition))
            high_water_mark = (
                HighWaterMark() if stored is None else read_own("A mark", _DECODER, stored)
            )
            self._high_water_marks[partition] = high_water_mark
        return high_water_mark


def check_high_water_mark(stored: bytes) -> None:
    """Raise Damaged unless a kept mark can be read, FutureFormat when a newer release can."""
    read_own("A mark", _DECODER, stored)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(HighWaterMark)


def _key(partition: int) -> bytes:
    return ORIGIN_PREFIX + b"%d" % partition


def _from(origin: Origin, effect: Effect) -> Event | OutRecord:
    content = effect.content
    if isinstance(content, Event):
        return content._replace(origin=origin)
    record = effect.record
    headers = [header for header in record.headers if header[0] != HEADER]
    return record._replace(headers=[*headers, origin.header()])
