"""Where a worker's time goes: one in this process, under cProfile.

    python -m benchmarks.profiled kafka|embedded [EVENTS]

Prints the functions that took longest by their own time and by all below them. cProfile makes
Python code some two to three times slower and leaves compiled code as it is, so the shares lean
towards small functions; the pace is printed too.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import sys
from pathlib import Path

from benchmarks import machine
from benchmarks.machine import Machine
from benchmarks.pace import Pace
from benchmarks.throughput import SEED, SILENT
from benchmarks.workload import Workload, fill
from streams.clock import SystemClock
from streams.runtime.worker import Worker
from streams.settings.loading import load_settings
from streams.settings.values import Address
from tests.faults.fleet import free_port

EVENTS = 100_000


async def run(log: str, events: int) -> None:
    """Fill a log, run a worker through it and print the profile."""
    opened = machine.broker if log == "kafka" else machine.embedded
    with machine.scratch() as directory:
        async with opened(directory) as here:
            await fill(here.log, Workload(seed=SEED, now=SystemClock().now()).events(events))
            await _profile(here, directory, events)


async def _profile(here: Machine, directory: Path, events: int) -> None:
    settings = load_settings(
        broker=here.url,
        data_dir=directory / "data",
        token_keys=machine.TOKEN_KEYS,
        admin_bind=Address("127.0.0.1", free_port()),
        public_bind=Address("127.0.0.1", free_port()),
        smtp_url=SILENT["RITORNO_SMTP_URL"],
        worker_id="profiled",
    )
    worker, pace = Worker(settings), Pace(events, machine.DRAIN_SECONDS)
    profile = cProfile.Profile()
    await worker.start()
    try:
        profile.enable()
        while not pace.over:
            done = _done(worker)
            if done:
                pace.reached(done)
            await asyncio.sleep(machine.POLL_SECONDS)
        profile.disable()
    finally:
        await worker.stop()
    measured = pace.measured()
    print(f"{measured.events:,} events in {measured.seconds:.1f} s: {measured.per_second:,.0f}/s")
    for order in ("tottime", "cumulative"):
        pstats.Stats(profile).sort_stats(order).print_stats(45)


def _done(worker: Worker) -> int:
    samples = (sample for metric in worker.metrics.events.collect() for sample in metric.samples)
    return int(sum(each.value for each in samples if each.labels.get("result") == "applied"))


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else EVENTS))
