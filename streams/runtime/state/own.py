"""Checks that a partition's own records, beside those of its customers, can be read.

Without it nothing can be decided, so its partition stays closed when something of it can't be. What
is set aside or put together again by itself (products, customers who are held back) isn't asked.
"""

from __future__ import annotations

from agents.partition.origins import check_high_water_mark
from schemas.pending_work import BROADCAST_PREFIX, LAYOUT_KEY, unpack_broadcast, unpack_layout
from schemas.stored import (
    ARRIVALS_KEY,
    NAMESPACE_DECISIONS_KEY,
    ORIGIN_PREFIX,
    OWN_PREFIX,
    Damaged,
    check_format,
    unpack_arrivals,
    unpack_namespace_decisions,
)


def check_own(key: bytes, stored: bytes) -> None:
    """Raise Damaged when what is kept under one of a partition's own keys can't be read,
    FutureFormat when a newer release can."""
    check_format(stored)
    if not key.startswith(OWN_PREFIX):
        return
    try:
        if key.startswith(ORIGIN_PREFIX):
            check_high_water_mark(stored)
        elif key.startswith(BROADCAST_PREFIX):
            unpack_broadcast(stored)
        elif key == LAYOUT_KEY:
            unpack_layout(stored)
        elif key == ARRIVALS_KEY:
            unpack_arrivals(stored)
        elif key == NAMESPACE_DECISIONS_KEY:
            unpack_namespace_decisions(stored)
    except Damaged as error:
        name = key.removeprefix(OWN_PREFIX).decode("utf-8", "backslashreplace")
        raise Damaged(f"The record {name!r}") from error
