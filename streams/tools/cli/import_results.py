"""What became of an imported file, as a person or a program reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from rich.table import Table

from schemas.money import amount_text
from streams.messages.plurals import several
from streams.tools.cli.console import print_json, printable, say, stdout
from streams.tools.customer_import.customers import CustomerReport
from streams.tools.order_import.import_report import ImportReport

SHOWN = 10
"""Refused lines that are printed; more only hide the first ones."""


class ColumnUse(NamedTuple):
    """What a column was read as."""

    column: str
    field: str
    """Empty: it is ignored."""
    filled: int
    """Rows in which something stands there."""


def show(
    report: ImportReport | CustomerReport,
    columns: Sequence[ColumnUse],
    *,
    as_json: bool,
    dead_letters: str,
) -> None:
    """Print a report. `dead_letters`: where refused lines are."""
    if as_json:
        used: list[dict[str, Any]] = [
            {"column": each.column, "read_as": each.field or None, "filled": each.filled}
            for each in columns
        ]
        print_json({**report.to_json(), "columns": used})
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    rows = _of_customers(report) if isinstance(report, CustomerReport) else _of_orders(report)
    for label, count, remark in rows:
        table.add_row(label, f"{count:,}", remark)
    stdout().print(table)
    for line in _columns(columns):
        say(line)
    for number, reason, detail in report.examples[:SHOWN]:
        say(f"line {number}: {reason}: {printable(detail)}")
    refused = report.refused.total()
    if refused > SHOWN:
        say(f"… and {refused - SHOWN:,} more")
    if refused:
        say(f"{several(refused, 'line')} could not be used{dead_letters}")
    for name, count in sorted(report.ignored.items()):
        say(f"an unusable {name} was left out in {several(count, 'line')}; the rest counts")


def _columns(columns: Sequence[ColumnUse]) -> Iterator[str]:
    read = [f"{each.column} → {each.field}" for each in columns if each.field]
    ignored = [each for each in columns if not each.field and each.filled]
    if read:
        yield f"columns: {printable(', '.join(read))}"
    if ignored:
        names = ", ".join(f"{each.column} ({each.filled:,})" for each in ignored)
        yield f"not read (rows with something in them): {printable(names)}"


def _of_orders(report: ImportReport) -> Iterator[tuple[str, int, str]]:
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.refused.most_common())
    yield "lines", report.lines, ""
    yield "  applied", report.applied, "of customers' orders"
    yield "  cancelled", report.cancelled, "of reversals"
    anonymous = f"of {several(report.anonymous_orders, 'order')} without a customer"
    yield "  anonymous", report.anonymous, anonymous if report.anonymous else ""
    unplaced = f"of {several(report.unplaced_orders, 'order')} never paid, or called off"
    if report.unplaced:
        yield "  no purchase", report.unplaced, unplaced
    yield "  dead-lettered", report.refused.total(), reasons
    yield "customers", report.customers, ""
    yield "orders", report.orders, _money(report.revenue.items())
    yield "  items", report.items, ""
    yield "refunds", report.refunds, _money(report.refunded.items())
    if report.refunds_left_out:
        yield "  left out", report.refunds_left_out, "--no-refunds"
    yield "events", report.events, ""


def _of_customers(report: CustomerReport) -> Iterator[tuple[str, int, str]]:
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.refused.most_common())
    yield "lines", report.lines, ""
    yield "  dead-lettered", report.refused.total(), reasons
    yield "customers", report.customers, ""
    yield "have agreed", report.agreed, ""
    if report.unconfirmed:
        remark = "no column says that the address was confirmed, and no --confirmed"
        yield "  unconfirmed", report.unconfirmed, remark
    yield "have objected", report.objected, ""
    if report.without_time:
        remark = "agreed, but not when: left out (--consented-since says it)"
        yield "lost", report.without_time, remark
    yield "events", report.events, ""


def _money(sums: Iterable[tuple[str, Decimal]]) -> str:
    return ", ".join(f"{amount_text(sum_)} {code}" for code, sum_ in sorted(sums))
