"""The product feed: what is new in it goes into the log of every partition, then into `products`.

In this order, so that a crash in between is mended by publishing again: `products` says what every
partition has been told. So is one that has not ended by any other feed, also by the one
before, which is told whole then; and where a partition's log does not hold what it was told last,
since its topic was made anew, all products are. Control records that are told twice change nothing
(`agents/products/catalogue.py`).
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from schemas import events
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.products import Product
from schemas.records import OutRecord, Record
from schemas.signing import RecordSigner
from schemas.stored import OWN_PREFIX
from schemas.validation import Unreadable, first_error
from schemas.wire import checked_product, parse_product
from streams.log import Log, LogError, scan
from streams.runtime.control_numbers import (
    Reserved,
    last_publication,
    publish_as_latest,
    untold_partitions,
)
from streams.runtime.skipped_records import SkippedRecords
from streams.topology import CUSTOMER_EVENTS, PRODUCTS

PER_RECORD = 100
"""Products in one control record: some 50 kB, a twentieth of what a log takes."""
GROUP_BYTES = 500_000
"""Of all of them: half of what a log takes, for feeds with long texts."""


class FeedError(Exception):
    """A feed that can't be read; the text names line, field and value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReport:
    """What publishing a feed did."""

    products: int
    changed: int
    """How many were told to the partitions, since they are new or changed, or some lack them."""


def control_record(products: Sequence[Product]) -> OutRecord:
    """Return the record that tells a partition of products; a worker obeys it with a number and
    signed."""
    headers = (("ce_type", events.PRODUCTS.encode()), ("content-type", b"application/json"))
    content = [product.model_dump(mode="json", exclude_defaults=True) for product in products]
    return OutRecord(None, json.dumps({"products": content}, ensure_ascii=False).encode(), headers)


async def publish(
    log: Log,
    products: Iterable[Product],
    signer: RecordSigner,
    known: dict[str, Product] | None = None,
) -> FeedReport:
    """Publish the products of a feed that are new or changed. Raises LogError.

    `known`: what `read` has returned, for who publishes often; it is kept up to date.
    """
    if known is None:
        known = await read(log)
    given = {product.sku: product for product in products}
    last = await last_publication(log, PRODUCTS)
    if last is not None and last.ended is None:  # a feed that has not ended, and is known to some
        changed = list(given.values())
    elif await untold_partitions(log, events.PRODUCTS, last, signer):
        changed = list({**known, **given}.values())
    else:
        changed = [product for sku, product in given.items() if known.get(sku) != product]

    async def tell(reserved: Reserved) -> bool:
        await _append_all(log, changed, signer, reserved)
        known.update((product.sku, product) for product in changed)
        return True

    if changed and not await publish_as_latest(log, PRODUCTS, tell):
        raise LogError("The feed is being published by others all the time. Try again.")
    return FeedReport(products=len(given), changed=len(changed))


async def _append_all(
    log: Log, products: Sequence[Product], signer: RecordSigner, reserved: Reserved
) -> None:
    partitions = range(await log.partitions(CUSTOMER_EVENTS))
    for group in _groups(products):
        control = signer.sign(CUSTOMER_EVENTS, reserved.on(control_record(group)))
        await asyncio.gather(*(log.append(CUSTOMER_EVENTS, each, [control]) for each in partitions))
        await log.append(PRODUCTS, 0, [_record(product) for product in group])


async def read(log: Log) -> dict[str, Product]:
    """Return the products that every partition knows, by SKU; what is none is passed over.

    Raises LogError.
    """
    products: dict[str, Product] = {}
    skipped = SkippedRecords("a product")
    async for record in scan(log, PRODUCTS):
        _take(record, products, skipped)
    skipped.tell()
    return products


def _take(record: Record, products: dict[str, Product], skipped: SkippedRecords) -> None:
    if record.value is None or (record.key or b"").startswith(OWN_PREFIX):
        return
    try:
        product = Product.model_validate_json(record.value)
    except ValidationError as error:
        skipped.note(record, first_error(error))
    else:
        products[product.sku] = product


def read_feed(text: str, notation: Notation = DEFAULT_NOTATION) -> list[Product]:
    """Read a feed: CSV with a header line, a JSON list, or one JSON object a line; `notation`
    is how the shop's systems write. Raises FeedError."""
    start = text.lstrip()[:1]
    rows = _json_rows(text) if start in ("[", "{") else _csv_rows(text)
    return [_product(number, row, notation) for number, row in rows]


def _groups(products: Iterable[Product]) -> Iterator[Sequence[Product]]:
    """Yield products as many at a time as one control record may name."""
    group: list[Product] = []
    size = 0
    for product in products:
        length = len(_record(product).value or b"")
        if group and (len(group) == PER_RECORD or size + length > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(product)
        size += length
    if group:
        yield group


def _record(product: Product) -> OutRecord:
    return OutRecord(product.sku.encode(), product.model_dump_json(exclude_defaults=True).encode())


def _json_rows(text: str) -> Iterator[tuple[str, Any]]:
    try:
        if text.lstrip().startswith("["):
            for number, row in enumerate(json.loads(text), start=1):
                yield f"product {number}", row
            return
    except (ValueError, RecursionError) as error:
        raise FeedError(f"not JSON: {error}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise FeedError(f"line {number}: not JSON: {error}") from None


def _csv_rows(text: str) -> Iterator[tuple[str, Any]]:
    first = text.lstrip("\ufeff").partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.DictReader(io.StringIO(text.lstrip("\ufeff")), delimiter=delimiter)
    try:
        for row in rows:
            yield f"line {rows.line_num}", {name: value for name, value in row.items() if value}
    except csv.Error as error:
        raise FeedError(f"line {rows.line_num}: not CSV: {error}") from None


def _product(location: str, row: Any, notation: Notation) -> Product:
    if not isinstance(row, dict):
        raise FeedError(f"{location}: not a product but {type(row).__name__}")
    try:
        update = parse_product(row, notation)
        return checked_product(row, notation)[0] if update is None else update.product
    except Unreadable as error:
        raise FeedError(f"{location}: {error.detail}") from None
