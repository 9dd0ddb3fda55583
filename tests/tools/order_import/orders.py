"""Imports lines of CSV in memory, and checks what holds for every file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from schemas.events import Event
from streams.tools.order_import.import_report import ImportReport, Refusal
from streams.tools.order_import.importer import Importer, ImportOptions
from streams.tools.order_import.order_columns import columns, guess
from streams.tools.order_import.order_file import opened
from streams.tools.order_import.order_values import FileNotation

HEADER = "order_id,customer_id,time,sku,product_name,quantity,price"


class Imported(NamedTuple):
    report: ImportReport
    events: list[Event]
    refusals: list[Refusal]

    def reasons(self) -> dict[int, str]:
        """Reason by line."""
        return {refusal.row.number: refusal.reason for refusal in self.refusals}


def import_file(path: Path, *, encoding: str = "utf-8-sig", **options: Any) -> Imported:
    refusals: list[Refusal] = []
    notation = FileNotation(
        zone=ZoneInfo(options.pop("zone", "Europe/Rome")),
        time_format=options.pop("time_format", ""),
        decimal_comma=options.pop("decimal_comma", False),
    )
    with opened(path, encoding=encoding, delimiter=None) as orders:
        found = columns(orders.header, guess(orders.header, {}))
        made = ImportOptions(columns=found, width=len(orders.header), notation=notation, **options)
        importer = Importer(made, refusals.append)
        for row in orders.rows:
            importer.add(row)
        events = list(importer.finish())
    check_sums(importer.report, refusals)
    return Imported(importer.report, events, refusals)


def import_lines(
    directory: Path, lines: Sequence[str], *, header: str = HEADER, **options: Any
) -> Imported:
    path = directory / "orders.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8", errors="surrogateescape")
    return import_file(path, **options)


def check_sums(report: ImportReport, refusals: Sequence[Refusal]) -> None:
    refused = report.refused.total()
    counted = report.applied + report.cancelled + report.anonymous + report.unplaced
    assert counted + refused == report.lines
    assert refused == len(refusals)
