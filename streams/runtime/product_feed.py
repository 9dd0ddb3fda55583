"""The product feed: what is new in it goes into the log of every partition, then into `products`.

A row of a feed is one thing that is sold, by its SKU; partitions are told of products, which may be
several rows (`agents/products/variants.py`): sizes and colours never overwrite each other.

In this order, so that a crash in between is mended by publishing again: `products` says what every
partition has been told. So is one that has not ended by any other feed, also by the one
before, which is told whole then; and where a partition's log does not hold what it was told last,
since its topic was made anew, all products are. Control records that are told twice change nothing
(`agents/products/catalogue.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import ValidationError

from agents.products.variants import folded
from schemas import events
from schemas.failures import Failure
from schemas.products import Product
from schemas.records import OutRecord, Record
from schemas.signing import RecordSigner
from schemas.stored import OWN_PREFIX
from schemas.validation import first_error
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


MOST_GONE = 0.3
"""Of a whole feed's products that could be bought: when more are missing, it is the feed that is
wrong."""


class TooManyGone(Failure):
    """A whole feed leaves out so many products that it can't be true."""

    def __init__(self, gone: int, of: int) -> None:
        super().__init__(
            f"{gone:,} of {of:,} products that can be bought are missing in the feed, more than "
            f"{MOST_GONE:.0%}: nothing was published. If they are really gone, "
            "ritorno products publish FEED --whole --even-if-many-are-gone"
        )
        self.gone = gone
        self.of = of


class FeedChanges(NamedTuple):
    """What a feed says that is not known yet."""

    given: set[str]
    """SKUs of all its rows."""
    news: dict[str, Product]
    """The rows that are new or changed, by SKU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What publishing a feed did."""

    products: int
    changed: int
    """How many were told to the partitions, since they are new or changed, or some lack them."""


def control_record(products: Sequence[Product]) -> OutRecord:
    """Return the record that tells a partition of products; a worker obeys it with a number and
    signed."""
    headers = (("ce_type", events.PRODUCTS.encode()), ("content-type", b"application/json"))
    content = [
        product.model_dump(mode="json", exclude_defaults=True, exclude={"feed"})
        for product in products
    ]
    return OutRecord(None, json.dumps({"products": content}, ensure_ascii=False).encode(), headers)


async def publish(
    log: Log,
    products: Iterable[Product],
    signer: RecordSigner,
    known: dict[str, Product] | None = None,
) -> Publication:
    """Publish the products of a feed that are new or changed. Raises LogError.

    `known`: what `read` has returned, for who publishes often; it is kept up to date.
    """
    if known is None:
        known = await read(log)
    return await tell(log, compared(products, known), signer, known)


def compared(
    products: Iterable[Product], known: Mapping[str, Product], feed: str = ""
) -> FeedChanges:
    """Return what is new in a feed. Who has no name says nothing of whose a product is."""
    given: set[str] = set()
    news: dict[str, Product] = {}
    for product in products:
        before = known.get(product.sku)
        of_feed = feed or (before.feed if before is not None else None)
        if product.feed != of_feed:
            product = product.model_copy(update={"feed": of_feed})  # noqa: PLW2901  # the same one
        given.add(product.sku)
        if product == before:
            news.pop(product.sku, None)
        else:
            news[product.sku] = product
    return FeedChanges(given, news)


def with_the_gone(
    changes: FeedChanges,
    known: Mapping[str, Product],
    *,
    feed: str,
    spared: Container[str],
    even_if_many: bool,
) -> tuple[FeedChanges, int]:
    """Return what is new in a whole feed, in which products that it leaves out can't be bought any
    more, and how many those are. `spared`: SKUs of rows that could not be read. Raises
    TooManyGone."""
    own = [each for each in known.values() if (each.feed or "") == feed and each.available]
    gone = [each for each in own if each.sku not in changes.given and each.sku not in spared]
    if len(gone) > MOST_GONE * len(own) and not even_if_many:
        raise TooManyGone(len(gone), len(own))
    news = changes.news | {
        each.sku: each.model_copy(update={"availability": "out_of_stock"}) for each in gone
    }
    return changes._replace(news=news), len(gone)


async def tell(
    log: Log, changes: FeedChanges, signer: RecordSigner, known: dict[str, Product]
) -> Publication:
    """Tell every partition what is new. `known` is kept up to date. Raises LogError."""
    last = await last_publication(log, PRODUCTS)
    # A feed that has not ended is known to some.
    is_torn = last is not None and last.ended is None
    if is_torn or await untold_partitions(log, events.PRODUCTS, last, signer):
        news = {**known, **changes.news}
    else:
        news = changes.news
    told = _folded_each(news, known)

    async def append(reserved: Reserved) -> bool:
        await _append_all(log, told, signer, reserved)
        known.update(news)
        return True

    if told and not await publish_as_latest(log, PRODUCTS, append):
        raise LogError("The feed is being published by others all the time. Try again.")
    return Publication(products=len(changes.given), changed=len(news))


class _ToldProduct(NamedTuple):
    """What partitions are told of a product, and its rows that are news."""

    product: Product
    rows: list[Product]


def told_of(known: Mapping[str, Product], ids: Container[str]) -> list[Product]:
    """Return what partitions are told of these products."""
    rows: defaultdict[str, list[Product]] = defaultdict(list)
    for row in known.values():
        if row.id in ids:
            rows[row.id].append(row)
    return [folded(each) for each in rows.values()]


def _folded_each(news: Mapping[str, Product], known: Mapping[str, Product]) -> list[_ToldProduct]:
    """Return the products of which some row is news. One that has no row any more, since its last
    one is another product's, can't be bought."""
    left = {
        before.id: before
        for sku, row in news.items()
        if (before := known.get(sku)) is not None and before.id != row.id
    }
    rows: defaultdict[str, list[Product]] = defaultdict(list)
    for row in news.values():
        rows[row.id].append(row)
    ids = rows.keys() | left.keys()
    changed = {id_: list(each) for id_, each in rows.items()}
    for sku, row in known.items():
        if row.id in ids and sku not in news:
            rows[row.id].append(row)
    told = [_ToldProduct(folded(each), changed.get(id_, [])) for id_, each in rows.items()]
    for id_, before in left.items():
        if id_ not in rows:
            gone = before.model_copy(update={"availability": "out_of_stock"})
            told.append(_ToldProduct(gone, []))
    return told


async def _append_all(
    log: Log, told: Sequence[_ToldProduct], signer: RecordSigner, reserved: Reserved
) -> None:
    partitions = range(await log.partitions(CUSTOMER_EVENTS))
    rows_of = {each.product.id: each.rows for each in told}
    for group in _groups(each.product for each in told):
        control = signer.sign(CUSTOMER_EVENTS, reserved.on(control_record(group)))
        await asyncio.gather(*(log.append(CUSTOMER_EVENTS, each, [control]) for each in partitions))
        for rows in _groups(row for product in group for row in rows_of[product.id]):
            await log.append(PRODUCTS, 0, [_record(product) for product in rows])


async def read(log: Log) -> dict[str, Product]:
    """Return the products that every partition knows, by SKU; what is none is passed over.

    Raises LogError.
    """
    return (await read_on(log, None)).products


class ReadProducts(NamedTuple):
    """The products that every partition knows, by SKU, as of a place in the topic."""

    products: dict[str, Product]
    end: int
    """The offset behind the last record that was read."""


async def read_on(log: Log, known: ReadProducts | None) -> ReadProducts:
    """Return `known` with what anybody has published since; without it, or where the topic was made
    anew, all there is. Raises LogError."""
    end = (await log.offsets(PRODUCTS))[0].end
    if known is None or known.end > end:
        known = ReadProducts({}, 0)
    skipped = SkippedRecords("a product")
    async for record in scan(log, PRODUCTS, [0], start=known.end or None, stop=end):
        _take(record, known.products, skipped)
    skipped.tell()
    return ReadProducts(known.products, end)


def _take(record: Record, products: dict[str, Product], skipped: SkippedRecords) -> None:
    if record.value is None or (record.key or b"").startswith(OWN_PREFIX):
        return
    try:
        product = Product.model_validate_json(record.value)
    except ValidationError as error:
        skipped.note(record, first_error(error))
    else:
        products[product.sku] = product


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
