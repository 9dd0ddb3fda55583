"""`ritorno products`: the product feed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from schemas.money import amount_text
from schemas.notation import Notation
from schemas.products import Product
from streams.messages.plurals import several
from streams.runtime.factories import notation, record_signer
from streams.runtime.product_feed import FeedError, FeedReport, publish, read, read_feed
from streams.tools.cli.console import (
    JsonFlag,
    UserError,
    open_log,
    print_json,
    run,
    settings_of,
    stdout,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="The product feed.", no_args_is_help=True)
    group.command("publish")(publish_feed)
    group.command("list")(list_products)
    app.add_typer(group, name="products")


def publish_feed(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, JSON or NDJSON; - for standard input.")],
    as_json: JsonFlag = False,
) -> None:
    """Publish a feed: what is new or changed reaches every customer whom it concerns.

    Products that the feed leaves out stay as they were; one that is gone has to come as
    `availability: out_of_stock`.
    """
    settings = settings_of(context)
    products = _read(file, notation(settings))

    async def publish_all() -> FeedReport:
        async with open_log(settings) as log:
            return await publish(log, products, record_signer(settings))

    report = run(publish_all())
    if as_json:
        print_json({"products": report.products, "changed": report.changed})
    else:
        known = several(report.products, "product")
        stdout().print(f"{known}, {report.changed:,} of them new or changed")


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


def _read(file: Path, notation: Notation) -> list[Product]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        return read_feed(text, notation)
    except (OSError, UnicodeDecodeError, FeedError) as error:
        raise UserError(f"{file}: {error}") from None
