"""How fast a recorded log is replayed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.recovery import published
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.throughput import SEED
from benchmarks.workload import NOON, Workload, as_line
from schemas.time_units import DAY_MS
from streams.runtime import gc_tuning
from streams.tools.parallel_replay import ReplayFile, replay_side_by_side
from streams.tools.replay import replay_file
from streams.tools.replayed_partition import write

EVENTS = 100_000


def measure(directory: Path, say: Say) -> list[Result]:
    """Replay a file of events and write its output, as `ritorno replay` does."""
    say(f"writing a file of {EVENTS:,} events")
    now, source = NOON, directory / "events.ndjson"
    with source.open("wb") as file:
        file.writelines(map(as_line, Workload(seed=SEED, now=now).events(EVENTS)))
    definitions, live = published()
    say("replaying it, and the month after it")
    gc_tuning.search_less()
    began = time.perf_counter()
    with source.open("rb") as lines:
        outcome = replay_file(lines, until=now + 30 * DAY_MS, definitions=definitions, live=live)
    write(outcome, directory / "out")
    seconds = time.perf_counter() - began
    return [
        result("replay.events", EVENTS / seconds, "events/s"),
        *(_side_by_side(source, jobs, directory, say, EVENTS / seconds) for jobs in (1, 2)),
    ]


def _side_by_side(source: Path, jobs: int, directory: Path, say: Say, alone: float) -> Result:
    @contextmanager
    def lines() -> Iterator[Iterable[bytes]]:
        with source.open("rb") as file:
            yield file

    definitions, live = published()
    say(f"the same as partitions, by {jobs} processes")
    began = time.perf_counter()
    outcome = replay_side_by_side(
        ReplayFile(lines), jobs, until=NOON + 30 * DAY_MS, definitions=definitions, live=live
    )
    write(outcome, directory / f"out-{jobs}")
    seconds = time.perf_counter() - began
    return result(f"replay.jobs.{jobs}", EVENTS / seconds, "events/s", "as one partition", alone)
