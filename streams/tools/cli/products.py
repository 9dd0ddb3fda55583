"""`ritorno products`: the product feed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, cast

import typer

from schemas.money import amount_text
from schemas.notation import DecimalMark
from schemas.products import Product
from streams.clock import SystemClock
from streams.feeds.reading import FeedOptions, FeedReading, MapError, Variants
from streams.feeds.source_rows import FeedError, FeedKind
from streams.feeds.unpacking import UnpackedTooLarge, keep
from streams.feeds.updating import FeedUpdate, update_from
from streams.messages.plurals import several
from streams.runtime.factories import notation, record_signer
from streams.runtime.product_feed import read
from streams.settings import Settings
from streams.tools.cli.console import (
    JsonFlag,
    LinesRefused,
    UserError,
    open_log,
    print_json,
    printable,
    run,
    say,
    settings_of,
    stdout,
)

MOST_UNUSED = 30
"""Names of columns that are printed."""
SHOWN = 10
"""Lines that could not be read that are printed; more only hide the first ones."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="The product feed.", no_args_is_help=True)
    group.command("publish")(publish_feed)
    group.command("list")(list_products)
    app.add_typer(group, name="products")


def publish_feed(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FEED", help="A file, also .gz; - for standard input."),
    ],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Which column holds a field; repeat."),
    ] = None,
    kind: Annotated[
        Literal["auto", "google", "shopify", "woocommerce", "own"],
        typer.Option(help="Whose feed it is; by default its content says it."),
    ] = "auto",
    whole: Annotated[
        bool, typer.Option("--whole", help="What the feed leaves out can't be bought any more.")
    ] = False,
    even_if_many: Annotated[
        bool,
        typer.Option(
            "--even-if-many-are-gone", help="Also when that is more than 30 % of all products."
        ),
    ] = False,
    name: Annotated[
        str, typer.Option(help="Of the feed, where there are several: --whole is about its own.")
    ] = "",
    variants: Annotated[
        Literal["folded", "each"],
        typer.Option(help="Sizes and colours are one product, or each is one of its own."),
    ] = "folded",
    currency: Annotated[str, typer.Option(help="Where a price names none.")] = "EUR",
    decimals: Annotated[
        Literal["comma", "point"] | None,
        typer.Option(help="What stands before them, where 1,234 would say nothing certain."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Publish a feed: what is new or changed reaches every customer whom it concerns.

    Google Merchant (RSS, Atom, CSV, TSV), Shopify (products.json, CSV), WooCommerce (CSV), our own
    (CSV, JSON, NDJSON). A line that can't be read costs that line: it is named, and the exit code
    is 1.
    """
    settings = settings_of(context)
    options = _options(
        settings, mapping or [], kind, variants, currency=currency, mark=decimals, name=name
    )

    async def publish_all(feed: BinaryIO) -> FeedUpdate:
        async with open_log(settings) as log:
            return await update_from(
                log,
                feed,
                options,
                record_signer(settings),
                now=SystemClock().now(),
                whole=whole,
                even_if_many=even_if_many,
            )

    try:
        with _opened(file) as feed:
            update = run(publish_all(feed))
    except (FeedError, MapError) as error:
        raise UserError(f"{file}: {printable(str(error))}") from None
    _show(update, whole=whole, as_json=as_json)


def _options(
    settings: Settings,
    mapping: list[str],
    kind: FeedKind | Literal["auto"],
    variants: Variants,
    *,
    currency: str,
    mark: DecimalMark | None,
    name: str,
) -> FeedOptions:
    columns: dict[str, str] = {}
    for pair in mapping:
        field, separator, column = pair.partition("=")
        if not separator or not field.strip() or not column.strip():
            raise UserError(f"--map {pair}: expected FIELD=COLUMN")
        columns[field.strip()] = column.strip()
    if len(currency) != 3 or not currency.isascii() or not currency.isalpha():
        raise UserError(f"--currency {currency}: expected a three-letter code such as EUR")
    try:
        return FeedOptions(
            kind=kind,
            columns=columns,
            variants=variants,
            currency=currency.upper(),
            decimal_mark=mark,
            notation=notation(settings),
            name=name.strip(),
        )
    except MapError as error:
        raise UserError(f"--map {error}") from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file that can be read twice, so standard input is kept first."""
    if str(path) == "-":
        with tempfile.TemporaryFile() as kept:
            file = cast("BinaryIO", kept)
            try:
                keep(sys.stdin.buffer, file)
            except UnpackedTooLarge as error:
                raise UserError(f"{path}: {error}") from None
            yield file
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    with file:
        yield file


def _show(update: FeedUpdate, *, whole: bool, as_json: bool) -> None:
    reading = update.reading
    if as_json:
        print_json(_as_json(update, whole=whole))
    else:
        known = several(update.products, "product")
        gone = f", {update.gone:,} gone" if whole else ""
        stdout().print(f"{known}, {update.changed:,} of them new or changed{gone}")
        for line in told(reading):
            say(line)
    if whole and not reading.is_complete:
        say("What the feed leaves out stays as it was: not all of it could be read.")
    if reading.broken:
        raise LinesRefused(f"The feed ends in the middle: {printable(reading.broken)}")
    if reading.refused:
        raise LinesRefused(f"{several(reading.refused, 'line')} could not be read.")


def told(reading: FeedReading) -> Iterator[str]:
    """Yield what is worth a look in what a feed has said."""
    for row in reading.examples[:SHOWN]:
        yield printable(row.told())
    if reading.refused > SHOWN:
        yield f"… and {reading.refused - min(SHOWN, len(reading.examples)):,} more"
    for (name, problem, kept), count in reading.odd.most_common(SHOWN):
        became = "read" if kept else "left out"
        example = printable(reading.odd_examples[name, problem, kept])
        yield f"odd: {name}, {problem}, {became}, {several(count, 'time')} ({example})"
    if reading.repeated:
        yield f"{several(reading.repeated, 'row')} with the SKU of another one: taken as variants"
    if reading.unused:
        more = len(reading.unused) - MOST_UNUSED
        names = ", ".join(reading.unused[:MOST_UNUSED])
        yield f"not used: {printable(names)}" + (f" … and {more:,} more" if more > 0 else "")


def _as_json(update: FeedUpdate, *, whole: bool) -> dict[str, Any]:
    reading = update.reading
    shown: dict[str, Any] = {"products": update.products, "changed": update.changed}
    if whole:
        shown["gone"] = update.gone
    if reading.refused or reading.broken:
        shown["refused"] = reading.refused
        shown["examples"] = [
            {name: value for name, value in row._asdict().items() if value}
            for row in reading.examples
        ]
        if reading.broken:
            shown["broken"] = reading.broken
    if reading.odd:
        shown["odd"] = [
            {"field": name, "problem": problem, "read": kept, "times": count,
             "example": reading.odd_examples[name, problem, kept]}
            for (name, problem, kept), count in reading.odd.most_common()
        ]  # fmt: skip
    if reading.unused:
        shown["unused_columns"] = reading.unused
    return shown


def list_products(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the products that are known, by SKU."""
    settings = settings_of(context)

    async def read_all() -> dict[str, Product]:
        async with open_log(settings) as log:
            return await read(log)

    products = run(read_all())
    if as_json:
        for sku in sorted(products):
            print_json(products[sku].model_dump(mode="json"))
        return
    out = stdout()
    for sku in sorted(products):
        product = products[sku]
        stock = "" if product.stock is None else f"  {product.stock} left"
        out.print(f"{sku:24} {amount_text(product.price):>10} {product.currency}  "
                  f"{product.name}{stock}", markup=False)  # fmt: skip
