"""What visitors cost of whom nothing is known: kept, forgotten, and turned away.

60,000 of them look at two pages and never come back, as bots do; 91 days later they are removed.
Then a million are looked through of whom none is to be removed, which happens once a day. At last
so many come at once that only an hour's share finds room.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from agents.definitions.published import Definitions
from agents.definitions.settings import VisitorLimits
from agents.partition.batch import BatchChanges
from agents.partition.cache import CacheMemory
from agents.partition.partition import PartitionActors
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.workload import NOON
from schemas.customer import Customer, encode_customer
from schemas.records import OutRecord, Record
from schemas.stored import OWN_PREFIX, Progress
from schemas.time_units import DAY_MS
from streams.clock import VirtualClock
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.state.changelog import Changelog
from streams.runtime.state.memory import MemoryStore
from streams.runtime.visitor_expiry import VisitorRemoval
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, topics

BOTS = 60_000
PAGES = 2
FLOOD = 200_000
MANY = 1_000_000
BATCH = 4_000
CACHE_BYTES = 4 << 20
"""Of decoded visitors: hardly any, since only what is kept is to be measured."""
LIMITS = VisitorLimits(days=90, per_second=10.0)


async def measure(directory: Path, say: Say) -> list[Result]:
    """Measure with one partition and a memory store."""
    say(f"{BOTS:,} visitors who never come back, and 91 days")
    before, after, seconds = await _forgotten(directory)
    say(f"{MANY:,} records looked through")
    looked, longest = await _looked_through(directory)
    say(f"{FLOOD:,} visitors at once")
    room, dropped = _flood()
    return [
        result("visitors.kept", before / BOTS, "bytes/visitor"),
        result("visitors.before", before / 1e6, f"MB kept of {BOTS:,}"),
        result("visitors.after", after / 1e6, "MB kept of them 91 days later"),
        result("visitors.removing", seconds, f"s of processor for {BOTS:,}"),
        result("visitors.looking", looked, f"s of processor a day for {MANY:,} records"),
        result("visitors.longest_pause", longest, "ms, at most, that the event loop waits for it"),
        result("visitors.room", room, f"of {FLOOD:,} at once in one partition are kept"),
        result("visitors.turned_away", dropped, "µs for one of the others"),
    ]


def _views(first: int, count: int, now: int, offset: int) -> list[Record]:
    headers = (("ce_type", b"product.viewed"), ("ce_source", b"/shop"))
    value = b'{"product_id":"SKU-0001","name":"Prodotto","category":"borse","price":"9.90"}'
    records = []
    for number in range(first, first + count):
        for page in range(PAGES):
            out = OutRecord(
                b"anonymous-%08d" % number, value, (*headers, ("ce_id", b"%d/%d" % (number, page)))
            )
            records.append(Record(CUSTOMER_EVENTS, 0, offset + len(records), now, *out))
    return records


def _actors(store: MemoryStore, limits: VisitorLimits) -> PartitionActors:
    return PartitionActors(
        partition=0, load=store.get, definitions=Definitions(limits=limits), progress=Progress(),
        scan=store.scan, memory=CacheMemory(CACHE_BYTES),
    )  # fmt: skip


async def _forgotten(directory: Path) -> tuple[int, int, float]:
    """Return the bytes that are kept of all, what is left of it later, the seconds to remove it."""
    log = EmbeddedLog(directory / "log", VirtualClock(NOON))
    await log.start()
    try:
        await log.create_topics(topics(1))
        store = MemoryStore()
        changelog = Changelog(log, CUSTOMERS_CHANGELOG, 0, store)
        actors = _actors(store, VisitorLimits(days=90))
        for first in range(0, BOTS, BATCH):
            changes: BatchChanges = actors.receive(_views(first, BATCH, NOON, first * PAGES))
            await changelog.write(changes.states, _no_check)
        before = _kept(store)
        began = time.process_time()
        forgetter = VisitorRemoval(changelog, LIMITS)
        forgetter.committed(NOON)
        forgetter.committed(NOON + 91 * DAY_MS)
        while forgetter.removed < BOTS:
            await asyncio.sleep(0)
            if forgetter.unfinished:
                await changelog.write(forgetter.removals(()), _no_check)
        seconds = time.process_time() - began
        return before, _kept(store), seconds
    finally:
        await log.stop()


async def _looked_through(directory: Path) -> tuple[float, float]:
    """Return the seconds for all records, and the longest pause of the event loop in ms."""
    store = MemoryStore()
    customer = Customer(key="x", first_seen=NOON, last_seen=NOON, views=7, heard=NOON // DAY_MS)
    stored = encode_customer(customer)
    store.write([(b"anonymous-%08d" % number, stored) for number in range(MANY)], MANY)
    log = EmbeddedLog(directory / "none", VirtualClock(NOON))
    forgetter = VisitorRemoval(Changelog(log, CUSTOMERS_CHANGELOG, 0, store), LIMITS)
    forgetter.committed(NOON)
    forgetter.committed(NOON + DAY_MS)
    began, last, longest = time.process_time(), time.perf_counter(), 0.0
    while not forgetter.at_rest:
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return time.process_time() - began, longest * 1000


def _flood() -> tuple[int, float]:
    """Return how many are kept, and what one costs who is turned away, in µs."""
    store = MemoryStore()
    actors = _actors(store, LIMITS)
    for first in range(0, FLOOD // 2, BATCH):
        store.write(actors.receive(_views(first, BATCH, NOON, first * PAGES)).states, 0)
    rest = [_views(first, BATCH, NOON, first * PAGES) for first in range(FLOOD // 2, FLOOD, BATCH)]
    began = time.process_time()
    for records in rest:
        store.write(actors.receive(records).states, 0)
    spent = time.process_time() - began
    kept = sum(not key.startswith(OWN_PREFIX) for key, _ in store.scan())
    return kept, spent / (FLOOD // 2 * PAGES) * 1e6


def _no_check() -> None:
    """Nobody else owns the partition."""


def _kept(store: MemoryStore) -> int:
    items = ((key, kept) for key, kept in store.scan() if not key.startswith(OWN_PREFIX))
    return sum(len(key) + len(kept) for key, kept in items)
