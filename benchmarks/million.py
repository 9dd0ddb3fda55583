"""A worker on the embedded log starts with an empty data directory: a million customers' records
come back from the changelog. How long that takes, and the most memory that the process had."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import machine
from benchmarks.machine import Machine
from benchmarks.recovery import kept_records
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.throughput import SILENT
from benchmarks.workload import fill
from schemas.records import OutRecord
from streams.topology import CUSTOMERS as RUNTIME

CUSTOMERS = 1_000_000
SAID = 100_000
"""Records between two lines about how far it is."""


async def measure(here: Machine, say: Say) -> list[Result]:
    """Fill the changelog, start a worker and wait until it is ready."""
    say(f"filling the customers' changelog with {CUSTOMERS:,} kept records")
    await fill(here.log, _told(kept_records(CUSTOMERS), say), RUNTIME.keeps)
    with here.worker("million", **SILENT) as worker:
        say("a worker with an empty data directory")
        began = time.monotonic()
        worker.start()
        await worker.ready()
        seconds = time.monotonic() - began
        assert worker.process is not None
        peak = _peak_bytes(worker.process.pid)
        records = machine.total(await worker.metrics(), "ritorno_recovery_records_total")
    if records < CUSTOMERS:
        raise RuntimeError(f"of {CUSTOMERS:,} kept records {records:,.0f} came back")
    return [
        result("million.ready_without_data_dir", seconds, "s"),
        result("million.memory", peak / 1_000_000, "MB at most"),
    ]


def _told(records: Iterator[OutRecord], say: Say) -> Iterator[OutRecord]:
    for number, record in enumerate(records, start=1):
        if number % SAID == 0:
            say(f"{number:,} of {CUSTOMERS:,}")
        yield record


def _peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, amount = line.partition(":")
        if name == "VmHWM":
            return int(amount.split()[0]) * 1_024
    raise RuntimeError(f"/proc/{pid}/status names no VmHWM")
