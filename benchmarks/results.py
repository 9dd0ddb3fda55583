"""What a run has found: rows, a table of them, and `benchmarks/results.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

FILE = Path(__file__).parent / "results.json"


@dataclass(frozen=True, slots=True)
class Result:
    """One number, beside a peer's where there is one."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None


def result(
    name: str, value: float, unit: str, peer: str | None = None, peer_value: float | None = None
) -> Result:
    """Return a row with its numbers rounded to what can be trusted, and the ratio filled in."""
    ratio = round(value / peer_value, 2) if peer_value else None
    return Result(name, _rounded(value), unit, peer, peer_value and _rounded(peer_value), ratio)


def _rounded(value: float) -> float:
    return round(value) if abs(value) >= 100 else round(value, 2)


def write(results: Sequence[Result]) -> None:
    """Write the file: what this run has measured and nothing older."""
    FILE.write_text(json.dumps([asdict(each) for each in results], indent=2) + "\n")


def read() -> list[Result]:
    """Return what the file holds."""
    return [Result(**each) for each in json.loads(FILE.read_text())]


def show(results: Sequence[Result], console: Console) -> None:
    """Print a table."""
    table = Table("measurement", "value", "unit", "peer", "peer's value", "ratio")
    table.columns[0].no_wrap = True
    for column in (1, 4, 5):
        table.columns[column].justify = "right"
    for each in results:
        table.add_row(
            each.name,
            shown(each.value),
            each.unit,
            each.peer or "",
            shown(each.peer_value),
            "" if each.ratio is None else f"{each.ratio:.2f} ×",
        )
    console.print(table)


def shown(value: float | None) -> str:
    """Return a number as tables have it, empty when there is none."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
