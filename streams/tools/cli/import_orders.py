"""`ritorno import`: a shop's order history becomes state; nobody gets a mail for it."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Annotated, cast
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from schemas.dead_letters import refuse_line
from schemas.events import Event
from schemas.money import amount_text
from schemas.records import OutRecord
from schemas.wire import to_record
from streams.clock import SystemClock
from streams.log import Log, LogError, append_all
from streams.messages.plurals import several
from streams.partitioner import partition_of
from streams.runtime.bootstrap import provide_topics
from streams.settings import Settings
from streams.tools.cli.console import (
    OUTPUT,
    CommandFailed,
    JsonFlag,
    UserError,
    open_log,
    print_json,
    printable,
    progress,
    run,
    say,
    settings_of,
    stdout,
)
from streams.tools.order_import.event_lines import to_line
from streams.tools.order_import.import_report import ImportReport, Refusal
from streams.tools.order_import.importer import Importer, ImportOptions
from streams.tools.order_import.order_columns import ColumnError, columns, guess, parse_map
from streams.tools.order_import.order_file import OrderFile, OrderFileError, opened
from streams.tools.order_import.order_values import FileNotation
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS

BATCH = 500
"""Events awaited together: an order with its lines is some 2 kB, so about 1 MB."""

SHOWN = 10
"""Refused lines that are printed; more only hide the first ones."""

STEP = 2_000
"""Rows between two updates of the progress bar."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("import")(import_orders)


def import_orders(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="ORDERS.csv", help="CSV, also .gz; - for standard input.")
    ],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Which column holds a field; repeat."),
    ] = None,
    currency: Annotated[str, typer.Option(help="ISO code, where no column says it.")] = "EUR",
    zone: Annotated[
        str | None, typer.Option(help="Time zone of times without one; the shop's by default.")
    ] = None,
    time_format: Annotated[
        str, typer.Option(help="Such as %d/%m/%Y %H:%M; ISO 8601 by default.")
    ] = "",
    decimal_comma: Annotated[
        bool, typer.Option("--decimal-comma", help="Numbers like 1.234,56.")
    ] = False,
    cancelled_prefix: Annotated[
        str, typer.Option(help="Order ids that begin so are reversals, such as C.")
    ] = "",
    delimiter: Annotated[str | None, typer.Option(help="Guessed from the header.")] = None,
    encoding: Annotated[str, typer.Option(help="Such as latin-1.")] = "utf-8-sig",
    output: Annotated[
        Path | None,
        typer.Option(
            *OUTPUT, help="Write events as NDJSON (also .gz) here instead of publishing them."
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="As if they happened now: they start workflows.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Import a shop's orders: one row per order line or per order.

    Fields: order_id, customer_id, time, product_id, name, category, quantity, price, total,
    currency, email, customer_name, first_name, last_name, phone, birthday, locale, country, city.
    Columns with an obvious name need no --map. Importing a file again does no harm.
    """
    settings = settings_of(context)
    if live and output is None:
        raise UserError(
            "--live is for --out: published, years of orders would start today's workflows"
        )
    notation = FileNotation(
        zone=_zone(zone or settings.shop_zone), time_format=time_format, decimal_comma=decimal_comma
    )
    try:
        with opened(file, encoding=encoding, delimiter=_delimiter(delimiter)) as orders:
            options = ImportOptions(
                columns=_columns(orders, mapping or []),
                width=len(orders.header),
                notation=notation,
                currency=_currency(currency),
                cancelled_prefix=cancelled_prefix,
                backfill=not live,
            )
            if output is None:
                report = run(_publish(settings, orders, options, file.name))
            else:
                report = _write(orders, options, file.name, output)
    except (ColumnError, OrderFileError) as error:
        raise UserError(str(error)) from None
    _show(report, as_json=as_json, output=output)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # an unknown name is a KeyError
        raise UserError(f"--zone {name}: expected a name such as Europe/Rome") from None


def _currency(code: str) -> str:
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise UserError(f"--currency {code}: expected a three-letter code such as EUR")
    return code.upper()


def _delimiter(given: str | None) -> str | None:
    named = {"tab": "\t", "\\t": "\t"}.get(given or "", given)
    if named is not None and len(named) != 1:
        raise UserError(f"--delimiter {given}: expected one character, or tab")
    return named


def _columns(orders: OrderFile, mapping: list[str]) -> dict[str, int]:
    given = parse_map(mapping)
    guessed = guess(orders.header, given)
    if guessed:
        shown = " ".join(f"--map {name}={column!r}" for name, column in guessed.items())
        say(f"guessed from the header: {printable(shown)}")
    return columns(orders.header, {**given, **guessed})


def _read(orders: OrderFile, importer: Importer) -> Iterator[Event]:
    """Read the whole file, showing how far it is, and yield its events."""
    with progress("reading", orders.size) as bar:
        for row in orders.rows:
            importer.add(row)
            if importer.report.lines % STEP == 0 and orders.size is not None:
                bar.at(orders.read.tell())
    yield from importer.finish()


# Into the log.


async def _publish(
    settings: Settings, orders: OrderFile, options: ImportOptions, name: str
) -> ImportReport:
    now = SystemClock().now()
    letters: list[OutRecord] = []

    def dead_letter(refusal: Refusal) -> None:
        letters.append(
            refuse_line(refusal.row.raw, topic=name, number=refusal.row.number,
                        reason=refusal.reason, detail=refusal.detail, time=now,
                        key=refusal.key)
        )  # fmt: skip

    importer = Importer(options, dead_letter)
    async with open_log(settings) as log:
        await provide_topics(log, settings)
        with progress("publishing") as bar:
            await _append_all(log, _read(orders, importer), bar.at)
        for start in range(0, len(letters), BATCH):
            await log.append(DEAD_LETTERS, 0, letters[start : start + BATCH])
    return importer.report


async def _append_all(log: Log, events: Iterator[Event], report: Callable[[int], object]) -> None:
    """Append in batches. Raises CommandFailed: what is there already is known by its id."""
    done = 0
    try:
        count = await log.partitions(CUSTOMER_EVENTS)
        while batch := list(itertools.islice(events, BATCH)):
            groups: dict[tuple[str, int], list[OutRecord]] = defaultdict(list)
            for event in batch:
                number = partition_of(event.customer.encode(), count)
                groups[CUSTOMER_EVENTS, number].append(to_record(event))
            await append_all(log, groups)
            done += len(batch)
            report(done)
    except LogError as error:
        raise CommandFailed(
            f"{error}\nPublished before: {several(done, 'event')}. When the cause is gone, "
            "import the file again: what is there already is recognised."
        ) from error


# Into a file.


def _write(orders: OrderFile, options: ImportOptions, name: str, output: Path) -> ImportReport:
    refusals: list[Refusal] = []
    importer = Importer(options, refusals.append)
    with _writing(output) as stream:
        stream.writelines(to_line(event) for event in _read(orders, importer))
    dead = _dead_path(output)
    if refusals:
        with _writing(dead) as stream:
            stream.writelines(_dead_lines(refusals, name))
    else:
        dead.unlink(missing_ok=True)  # of an earlier run
    return importer.report


@contextmanager
def _writing(path: Path) -> Iterator[IO[bytes]]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without a time of day in it, the same events are the same file.
        with path.open("wb") as plain:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=plain, mode="wb", mtime=0, compresslevel=6) as zipped:
                    yield cast("IO[bytes]", zipped)
            else:
                yield plain
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _dead_path(output: Path) -> Path:
    return output.with_name(
        output.name.removesuffix(".gz").removesuffix(".ndjson") + ".dead.ndjson"
    )


def _dead_lines(refusals: Iterable[Refusal], name: str) -> Iterator[bytes]:
    for refusal in refusals:
        letter = {
            "file": name,
            "line": refusal.row.number,
            "reason": refusal.reason,
            "detail": refusal.detail,
            "raw": refusal.row.raw.decode("utf-8", "backslashreplace"),
        }
        # A lone surrogate in a detail is no UTF-8; escaped it is still JSON.
        yield json.dumps(letter).encode() + b"\n"


# The report.


def _show(report: ImportReport, *, as_json: bool, output: Path | None) -> None:
    if as_json:
        print_json(report.to_json())
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for label, count, remark in _rows(report):
        table.add_row(label, f"{count:,}", remark)
    stdout().print(table)
    for line, reason, detail in report.examples[:SHOWN]:
        say(f"line {line}: {reason}: {printable(detail)}")
    refused = report.refused.total()
    if refused > SHOWN:
        say(f"… and {refused - SHOWN} more")
    if refused:
        where = "dead-letters (ritorno dead-letters list)" if output is None else _dead_path(output)
        say(f"{several(refused, 'line')} could not be used: in {where}")
    for name, count in sorted(report.ignored.items()):
        say(f"an unusable {name} was left out in {several(count, 'line')}; the orders count")


def _rows(report: ImportReport) -> Iterator[tuple[str, int, str]]:
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.refused.most_common())
    yield "lines", report.lines, ""
    yield "  applied", report.applied, "of customers' orders"
    yield "  cancelled", report.cancelled, "of reversals"
    anonymous = f"of {several(report.anonymous_orders, 'order')} without a customer"
    yield "  anonymous", report.anonymous, anonymous if report.anonymous else ""
    yield "  dead-lettered", report.refused.total(), reasons
    yield "customers", report.customers, ""
    yield "orders", report.orders, _money(report.revenue.items())
    yield "  items", report.items, ""
    yield "refunds", report.refunds, _money(report.refunded.items())
    yield "events", report.events, ""


def _money(sums: Iterable[tuple[str, Decimal]]) -> str:
    return ", ".join(f"{amount_text(sum_)} {code}" for code, sum_ in sorted(sums))
