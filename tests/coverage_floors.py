"""How much of each room the tests run: `make coverage` measures it and holds it to these floors.

A floor is what was reached when it was measured, rounded down. Whoever adds what no test runs falls
below it; whoever tests more raises it. What runs in a process that is killed with -9 isn't counted.
Counting takes half as long again, and waits within tests may then be too short: CI does without.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

PLACE = "tests/coverage_floors.py"

FLOORS = {
    "agents": 99,
    "agents/commerce": 99,
    "agents/customer": 98,
    "agents/definitions": 99,
    "agents/insights": 99,
    "agents/links": 98,
    "agents/mail": 98,
    "agents/mappings": 97,
    "agents/outbound": 98,
    "agents/partition": 98,
    "agents/products": 98,
    "agents/rules": 98,
    "agents/sending": 99,
    "agents/workflows": 98,
    "schemas": 99,
    "streams": 99,
    "streams/connect": 95,
    "streams/feeds": 92,
    "streams/http": 98,
    "streams/insights": 85,
    "streams/mail": 97,
    "streams/messages": 99,
    "streams/operate": 97,
    "streams/outbound": 90,
    "streams/runtime": 97,
    "streams/settings": 96,
    "streams/tools": 97,
}
"""Percent of the lines of each room that the tests run."""


class Counted(NamedTuple):
    """Lines of a room."""

    lines: int
    run: int

    @property
    def percent(self) -> float:
        """Share of the lines that were run; all of none."""
        return 100 * self.run / self.lines if self.lines else 100.0


def rooms(report: Mapping[str, Any]) -> dict[str, Counted]:
    """Return how much of each room was run, by coverage's JSON report: a folder within `agents` or
    `streams` is a room, `schemas` is one, and what lies loose belongs to the folder it lies in."""
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, file in report["files"].items():
        place = Path(name).parts[:-1]
        room = sums["/".join(place[:1] if place[0] == "schemas" else place[:2])]
        room[0] += file["summary"]["num_statements"]
        room[1] += file["summary"]["covered_lines"]
    return {room: Counted(*counts) for room, counts in sorted(sums.items())}


def below(measured: Mapping[str, Counted], floors: Mapping[str, int]) -> list[str]:
    """Return what is wrong, a sentence each: a room below its floor, without one, or gone."""
    wrong = [
        f"{room}: {counted.percent:.1f} % of {counted.lines} lines, its floor is {floors[room]} %"
        for room, counted in measured.items()
        if room in floors and counted.percent < floors[room]
    ]
    wrong += [f"{room}: has no floor in {PLACE}" for room in measured if room not in floors]
    return wrong + [f"{room}: is in {PLACE} only" for room in floors if room not in measured]


def main() -> int:
    """Read what was counted, print it room by room, and return 1 where one is below its floor."""
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.json")
        subprocess.run([*coverage, "json", "--quiet", "-o", path], check=True)
        measured = rooms(json.loads(path.read_text()))
    for room, counted in measured.items():
        floor = FLOORS.get(room, "none")
        print(f"{room:22} {counted.percent:5.1f} %  of {counted.lines:6,} lines, floor {floor}")
    wrong = below(measured, FLOORS)
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
