"""What a shop in which nothing happens writes in a day.

On the embedded log a day passes on virtual time, and what its topics hold afterwards is counted. On
Kafka a worker is left alone for a minute: what its opening ticks have cost on the broker's disk,
offsets included, times the ticks of a day, and whatever else has been written meanwhile.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.results import Result, result
from benchmarks.say import Say
from schemas.time_units import DAY_MS
from streams.clock import VirtualClock
from streams.log import Log
from streams.runtime.logs.embedded.file import FILE_NAME
from streams.runtime.ticks import SILENCE_MS
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, KAFKA_PARTITIONS, topics

START = 1_772_355_600_000
"""2026-03-01T09:00:00Z."""

OPENING_SECONDS = 30.0
"""From a partition's opening to its first tick: the first ones fall into the minute watched."""

STEP_MS = 15_000
TICKS_A_DAY = KAFKA_PARTITIONS * DAY_MS // SILENCE_MS

WATCHED_SECONDS = 60.0
"""Without anything due: longer than Kafka's clients take to commit offsets."""


async def embedded(directory: Path, say: Say) -> list[Result]:
    """Let a day pass in a worker with eight partitions, as a larger shop has."""
    say("a day without anything, on the embedded log")
    clock = VirtualClock(START)
    worker = Worker(_settings(directory), clock=clock)
    await worker.start()
    try:
        await _let_pass(worker, clock, 60_000)  # opening
        before, size = await _held(worker.log), _size(directory / "log")
        await _let_pass(worker, clock, DAY_MS)
        after, grown = await _held(worker.log), _size(directory / "log") - size
    finally:
        await worker.stop()
    records = {name: after[name][0] - before[name][0] for name in after}
    written = {name: after[name][1] - before[name][1] for name in after}
    others = written.keys() - {CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG}
    return [
        result("idle.ticks", records[CUSTOMER_EVENTS], "a day, 8 partitions"),
        result("idle.log", written[CUSTOMER_EVENTS] / 1e6, "MB a day"),
        result("idle.changelog", written[CUSTOMERS_CHANGELOG] / 1e6, "MB a day"),
        result("idle.elsewhere", sum(written[name] for name in others) / 1e6, "MB a day"),
        result("idle.embedded", sum(written.values()) / 1e6, "MB a day"),
        result("idle.embedded_file", grown / 1e6, "MB a day"),
    ]


async def kafka(here: Machine, kafka_directory: Path, say: Say) -> list[Result]:
    """Leave a worker alone for a minute on a real broker with eight partitions."""
    say(f"a worker with nothing to do on Kafka, {WATCHED_SECONDS:.0f} s")
    with here.worker("idle", RITORNO_TICK_SECONDS=str(OPENING_SECONDS)) as worker:
        worker.start()
        await worker.ready()
        opened, before = await _ticks(here.log), _on_disk(kafka_directory)
        await asyncio.sleep(WATCHED_SECONDS)
        ticks, written = await _ticks(here.log) - opened, _on_disk(kafka_directory) - before
    if not ticks:
        raise RuntimeError("the worker was ready too late for its first ticks to be seen")
    # What is written besides ticks is not told from what they cost: neither is thought away.
    return [result("idle.kafka", written / ticks * TICKS_A_DAY / 1e6, "MB a day")]


def _settings(directory: Path) -> Settings:
    return Settings(
        broker=f"embedded://{directory / 'log'}",
        data_dir=directory / "data",
        admin_bind="127.0.0.1:0",  # type: ignore[arg-type]  # read by pydantic
        public_bind="127.0.0.1:0",  # type: ignore[arg-type]
        partitions=KAFKA_PARTITIONS,
        store="memory",
        mail_provider_lookup=False,
    )


async def _let_pass(worker: Worker, clock: VirtualClock, span: int) -> None:
    """Let the time pass in steps, and everybody finish at each of them."""
    until = clock.now() + span
    while clock.now() < until:
        clock.advance(clock.now() + STEP_MS)
        await asyncio.sleep(0)
        while not worker.ticks.at_rest:  # noqa: ASYNC110  # nobody else needs to be told
            await asyncio.sleep(0.001)


async def _held(log: Log) -> dict[str, tuple[int, int]]:
    """Return records and bytes that were ever written to each topic, none of them compacted yet."""
    held = {}
    for spec in topics(1):
        records = size = 0
        for number, span in (await log.offsets(spec.name)).items():
            async for chunk in log.read(spec.name, number, span.start, span.end):
                records += len(chunk)
                size += sum(
                    len(record.key or b"")
                    + len(record.value or b"")
                    + sum(len(name) + len(value) for name, value in record.headers)
                    for record in chunk
                )
        held[spec.name] = (records, size)
    return held


async def _ticks(log: Log) -> int:
    return sum(span.end for span in (await log.offsets(CUSTOMER_EVENTS)).values())


def _size(directory: Path) -> int:
    """Return the bytes of the log's file; what is written ahead of it is used again and again."""
    return (directory / FILE_NAME).stat().st_size


def _on_disk(kafka_directory: Path) -> int:
    """Return the bytes in the segments of all topics, group offsets included.

    Without what the broker notes for itself, 12 MB a day whoever uses it, and without the indexes,
    which it makes large beforehand.
    """
    segments = kafka_directory.rglob("*-*/*.log")
    return sum(each.stat().st_size for each in segments if "__cluster" not in each.parent.name)
