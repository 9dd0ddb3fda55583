"""How soon state is back: kept records a second, and the first event after a kill -9."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import aiokafka
from aiokafka import AIOKafkaConsumer

from agents.definitions.published import Definitions
from agents.partition.name_index import NameIndex
from agents.partition.partition import PartitionActors
from benchmarks import machine
from benchmarks.machine import Machine, Worker
from benchmarks.resident import resident
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.throughput import SEED, SILENT
from benchmarks.workload import CUSTOMERS, Workload, fill
from schemas.records import OutRecord, Record
from schemas.stored import Progress
from streams.clock import SystemClock
from streams.log import TopicSpec
from streams.runtime import gc_tuning
from streams.runtime.definitions import read_files
from streams.runtime.logs.kafka import READ_BYTES, READ_RECORDS
from streams.runtime.state.memory import open_memory
from streams.runtime.state.recovery import recover
from streams.runtime.state.rocks import RocksStores
from streams.runtime.state.store import Store, StoreFactory
from streams.runtime.transports.batch import TopicPartition
from streams.settings import Settings
from streams.tools.replay import prepared
from streams.topology import CUSTOMER_EVENTS

KEPT = 200_000
CHANGELOG = "bench-changelog"
ROUNDS = 5
"""Of reading the changelog in each way, in turns; the median counts."""
PEER = "a bare getmany"
EVENTS_BEFORE = 100_000
"""Before the kill: some 40 kB of changelog per thousand of them."""

FIRST_EVENT_RUNS = 3


async def measure(here: Machine, say: Say) -> list[Result]:
    """Measure on Kafka: recovery into each store, then a worker that is killed."""
    say(f"filling a changelog with {KEPT:,} kept records")
    await here.log.create_topics([TopicSpec(name=CHANGELOG, partitions=1)])
    await fill(here.log, iter(kept_records(KEPT)), CHANGELOG)
    stores: dict[str, StoreFactory] = {
        "memory": open_memory,
        "rocksdict": RocksStores(here.directory / "recovered"),
    }
    paces: defaultdict[str, list[float]] = defaultdict(list)
    gc_tuning.search_less()  # as the worker does
    for number in range(1, ROUNDS + 1):
        say(f"reading it with a bare getmany, {number} of {ROUNDS}")
        paces[PEER].append(await _read(here.server))
        for name, open_store in stores.items():
            say(f"recovering into {name}, {number} of {ROUNDS}")
            paces[name].append(await _recovered(here, open_store(TopicPartition(CHANGELOG, 0))))
    say("finding out whom each product concerns")
    index = await _index(here)
    bare = median(paces[PEER])
    found = [
        result(f"recovery.{name}", median(paces[name]), "kept records/s", PEER, bare)
        for name in stores
    ]
    return found + index + await _worker(here, say)


def kept_records(count: int) -> Iterator[OutRecord]:
    """Yield real kept records: customers of the workload, again and again under other keys."""
    workload = Workload(seed=SEED, now=SystemClock().now())
    nothing: dict[bytes, bytes] = {}
    actors = actors_with(nothing.get)
    changes = actors.receive(list(as_read(workload.events(20 * CUSTOMERS))))
    states = [stored for _, stored in changes.states]
    for number in range(count):
        yield OutRecord(b"c%09d" % number, states[number % len(states)])


def actors_with(load: Callable[[bytes], bytes | None]) -> PartitionActors:
    """Return the actors of one partition with the shop's own workflows live."""
    definitions, live = published()
    progress = Progress(live=live)
    return PartitionActors(partition=0, load=load, definitions=definitions, progress=progress)


def published() -> tuple[Definitions, dict[str, str]]:
    """Return the shop's own workflows, and the versions that are live."""
    return prepared(read_files(Settings().workflows_dir))


def as_read(records: Iterator[OutRecord], offset: int = 0) -> Iterator[Record]:
    """Yield `records` as a log would bring them, now."""
    now = SystemClock().now()
    for place, record in enumerate(records, start=offset):
        yield Record(CUSTOMER_EVENTS, 0, place, now, *record)


async def _recovered(here: Machine, store: Store) -> float:
    """Return kept records a second."""
    recovered = await recover(here.log, CHANGELOG, 0, store)
    store.drop()
    return recovered.records / recovered.seconds


async def _index(here: Machine) -> list[Result]:
    """An owner makes the index for whose customers a workflow asks: see
    `agents/partition/name_index.py`."""
    store = open_memory(TopicPartition(CHANGELOG, 0))
    await recover(here.log, CHANGELOG, 0, store)
    before, began = resident(), time.perf_counter()
    references = NameIndex(store.scan)
    for _ in references.refresh(lambda _: set()):
        pass
    seconds, grown = time.perf_counter() - began, resident() - before
    return [
        result("recovery.index", KEPT / seconds, "kept records/s"),
        result("recovery.index_memory", grown / KEPT, "bytes/customer"),
    ]


async def _read(server: str) -> float:
    """Return the records a second that aiokafka reads when nothing is done with them."""
    partition = aiokafka.TopicPartition(CHANGELOG, 0)
    began, count = time.perf_counter(), 0
    consumer = AIOKafkaConsumer(bootstrap_servers=server, max_partition_fetch_bytes=READ_BYTES)
    await consumer.start()
    try:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        while count < KEPT:
            found = await consumer.getmany(partition, timeout_ms=500, max_records=READ_RECORDS)
            count += sum(map(len, found.values()))
    finally:
        await consumer.stop()
    return count / (time.perf_counter() - began)


async def _worker(here: Machine, say: Say) -> list[Result]:
    workload = Workload(seed=SEED, now=SystemClock().now())
    say(f"a worker takes {EVENTS_BEFORE:,} events")
    await fill(here.log, workload.events(EVENTS_BEFORE))
    with here.worker("killed", **SILENT) as worker:
        worker.start()
        await machine.follow(worker, EVENTS_BEFORE)
        runs = []
        for number in range(1, FIRST_EVENT_RUNS + 1):
            say(f"kill -9 and start again, {number} of {FIRST_EVENT_RUNS}")
            worker.kill()
            await fill(here.log, workload.events(1_000))
            runs.append(await _until(worker, partial(_has_applied, worker)))
        say("kill -9 and start again with an empty data directory")
        worker.kill()
        _remove(worker.directory / "data")
        seconds = await _until(worker, partial(_is_ready, worker))
        metrics = await worker.metrics()
    records = machine.total(metrics, "ritorno_recovery_records_total")
    runs.sort()
    return [
        result("restart.first_event_after_kill", runs[len(runs) // 2], "s"),
        result("restart.ready_without_data_dir", seconds, "s"),
        result("restart.records_recovered_then", records, "records"),
    ]


async def _until(worker: Worker, done: Callable[[], Awaitable[bool]]) -> float:
    """Start the worker's process and return the seconds until `done`."""
    began = time.monotonic()
    worker.start()
    async with asyncio.timeout(machine.DRAIN_SECONDS):
        while not await done():  # noqa: ASYNC110  # another process sets no event of ours
            await asyncio.sleep(machine.POLL_SECONDS)
    return time.monotonic() - began


async def _has_applied(worker: Worker) -> bool:
    return await machine.events_done(worker) > 0


async def _is_ready(worker: Worker) -> bool:
    await worker.ready()
    return True


def _remove(directory: Path) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
