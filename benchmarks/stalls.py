"""What keeps a worker's event loop from answering: `python -m benchmarks.stalls FILE`.

A `ritorno worker` with a second thread that has the loop answer every few milliseconds. While it
doesn't, the main thread's stack is noted again and again. At SIGTERM the stalls go to FILE
as JSON, each with the places that were met most often; besides, how long Python searched for
cycles, and the longest time between two heartbeats of the group. A stall with few samples for its
length was spent where no other thread could run: in the search for cycles, or in an extension; one
of little processor time was spent waiting for others on the machine.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from streams.logging import configure_logging
from streams.runtime.worker import Worker
from streams.runtime.worker_process import run_worker
from streams.settings.loading import load_settings

BETWEEN = 0.01
"""Seconds between two looks."""
STALL = 0.1
"""Seconds without an answer of the loop from which it counts as stalled."""
TOLD = 1_000
"""Stalls and searches that are told, the longest first."""
PLACES = 3
"""Of each, the stacks that were met most often."""
DEEP = 14
"""Frames of a stack, the innermost ones."""


@dataclass(slots=True)
class Stall:
    """The loop did not answer for so long."""

    seconds: float
    worked: float
    """Seconds of processor time that the loop's thread had of that."""
    at: float
    """When it began, by the clock that all processes of the machine share (`time.monotonic`)."""
    stacks: Counter[str] = field(default_factory=Counter)


class Watcher:
    """Watches the loop of the thread on which it is made."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._main = threading.get_ident()
        self._processor = time.pthread_getcpuclockid(self._main)
        self._answered = threading.Event()
        self._over = False
        self._searched: list[tuple[float, float, int, int, float]] = []
        self._searching = (0.0, 0.0)
        self._heartbeat = 0.0
        self.stalls: list[Stall] = []
        gc.callbacks.append(self._search)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, Any]:
        """End, and return what was seen."""
        self._over = True
        self._thread.join()
        gc.callbacks.remove(self._search)
        stalls = sorted(self.stalls, key=lambda each: -each.seconds)[:TOLD]
        searches = sorted(self._searched, reverse=True)[:TOLD]
        return {
            "stalls": [
                {
                    "ms": round(each.seconds * 1000),
                    "worked": round(each.worked * 1000),
                    "at": each.at,
                    "samples": each.stacks.total(),
                    "places": each.stacks.most_common(PLACES),
                }
                for each in stalls
            ],
            "searches": [
                {
                    "ms": round(seconds * 1000),
                    "worked": round(worked * 1000),
                    "generation": generation,
                    "found": found,
                    "at": at,
                }
                for seconds, worked, generation, found, at in searches
            ],
            "heartbeat": self._heartbeat,
        }

    def _search(self, phase: str, about: dict[str, int]) -> None:
        now, worked = time.monotonic(), time.thread_time()
        if phase == "start":
            self._searching = now, worked
        else:
            began, before = self._searching
            self._searched.append(
                (now - began, worked - before, about["generation"], about["collected"],
                 began)
            )  # fmt: skip

    def _watch(self) -> None:
        while not self._over:
            self._answered.clear()
            asked, before = time.monotonic(), time.clock_gettime(self._processor)
            self._loop.call_soon_threadsafe(self._answered.set)
            stacks: Counter[str] = Counter()
            while not self._answered.wait(BETWEEN) and not self._over:
                if frame := sys._current_frames().get(self._main):
                    stacks[_told(frame)] += 1
                self._look_at_heartbeat()
            waited = time.monotonic() - asked
            if waited >= STALL:
                worked = time.clock_gettime(self._processor) - before
                self.stalls.append(Stall(waited, worked, asked, stacks))
            self._look_at_heartbeat()
            time.sleep(BETWEEN)

    def _look_at_heartbeat(self) -> None:
        self._heartbeat = max(self._heartbeat, self._worker.partition_manager.heartbeat_age())


def _told(frame: FrameType | None) -> str:
    places = []
    while frame is not None and len(places) < DEEP:
        code = frame.f_code
        places.append(f"{Path(code.co_filename).stem}.{code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(places)


def main(path: Path) -> None:
    """Run a worker until SIGTERM, and write what has kept its loop."""
    settings = load_settings()
    configure_logging(level=settings.log_level, style=settings.log_format)
    watching: list[Watcher] = []
    run_worker(settings, started=lambda worker: watching.append(Watcher(worker)))
    path.write_text(json.dumps(watching[0].stop()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
