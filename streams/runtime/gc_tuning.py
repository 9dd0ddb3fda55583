"""Python's search for cycles of objects, which stops everything while it lasts.

A decoded customer is some 25 lists, and thousands of them are held. By itself Python counts what is
made against what goes: a cache that is full makes as much as it lets go, so that the next search
comes late, finds hundreds of thousands of new objects, and nobody gets an answer for a quarter of a
second. A worker therefore searches often, each time only among what is new, and never again among
what it has looked at. Once in a while everything is searched, when the cache has been emptied.

What was looked at and ends as a cycle later stays until then, and strangers can make it: a request
that breaks off in its body leaves some forty objects and 120 kB. So everything is searched as well
when there is much more than there was the last time, but for what the cache holds.
"""

from __future__ import annotations

import asyncio
import gc
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
"""Searches after which all objects are counted: 4 ms for each 100,000, every five seconds."""
MORE = 50_000
"""Objects more than the last time, the cache's left out, after which everything is searched. Of
requests that broke off it is 160 MB. Of a worker that has millions it is a quarter more, as in
Python itself, so that they are not searched time and again while they come."""
BYTES_AN_OBJECT = 400
"""Of the cache's estimate: 380 with visitors of one page, 450 to 510 with the benchmark's customers
(`agents/partition/cache.py`)."""


def search_less() -> None:
    """Search rarely, and never again among what is there by now: what is imported stays."""
    gc.freeze()
    gc.set_threshold(THRESHOLD)


def all_is_due(searches: int, objects: int, left: int) -> bool:
    """Return whether everything is to be searched: after so many searches among what is new, when
    there are so many objects besides the cache's and so many were left the last time."""
    return searches >= ALL_AFTER or objects - left >= max(MORE, left // 4)


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
    """Count the objects that were looked at, but for the cache's."""
    return gc.get_freeze_count() - cache.used // BYTES_AN_OBJECT
