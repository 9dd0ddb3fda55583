"""`ritorno import`: a shop's orders and customers become state; nobody gets a mail for it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from zoneinfo import ZoneInfo

import typer

from schemas.events import Event
from schemas.written_times import read_time
from streams.clock import SystemClock
from streams.feeds.delimited import DelimitedRow, TableError
from streams.messages.plurals import several
from streams.settings import Settings
from streams.tools.cli.console import (
    OUTPUT,
    JsonFlag,
    LinesRefused,
    UserError,
    progress,
    run,
    say,
    settings_of,
)
from streams.tools.cli.import_mapping import besides_of, columns_of, fields_by_position
from streams.tools.cli.import_results import show
from streams.tools.cli.import_writing import ImportPlace, dead_path, publish, write
from streams.tools.customer_import.consent_words import ShopWords, plain_word
from streams.tools.customer_import.customers import SOURCE, CustomerImporter, CustomerOptions
from streams.tools.export_formats import ExportFormat, What, recognised
from streams.tools.import_columns import ColumnCounts
from streams.tools.order_import.import_report import Refusal
from streams.tools.order_import.importer import Importer, ImportOptions
from streams.tools.order_import.order_columns import ColumnError
from streams.tools.order_import.order_file import OrderFile, opened
from streams.tools.order_import.order_values import FileNotation, Values

STEP = 2_000
"""Rows between two updates of the progress bar."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("import")(import_file)


class _ImportChoices(NamedTuple):
    """How a file is read, as the options say."""

    source: str
    customer_prefix: str
    currency: str
    notation: FileNotation
    cancelled_prefix: str
    with_refunds: bool
    live: bool
    list: str
    words: ShopWords
    consented_since: int | None
    is_confirmed: bool
    as_of: int
    """Ms; of what a file says without a time."""


def import_file(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="CSV, also .gz; - for standard input.")
    ],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Which column holds a field; repeat."),
    ] = None,
    what: Annotated[
        Literal["orders", "customers"] | None,
        typer.Option(help="What the rows are; exports that are known say it themselves."),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            metavar="KIND:HOST",
            help="The connected shop whose they are, such as shopify:negozio.myshopify.com: what "
            "its connection tells as well is the same event.",
        ),
    ] = "",
    customer_prefix: Annotated[
        str, typer.Option(help="As that connection has it, before customers' ids.")
    ] = "",
    currency: Annotated[str, typer.Option(help="ISO code, where no column says it.")] = "EUR",
    zone: Annotated[
        str | None, typer.Option(help="Time zone of times without one; the shop's by default.")
    ] = None,
    time_format: Annotated[
        str, typer.Option(help="Such as %m/%d/%Y %H:%M; ISO 8601 or day first by default.")
    ] = "",
    decimal_comma: Annotated[
        bool, typer.Option("--decimal-comma", help="1,234 is less than two.")
    ] = False,
    cancelled_prefix: Annotated[
        str, typer.Option(help="Order ids that begin so are reversals, such as C.")
    ] = "",
    no_refunds: Annotated[
        bool,
        typer.Option("--no-refunds", help="A connection tells the refunds of these orders."),
    ] = False,
    list_: Annotated[str, typer.Option("--list", help="What customers agree to.")] = "newsletter",
    yes_words: Annotated[
        list[str] | None,
        typer.Option("--yes-word", metavar="WORD", help="A yes besides yes, sì, true, 1…; repeat."),
    ] = None,
    no_words: Annotated[
        list[str] | None,
        typer.Option(
            "--unsubscribed-word", metavar="WORD", help="What says that somebody has left; repeat."
        ),
    ] = None,
    consented_since: Annotated[
        str, typer.Option(metavar="TIME", help="Since when a yes holds that has no time.")
    ] = "",
    confirmed: Annotated[
        bool,
        typer.Option(
            "--confirmed", help="Who is on the list has confirmed the address (double opt-in)."
        ),
    ] = False,
    delimiter: Annotated[str | None, typer.Option(help="Found out by default.")] = None,
    encoding: Annotated[str, typer.Option(help="Such as latin-1; found out by default.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would become of it.")
    ] = False,
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
    """Import a shop's orders or customers, as its systems export them.

    One row per order line, per order or per customer. Exports of Shopify, WooCommerce, PrestaShop,
    Magento, Klaviyo and Mailchimp are known by their heads; elsewhere columns with an obvious name
    need no --map. docs/import.md names all fields. Importing a file again does no harm. A line that
    can't be used costs that line: it is named, and the exit code is 1.
    """
    settings = settings_of(context)
    if live and output is None:
        raise UserError(
            "--live is for --out: published, years of orders would start today's workflows"
        )
    place = _zone(zone or settings.shop_zone)
    chosen = _ImportChoices(
        source=_source(source),
        customer_prefix=customer_prefix,
        currency=_currency(currency),
        notation=FileNotation(zone=place, time_format=time_format, decimal_comma=decimal_comma),
        cancelled_prefix=cancelled_prefix,
        with_refunds=not no_refunds,
        live=live,
        list=list_,
        words=_words(yes_words or [], no_words or []),
        consented_since=_since(consented_since, place),
        is_confirmed=confirmed,
        as_of=_as_of(file),
    )
    try:
        with opened(file, encoding=encoding, delimiter=_delimiter(delimiter)) as table:
            _import(settings, table, file, (mapping or [], what), chosen, output=output,
                    dry_run=dry_run, as_json=as_json)  # fmt: skip
    except (ColumnError, TableError) as error:
        raise UserError(str(error)) from None


def _import(
    settings: Settings,
    table: OrderFile,
    file: Path,
    asked: tuple[list[str], What | None],
    chosen: _ImportChoices,
    *,
    output: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    mapping, what = asked
    known = recognised(table.header)
    if what is None:
        what = known.what if known is not None else "orders"
    elif known is not None and known.what != what:
        say(f"the heads are those of {known.name}: --what {known.what}?")
        known = None
    found = columns_of(table.header, mapping, what, known, by_address=bool(chosen.source))
    besides = besides_of(table.header, mapping, known)
    counts = ColumnCounts(table.header, fields_by_position(found, besides))
    rows = _counted(table, counts)
    refusals: list[Refusal] = []
    importer = _importer(what, (found, besides), table, known, chosen, file.name, refusals)
    events = _events(importer, rows)
    if dry_run:
        for _ in events:
            pass
    elif output is not None:
        write(output, events, refusals, file.name)
    else:
        digest = "" if str(file) == "-" else _digest(settings, table.content, found, chosen)
        place = ImportPlace(settings.data_dir, digest)
        run(publish(settings, events, refusals, file.name, place))
    where = ": in dead-letters (ritorno dead-letters list)"
    if dry_run:
        where = "; nothing was published"
    elif output is not None:
        where = f": in {dead_path(output)}"
    show(importer.report, counts.uses(), as_json=as_json)
    if refused := importer.report.refused.total():
        raise LinesRefused(f"{several(refused, 'line')} could not be used{where}")


def _importer(
    what: What,
    places: tuple[Mapping[str, int], Mapping[str, Sequence[int]]],
    table: OrderFile,
    known: ExportFormat | None,
    chosen: _ImportChoices,
    name: str,
    refusals: list[Refusal],
) -> Importer | CustomerImporter:
    found, besides = places
    if what == "orders":
        return Importer(
            ImportOptions(
                columns=found,
                otherwise=besides,
                width=len(table.header),
                notation=chosen.notation,
                currency=chosen.currency,
                cancelled_prefix=chosen.cancelled_prefix,
                source=chosen.source,
                customer_prefix=chosen.customer_prefix,
                with_refunds=chosen.with_refunds,
                backfill=not chosen.live,
            ),
            refusals.append,
        )
    return CustomerImporter(
        CustomerOptions(
            columns=found,
            width=len(table.header),
            values=Values(chosen.notation),
            source=chosen.source or SOURCE,
            customer_prefix=chosen.customer_prefix,
            consent=known.consent if known is not None else "",
            words=chosen.words,
            list=chosen.list,
            told_by=name[:200],
            consented_since=chosen.consented_since,
            is_confirmed=chosen.is_confirmed,
            now=chosen.as_of,
        ),
        refusals.append,
    )


def _events(importer: Importer | CustomerImporter, rows: Iterator[DelimitedRow]) -> Iterator[Event]:
    """Read the whole file and yield its events: an order's lines may lie anywhere in it."""
    if isinstance(importer, CustomerImporter):
        for row in rows:
            yield from importer.events(row)
        return
    for row in rows:
        importer.add(row)
    yield from importer.finish()


def _counted(table: OrderFile, counts: ColumnCounts) -> Iterator[DelimitedRow]:
    """Yield the rows, showing how far it is and counting what is filled in."""
    with progress("reading", table.size) as bar:
        for number, row in enumerate(table.rows, start=1):
            counts.note(row.fields)
            yield row
            if number % STEP == 0 and table.size is not None:
                bar.at(table.read.tell())


def _digest(
    settings: Settings, content: str, found: Mapping[str, int], chosen: _ImportChoices
) -> str:
    """Return by what an import is known that was interrupted: what is in one log is in no other."""
    log = settings.broker_url, settings.topic_prefix
    said = repr((log, content, sorted(found.items()), chosen))
    return hashlib.sha256(said.encode()).hexdigest()[:32]


# What options say.


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # an unknown name is a KeyError
        raise UserError(f"--zone {name}: expected a name such as Europe/Rome") from None


def _currency(code: str) -> str:
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise UserError(f"--currency {code}: expected a three-letter code such as EUR")
    return code.upper()


def _source(text: str) -> str:
    kind, separator, host = text.strip().partition(":")
    if text and not (
        separator and re.fullmatch(r"[a-z]{1,20}", kind) and re.fullmatch(r"\S{1,300}", host)
    ):
        raise UserError(
            f"--source {text}: expected KIND:HOST such as shopify:negozio.myshopify.com"
        )
    return f"{kind}:{host.lower()}" if text else ""


def _words(yes: Sequence[str], unsubscribed: Sequence[str]) -> ShopWords:
    found = ShopWords(frozenset(map(plain_word, yes)), frozenset(map(plain_word, unsubscribed)))
    if both := found.yes & found.unsubscribed:
        raise UserError(f"{min(both)!r} can't be --yes-word and --unsubscribed-word at once")
    return found


def _since(text: str, zone: ZoneInfo) -> int | None:
    if not text:
        return None
    try:
        return read_time(text, zone.key).instant
    except ValueError as error:
        raise UserError(f"--consented-since {text}: {error}") from None


def _as_of(file: Path) -> int:
    """Return when a file was written, as nearly as that is known."""
    now = SystemClock().now()
    try:
        return now if str(file) == "-" else min(now, file.stat().st_mtime_ns // 1_000_000)
    except OSError:  # whoever opens it says so
        return now


def _delimiter(given: str | None) -> str | None:
    named = {"tab": "\t", "\\t": "\t"}.get(given or "", given)
    if named is not None and len(named) != 1:
        raise UserError(f"--delimiter {given}: expected one character, or tab")
    return named
