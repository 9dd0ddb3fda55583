"""What a process says of itself, whatever it does."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from shutil import disk_usage

from streams.operate.customer_metrics import FAILURES_PANEL
from streams.operate.instruments import Instruments
from streams.operate.panels import NotShown, Panel
from streams.runtime.background import FAILURES
from streams.runtime.log_lines import LEFT_OUT

LOOP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
"""Seconds. A portion of a batch takes some 10 ms; a quarter of a second is felt by who waits."""


class ProcessMetrics:
    """The metrics; each has what the dashboard shows of it beside it."""

    def __init__(self, make: Instruments) -> None:
        info = make.gauge(
            "build_info",
            "Version of Ritorno and Python.",
            "version",
            "python",
            shown=[
                Panel("Workers", "Versions", "What runs where.", form="table", is_wide=True).line(
                    "instance", "version", "python", legend="{{instance}}", how="max"
                )
            ],
        )
        info.labels(version("ritorno"), platform.python_version()).set(1)
        self.data_free = make.reading(
            "data_free_bytes",
            "Free space where this worker keeps its data; 0 when it can't be asked.",
            kind="gauge",
            shown=[
                Panel(
                    "Workers",
                    "Disk free",
                    "Room for the state, the embedded log and what came back. A worker that can't "
                    "write opens its partitions again and again.",
                ).line("instance", how="min")
            ],
        )
        self.loop_delay = make.histogram(
            "event_loop_delay_seconds",
            "How much longer than asked for a pause of 0.1 s was.",
            LOOP_BUCKETS,
            shown=[
                Panel(
                    "Workers",
                    "Event-loop delay, 95th percentile",
                    "For how long whoever is due waits until what runs lets go: deliveries, "
                    "public pages and heartbeats all do.",
                ).line("instance")
            ],
        )
        self.background_failures = make.reading(
            "background_failures",
            "Work beside the log that has failed and was begun again, or was left undone.",
            "work",
            shown=[FAILURES_PANEL.line("work")],
        )
        self.lines_left_out = make.reading(
            "log_lines_left_out",
            "Warnings and errors that were not logged, as too many of the same came in a minute.",
            "level",
            shown=[FAILURES_PANEL.line("level", legend="{{level}}s not logged")],
        )
        self.visitors_forgotten = make.reading(
            "visitors_forgotten",
            "Visitors who are forgotten and whose records were removed.",
            shown=NotShown("housekeeping that needs nobody; it tells why a store has shrunk"),
        )
        self.background_failures.of(
            lambda: [((work,), count) for work, count in FAILURES.counts.items()]
        )
        self.lines_left_out.of(lambda: [((level,), count) for level, count in LEFT_OUT.items()])

    def watch_disk(self, directory: Path) -> None:
        """Show how much room is left where the worker keeps its data."""
        self.data_free.of_one(partial(_free_bytes, directory))

    def watch_forgotten(self, forgotten: Callable[[], int]) -> None:
        """Show how many visitors were removed."""
        self.visitors_forgotten.of_one(forgotten)

    def loop_delayed(self, seconds: float) -> None:
        """By how much a pause was longer than asked for."""
        self.loop_delay.observe(seconds)


def _free_bytes(directory: Path) -> float:
    try:
        return float(disk_usage(directory).free)
    except OSError:
        return 0.0  # what is shown must not depend on what it is about
