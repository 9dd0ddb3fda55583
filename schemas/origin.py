"""Where a message was decided or mapped: what tells its repetition from the next one.

    ritorno_origin: EPOCH/PARTITION/OFFSET/NUMBER     (a header, decimal)

A crash after the effects and before the state lets a partition decide again what it has told
already. What it tells again has the same origin or, where some of its customers are ahead, a lower
number at the same offset; so whoever has heard of an origin has heard of all that are not above it.

What is mapped from a topic that others own has one too (`streams/connect/mappings/`): the records
of one partition there are mapped in order, so the same holds. Such a partition has a number above
all of ours (`foreign_partition`).
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

HEADER = "ritorno_origin"

_NUMBERS = 4
_DIGITS = 19
"""Of the largest int64."""


_FOREIGN = 1 << 60
"""Added to the numbers of partitions that others own."""

_PARTITION_BITS = 20


class Origin(NamedTuple):
    """Of one message. Of two from one partition the one that was decided later is the greater."""

    partition: int
    log_epoch: int
    """Append time of the first record that the partition has absorbed, ms since the epoch, or when
    a foreign one was first seen: a topic that was made anew begins another one, and counts its
    offsets from 0."""
    offset: int
    """Of the record at which it was decided, or of which it was made."""
    number: int
    """Its number among the messages of that record, from 0."""

    def header(self) -> tuple[str, bytes]:
        """Return it as it travels."""
        text = f"{self.log_epoch}/{self.partition}/{self.offset}/{self.number}"
        return HEADER, text.encode()


def parse_origin(text: bytes) -> Origin:
    """Read what `header` has written. Raises ValueError."""
    parts = text.split(b"/")
    if len(parts) != _NUMBERS or not all(part.isdigit() and len(part) <= _DIGITS for part in parts):
        shown = text[:64].decode("utf-8", "replace")
        raise ValueError(f"{HEADER}: expected four numbers (got {shown!r})")
    log_epoch, partition, offset, number = map(int, parts)
    return Origin(partition, log_epoch, offset, number)


@lru_cache(maxsize=4_096)
def foreign_partition(mapping: str, partition: int) -> int:
    """Return the number by which a partition of the topic that `mapping` reads is known."""
    name = int.from_bytes(blake2b(mapping.encode(), digest_size=5).digest())
    return _FOREIGN | name << _PARTITION_BITS | partition
