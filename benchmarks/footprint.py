"""What a customer costs in memory and on disk.

    python -m benchmarks.footprint STORE DIRECTORY

prints, as one line of JSON, the bytes by which a process with one partition's actors has grown
between 20,000 and 120,000 customers, per customer, and the bytes of a kept record.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path

from benchmarks.recovery import actors_with, as_read
from benchmarks.resident import resident
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.throughput import SEED
from benchmarks.workload import Workload
from streams.clock import SystemClock
from streams.runtime.state.memory import open_memory
from streams.runtime.state.rocks import RocksStores
from streams.runtime.state.store import Store
from streams.runtime.transports.batch import TopicPartition

FROM, TO = 20_000, 120_000
"""Customers. From twice the cache of decoded customers on, only the store and the timers grow."""

EVENTS_EACH = 4
BATCH = 4_000
STORES = ("memory", "rocksdict")


async def measure(directory: Path, say: Say) -> list[Result]:
    """Measure each store in a process of its own, side by side."""
    say(f"{TO:,} customers in a process for each store")
    printed = await asyncio.gather(*(_run(store, directory) for store in STORES))
    found = [
        result(f"memory.{store}", grown, "bytes of memory/customer")
        for store, (grown, _) in zip(STORES, printed, strict=True)
    ]
    return [*found, result("memory.kept_record", printed[0][1], "bytes/customer")]


async def _run(store: str, directory: Path) -> tuple[float, float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.footprint", store, str(directory),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    grown, kept = json.loads(printed)
    return grown, kept


def grow(store: Store) -> tuple[float, float]:
    """Feed customers to a partition; return its growth and the kept bytes, per customer."""
    actors = actors_with(store.get)
    sizes = []
    offset = kept = 0
    for first, last in ((0, FROM), (FROM, TO)):
        workload = Workload(
            seed=SEED + first, now=SystemClock().now(), customers=last - first, first=first
        )
        for _ in range((last - first) * EVENTS_EACH // BATCH):
            changes = actors.receive(list(as_read(workload.round(BATCH), offset)))
            offset += BATCH
            store.write(changes.states, offset)
        gc.collect()
        sizes.append(resident())
    kept = sum(len(key) + len(stored) for key, stored in store.scan())
    return (sizes[1] - sizes[0]) / (TO - FROM), kept / TO


if __name__ == "__main__":
    name, directory = sys.argv[1:]
    open_store = open_memory if name == "memory" else RocksStores(Path(directory))
    print(json.dumps(grow(open_store(TopicPartition("bench", 0)))))
