"""Continuations: a partition's log that was made anew goes on where the one before ended.

What is kept of customers and mails counts by offsets, and would pass over all that a new log holds
below them. Whoever fills such a log up (`streams/operate/short_logs.py`, or copies it to another
broker) therefore writes a `ritorno.log_continued` control record behind, signed: what a partition
has read up to `up_to` it has read of this log as well. Without one nobody opens the partition.
"""

from __future__ import annotations

import msgspec

LOG_CONTINUED = "ritorno.log_continued"


class Continuation(msgspec.Struct, frozen=True):
    """The value of the control record."""

    topic: str
    partition: int
    up_to: int
    """Below this offset nothing has to be read any more."""
    topic_id: str
    """The broker's name for this topic since it was made; empty where it has none."""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Continuation)


def encode_continuation(continuation: Continuation) -> bytes:
    """Return the value of the control record."""
    return _ENCODER.encode(continuation)


def decode_continuation(value: bytes | None) -> Continuation:
    """Read the value of a control record. Raises ValueError."""
    try:
        return _DECODER.decode(value or b"")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
