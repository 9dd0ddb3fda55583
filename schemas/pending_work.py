"""Work that a record has left over, as a partition keeps it beside its customers.

A `Broadcast` is something that many customers are to be told of: products that have changed, or
another version of a workflow that their runs follow. A `Layout` says how far the work of each
record of a batch went where it was more than the record's budget; see `agents/partition/budget.py`.
"""

from __future__ import annotations

import msgspec

from schemas.definitions.triggers import ProductChange
from schemas.stored import NEVER, OWN_PREFIX, is_erased, pack, read_own

LAYOUT_KEY = OWN_PREFIX + b"layout"
"""Changelog key of the layout of the last batch in which a record's budget ended."""

BROADCAST_PREFIX = OWN_PREFIX + b"telling/"
"""Begins the changelog keys of what customers are still to be told of; the offset follows."""


class CatalogueChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What has happened to a product."""

    kind: ProductChange
    product_id: str
    name: str
    category: str
    about: str
    """Id of the product that customers have to do with: itself, or the one that it replaces.
    Empty for a launch, which is about the product's category."""


class Broadcast(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What customers are told of, one after the other in the order of their keys."""

    offset: int
    """Of the control record that it came with."""
    time: int
    """Of the log then, ms since the epoch."""
    changes: list[CatalogueChange] = []
    """In the feed."""
    workflows: list[str] = []
    """Of which another version is live, and whose runs follow it."""


class Cut(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How far the work of one record went."""

    offset: int
    """Of the record."""
    fired: tuple[int, bytes]
    """(due, customer) up to which timers fired; ALL when all that were due did."""
    reached: tuple[int, bytes]
    """(offset of the broadcast, customer) up to which customers were told; NOBODY when none was."""
    left: int = NEVER
    """Offset of the first broadcast that was left over; NEVER when none was."""


ALL = (NEVER, b"")
NOBODY = (-1, b"")


class Layout(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How the work lay over the records of a batch. A record without a cut did all of it."""

    until: int = 0
    """Offset up to which (exclusive) it is known."""
    cuts: list[Cut] = []


_ENCODER = msgspec.msgpack.Encoder()
_BROADCAST = msgspec.msgpack.Decoder(Broadcast)
_LAYOUT = msgspec.msgpack.Decoder(Layout)


def broadcast_key(offset: int) -> bytes:
    """Return the key under which the broadcast of a control record is kept."""
    return BROADCAST_PREFIX + b"%d" % offset


def pack_broadcast(broadcast: Broadcast) -> bytes:
    """Return the kept form of a broadcast."""
    return pack(broadcast.offset, NEVER, _ENCODER.encode(broadcast))


def unpack_broadcast(stored: bytes | None) -> Broadcast | None:
    """Read what `pack_broadcast` wrote; None when it isn't there any more. Raises Damaged."""
    return (
        None if stored is None or is_erased(stored) else read_own("A telling", _BROADCAST, stored)
    )


def pack_layout(layout: Layout) -> bytes:
    """Return the kept form of a layout."""
    return pack(layout.until - 1, NEVER, _ENCODER.encode(layout))


def unpack_layout(stored: bytes | None) -> Layout:
    """Read what `pack_layout` wrote; an empty one when there is none. Raises Damaged."""
    return Layout() if stored is None else read_own("The layout", _LAYOUT, stored)
