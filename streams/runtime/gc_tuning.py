"""Python's search for cycles of objects, which stops everything while it lasts.

A decoded customer is some 25 lists, and thousands of them are held. By itself Python counts what is
made against what goes: a cache that is full makes as much as it lets go, so that the next search
comes late, finds hundreds of thousands of new objects, and nobody gets an answer for a quarter of a
second. A worker therefore searches often, each time only among what is new, and never again among
what it has looked at. Once in a while everything is searched, when the cache has been emptied.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable

THRESHOLD = 50_000
"""New objects between two searches. A batch makes tens of thousands without any cycle; at Python's
default of 700 a worker spends a tenth of its time on looking through them, a replay a quarter."""

BETWEEN = 0.1
"""Seconds between two searches of a worker: of some thousand events, a few milliseconds."""
ALL_AFTER = 36_000
"""Searches after which everything is searched: an hour. What a worker holds besides its cache takes
some 0.1 s, and what was in cycles and has gone for good meanwhile is memory that is missed."""


def search_less() -> None:
    """Search rarely, and never again among what is there by now: what is imported stays."""
    gc.freeze()
    gc.set_threshold(THRESHOLD)


async def search_often(
    empty: Callable[[], Iterable[None]],
    *,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Search among what is new, again and again; among everything once `empty`, which pauses now
    and then, has let go what needn't be held."""
    while True:
        for _ in range(ALL_AFTER):
            await pause(BETWEEN)
            gc.collect(0)
            gc.freeze()
        for _ in empty():
            await pause(0)
        gc.unfreeze()
        gc.collect()
        gc.freeze()
