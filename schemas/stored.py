"""How a kept record looks in a store and in its changelog: a fixed head, then the body.

The head is readable without decoding the body, so that recovery compares and schedules a million
customers at the speed of copying bytes:

    applied   int64, big-endian   offset of the last record already in this state
    due       int64, big-endian   when its earliest timer is due (ms since the epoch), NEVER if none
    body      msgpack

Recovery keeps, per key, the record with the highest `applied`, never merely the last one: a worker
that was paused for longer than its session can still write an old state after the new owner.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import msgspec

NEVER = 2**63 - 1
"""The `due` of a record without timers: later than any instant."""

OWN_PREFIX = b"\x00"
"""Begins the keys of what is a partition's own. No customer id does (see events), and no mail's."""

PROGRESS_KEY = b"\x00progress"
"""Changelog key of the partition's own record."""

OWNER_KEY = b"\x00owner"
"""Key of the mark that an owner leaves in the mailer's changelog when it takes a partition over."""

PRODUCT_PREFIX = b"\x00product/"
"""Begins the changelog keys of products (`agents/catalogue.py`)."""

_HEAD = struct.Struct(">qq")
HEAD_SIZE = _HEAD.size


class Head(NamedTuple):
    """What recovery needs to know of a kept record."""

    applied: int
    due: int


def pack(applied: int, due: int, body: bytes) -> bytes:
    """Return the kept form of a record."""
    return _HEAD.pack(applied, due) + body


def head(stored: bytes) -> Head:
    """Return the head of a kept record."""
    return Head(*_HEAD.unpack_from(stored))


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a partition has got; written last in each batch, so it vouches for all before it."""

    next_offset: int = 0
    """Everything below is in the states that the changelog holds."""
    log_time: int = 0
    """Highest append time among the records below `next_offset`, ms since the epoch."""
    live: dict[str, str] = {}
    """Workflow id → version that new runs begin with, as the control records said."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Progress)


def pack_progress(progress: Progress) -> bytes:
    """Return the kept form of a progress; its `applied` is the last offset dealt with."""
    return pack(progress.next_offset - 1, NEVER, _ENCODER.encode(progress))


def unpack_progress(stored: bytes) -> Progress:
    """Read what `pack_progress` wrote."""
    return _DECODER.decode(memoryview(stored)[HEAD_SIZE:])
