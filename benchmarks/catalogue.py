"""What the whole catalogue costs: a file of events replayed with every shipped workflow live, and
with the three that are live out of the box, in turns on the same machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.throughput import SEED
from benchmarks.workload import NOON, Workload, as_line
from streams.runtime import gc_tuning
from streams.runtime.definitions import read_files
from streams.tools.replay import prepared, replay_file

WORKFLOWS = Path(__file__).parents[1] / "workflows"
EVENTS = 50_000
ROUNDS = 3
"""Of each, in turns; the best counts, since nothing but other processes makes one slower."""


def measure(directory: Path, say: Say) -> list[Result]:
    """Return the time per event with the whole catalogue, beside that with the first three."""
    now, source = NOON, directory / "events.ndjson"
    with source.open("wb") as file:
        workload = Workload(seed=SEED, now=now)
        file.writelines(map(as_line, workload.signups()))
        file.writelines(map(as_line, workload.events(EVENTS)))
    lines = source.read_bytes().splitlines(keepends=True)
    files = {
        "every workflow": read_files(WORKFLOWS, everything=True),
        "three workflows": read_files(WORKFLOWS),
    }
    best = dict.fromkeys(files, float("inf"))
    gc_tuning.search_less()  # as the worker and `ritorno replay` do
    for number in range(1, ROUNDS + 1):
        for name, live in files.items():
            say(f"{len(lines):,} events with {name} live, {number} of {ROUNDS}")
            best[name] = min(best[name], _replayed(lines, live, now) / len(lines))
    return [
        result("replay.every_workflow_live", best["every workflow"] * 1e6, "µs/event",
               "the first three", best["three workflows"] * 1e6),
    ]  # fmt: skip


def _replayed(lines: list[bytes], files: Mapping[str, bytes], until: int) -> float:
    """Return how long it took, in seconds."""
    definitions, live = prepared(files)
    gc.collect()  # what the round before has left is not this one's
    began = time.perf_counter()
    replay_file(lines, until=until, definitions=definitions, live=live)
    return time.perf_counter() - began
