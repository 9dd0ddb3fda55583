"""Who is held back, and for how long: counted on the log, without the actors.

Release after release can come to a kept record that it can't read. From the record at which that
was set aside the customer's events wait, up to a number; what comes then is refused. When somebody
has it tried again, at a record at which it can be read, what has waited is applied in its order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas.records import Record

MOST = 6
"""Events that wait for one customer in these stories."""

FORGED = (b"u1", b"u2", b"u3", b"u4", b"u5", b"u6")
"""Ids of what nobody may say, or can read."""


class Waiting(NamedTuple):
    """What came of the events of a customer who was held back."""

    spans: tuple[tuple[int, int], ...]
    """Offsets from which and until which."""
    waited: frozenset[int]
    refused: frozenset[int]
    forgotten: frozenset[int]
    """What waited until an erasure came: nobody has read it."""

    def at(self, offset: int) -> bool:
        """Whether the customer is held back at a record."""
        return any(first <= offset < last for first, last in self.spans)


def waiting(records: Sequence[Record], places: Iterable[tuple[int, str]], key: str) -> Waiting:
    """Return what came of a customer's events; `places`: where whom it was set aside."""
    held_from = {offset for offset, name in places if name == key}
    spans, waited, refused, forgotten = [], set[int](), set[int](), set[int]()
    began, room, heard, highest = -1, 0, set[bytes](), -1
    for record in records:
        if record.key is None and record.header("ce_type") == b"ritorno.retry":
            # Whoever asks while the broker's clock has been put back is refused, and asks again.
            number = int(record.header("ritorno_number") or b"-1")
            if number <= highest:
                continue
            highest = number
        if record.offset in held_from and began < 0:
            began, room = record.offset, MOST
        if began < 0:
            heard.add(record.header("ritorno_origin") or b"")
        elif _ends(record, key) and record.offset not in held_from:
            spans.append((began, record.offset))
            if record.key is not None:
                forgotten |= {offset for offset in waited if offset >= began}
            began = -1
        elif _is_of(record, key, heard):
            (waited if room else refused).add(record.offset)
            room -= room > 0
    if began >= 0:
        spans.append((began, len(records)))
    return Waiting(tuple(spans), frozenset(waited), frozenset(refused), frozenset(forgotten))


def _ends(record: Record, key: str) -> bool:
    """Whether it has the customer tried again, or forgotten, for which nothing need be read."""
    kind = record.header("ce_type")
    if record.key == key.encode():
        return kind == b"customer.erasure_requested"
    again = record.key is None and kind == b"ritorno.retry"
    said = json.loads(record.value or b"{}") if again else {}
    here = said.pop("partition", record.partition) == record.partition
    return here and said == {"customer": key}


def _is_of(record: Record, key: str, heard: set[bytes]) -> bool:
    """Whether it is news for the customer; `heard`: origins of what was told before."""
    if record.key != key.encode() or record.value is None:
        return False
    if record.header("ce_type") is None or record.header("ce_id") in FORGED:
        return False
    origin = record.header("ritorno_origin")
    if origin is None:
        return True
    if origin in heard:
        return False
    heard.add(origin)
    return True
