"""What became of an imported file, as a person or a program reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from shlex import quote
from typing import Any

from rich.table import Table

from schemas.money import amount_text
from streams.messages.plurals import several
from streams.tools.cli.console import print_json, printable, say, stdout
from streams.tools.cli.tables import wrapped
from streams.tools.customer_import.consent_words import is_about_consent
from streams.tools.customer_import.customers import CustomerReport
from streams.tools.import_columns import ColumnUse
from streams.tools.order_import.import_report import ImportReport

SHOWN = 10
"""Refused lines that are printed; more only hide the first ones."""


def show(
    report: ImportReport | CustomerReport,
    columns: Sequence[ColumnUse],
    *,
    as_json: bool,
) -> None:
    """Print a report."""
    if as_json:
        used = [_column_json(each) for each in columns]
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
    if isinstance(report, CustomerReport):
        for line in (*_columns(columns), *_consent(report, columns)):
            say(line)
    else:
        for line in (*_columns(columns), *_consent_of_orders(columns)):
            say(line)
    for number, reason, detail in report.examples[:SHOWN]:
        say(f"line {number}: {reason}: {printable(detail)}")
    refused = report.refused.total()
    if refused > SHOWN:
        say(f"… and {refused - SHOWN:,} more")
    examples = report.left_out.examples()
    for name, count in report.left_out.counts().items():
        if name != "consent":
            shown = _values(examples.get(name, {}))
            say(f"an unusable {name} was left out in {several(count, 'line')}: {shown}; "
                "the rest counts")  # fmt: skip


def _columns(columns: Sequence[ColumnUse]) -> Iterator[str]:
    read = [f"{each.column} → {each.field}" for each in columns if each.field]
    ignored = [each for each in columns if not each.field and each.filled]
    yield from wrapped("columns: ", map(printable, read))
    names = (printable(f"{each.column} ({each.filled:,})") for each in ignored)
    yield from wrapped("not read (rows with something in them): ", names)


def _consent(report: CustomerReport, columns: Sequence[ColumnUse]) -> Iterator[str]:
    """Yield what of it can't be read, and where else it may stand."""
    unread = report.left_out.counts().get("consent", 0)
    if unread:
        values = _values(report.left_out.examples()["consent"])
        yield f"consent can't be read in {several(unread, 'line')}, nothing is concluded: {values}"
        yield "  --yes-word WORD makes one a yes, --unsubscribed-word WORD an objection,"
        yield "  --map consent=COLUMN takes another column"
    fields = {each.field for each in columns}
    found = [each for each in columns if each.may_be_consent]
    if found:
        yield from wrapped("not read, and looks like consent: ", map(_looks, found))
        is_time = "consent" in fields and not found[0].holds_answers
        field, says = (
            ("consent_time", "when somebody agreed") if is_time else ("consent", "who has agreed")
        )
        column = quote(printable(found[0].column))
        yield f"  nothing is concluded of it; where it says {says}: --map {field}={column}"
    if "consent_time" in fields and not {"consent", "unsubscribed_time"} & fields:
        yield "a column says when, and none who has agreed: --map consent=COLUMN"


def _consent_of_orders(columns: Sequence[ColumnUse]) -> Iterator[str]:
    found = [each for each in columns if each.may_be_consent and is_about_consent(each.column)]
    if found:
        yield from wrapped("not read, and looks like consent: ", map(_looks, found))
        yield "  an order is none: import who has agreed, and when, by --what customers"


def _looks(use: ColumnUse) -> str:
    values = f" ({_values(use.answers)})" if use.answers else ""
    return f"{printable(use.column)}{values}"


def _values(counts: Mapping[str, int]) -> str:
    """Return values with how often they were seen."""
    shown = [f"{printable(value)!r} {count:,}×" for value, count in list(counts.items())[:SHOWN]]
    return ", ".join(shown)


def _column_json(use: ColumnUse) -> dict[str, Any]:
    said: dict[str, Any] = {
        "column": use.column,
        "read_as": use.field or None,
        "filled": use.filled,
    }
    if use.may_be_consent:
        said |= {"looks_like_consent": True, "values": dict(use.answers)}
    return said


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
    if report.shipped or report.delivered or report.undated:
        yield "shipped", report.shipped, ""
        yield "delivered", report.delivered, ""
    if report.undated:
        remark = "sent or arrived, but not when: left out (--map shipped_at, delivered_at)"
        yield "  left out", report.undated, remark
    yield "refunds", report.refunds, _money(report.refunded.items())
    if report.refunds_left_out:
        yield "  left out", report.refunds_left_out, "--no-refunds"
    yield "events", report.events, ""


def _of_customers(report: CustomerReport) -> Iterator[tuple[str, int, str]]:
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.refused.most_common())
    persons = report.persons.count()
    yield "lines", report.lines, ""
    yield "  applied", report.applied, ""
    yield "  dead-lettered", report.refused.total(), reasons
    more = report.applied - persons
    said = f"{several(more, 'line')} more about somebody who is among them"
    yield "customers", persons, said if more else ""
    yield "have agreed", report.agreed.count(), ""
    if unconfirmed := report.unconfirmed.count():
        remark = "no column says that the address was confirmed, and no --confirmed"
        yield "  unconfirmed", unconfirmed, remark
    yield "have objected", report.objected.count(), ""
    if lost := report.without_time.count():
        remark = "agreed, but not when: left out (--consented-since says it)"
        yield "lost", lost, remark
    if unread := report.unread.count():
        yield "unread", unread, "neither yes nor no: nothing is concluded, see below"
    yield "events", report.events, ""


def _money(sums: Iterable[tuple[str, Decimal]]) -> str:
    return ", ".join(f"{amount_text(sum_)} {code}" for code, sum_ in sorted(sums))
