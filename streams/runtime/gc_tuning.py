"""Tuning of Python's garbage collector, whose search for cycles stops everything while it lasts.

A decoded customer is some 25 lists, and thousands of them are held. By itself Python counts what is
made against what goes: a cache that is full makes as much as it lets go, so that the next search
comes late, finds hundreds of thousands of new objects, and nobody gets an answer for a quarter of a
second. A worker therefore searches often, each time only among what is new, and never again among
what it has looked at. Once in a while everything is searched, when the cache has been emptied.

What was looked at and ends as a cycle later stays until then. A stranger's request that breaks off
leaves none (`streams/http/public/site.py`). For whatever else does, everything is searched as well
when there is twice as much as after the last time, but for what the cache holds. It can't be
searched whenever something has grown: 0.4 s with 200,000 customers, in the middle of a sale,
because timers and pending work had grown, and nothing was found.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable

from agents.partition.cache import CacheMemory

THRESHOLD = 50_000
"""New objects between two searches. A batch makes tens of thousands without any cycle; at Python's
default of 700 a worker spends a tenth of its time on looking through them, a replay a quarter."""

BETWEEN = 0.1
"""Seconds between two searches of a worker: of some thousand events, a few milliseconds."""
ALL_AFTER = 36_000
"""Searches after which everything is searched: an hour. What a worker holds besides its cache takes
some 0.1 s, and what was in cycles and has gone for good meanwhile is memory that is missed."""
COUNTED_AFTER = 50
"""Searches after which it is counted how much there is: every five seconds."""
MORE = 3_000_000
"""Blocks of memory more than the last time, the cache's left out, after which everything is
searched: some 300 MB, more than the timers and pending work of a sale to 200,000 customers. Of a
worker that has more, as much again."""
BYTES_A_BLOCK = 100
"""Of the cache's estimate (`agents/partition/cache.py`): 97 with the benchmark's customers."""


def search_less() -> None:
    """Search rarely, and never again among what is there by now: what is imported stays."""
    gc.freeze()
    gc.set_threshold(THRESHOLD)


def all_is_due(searches: int, blocks: int, left: int) -> bool:
    """Return whether everything is to be searched: after so many searches among what is new, when
    there are so many blocks besides the cache's and so many were left the last time."""
    return searches >= ALL_AFTER or blocks - left >= max(MORE, left)


async def search_often(
    cache: CacheMemory, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Search among what is new, again and again; among everything when that is due, once what
    needn't be held was let go."""
    gc.freeze()
    searches, left = 0, _besides(cache)
    while True:
        await pause(BETWEEN)
        gc.collect(0)
        gc.freeze()
        searches += 1
        if searches % COUNTED_AFTER or not all_is_due(searches, _besides(cache), left):
            continue
        for _ in cache.empty():
            await pause(0)
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        searches, left = 0, _besides(cache)


def _besides(cache: CacheMemory) -> int:
    """Count the blocks of memory that Python has given out, but for the cache's. The number of
    objects that were looked at would be closer, and takes 40 ms for each million."""
    return sys.getallocatedblocks() - cache.used // BYTES_A_BLOCK
