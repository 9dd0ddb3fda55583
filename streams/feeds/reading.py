"""A feed becomes products: which kind it is its content says, and a line that can't be read costs
the line and not the feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

from schemas.notation import DEFAULT_NOTATION, DecimalMark, Notation
from schemas.products import Product
from schemas.validation import Unreadable
from schemas.wire import checked_product
from streams.feeds import google, own, shopify, woocommerce
from streams.feeds.delimited import unpacked
from streams.feeds.source_rows import (
    FeedKind,
    SourceRow,
    SourceRows,
    plain_name,
    source_rows,
)
from streams.feeds.words import ProductRow, ReadingRules

MAX_EXAMPLES = 100
MAX_ODD = 1_000
"""Different fields with different problems that are told of."""

_USED: Mapping[FeedKind, frozenset[str]] = {
    "google": google.USED,
    "shopify": shopify.USED,
    "woocommerce": woocommerce.USED,
    "own": own.USED,
}

Variants = Literal["folded", "each"]


class MapError(Exception):
    """`--map` names what is no field, or no column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOptions:
    """How to read a feed, as far as it does not say it itself."""

    kind: FeedKind | Literal["auto"] = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    """Which column holds a field of ours, where the kind would have another one or none."""
    variants: Variants = "folded"
    """Whether rows of one product are one, or `each` has an id of its own."""
    currency: str = "EUR"
    """Where a price names none."""
    decimal_mark: DecimalMark | None = None
    """What stands before the decimals, where `1,234` would say nothing certain."""
    notation: Notation = DEFAULT_NOTATION
    name: str = ""
    """Of the feed: only its own products are gone when it is whole and leaves them out."""

    def __post_init__(self) -> None:
        """Raises MapError."""
        for name in self.columns:
            if name not in MAPPABLE:
                raise MapError(f"{name} is no field of a product: {', '.join(MAPPABLE)}")


MAPPABLE = tuple(name for name in Product.model_fields if name not in ("reviews", "feed"))


@dataclass(slots=True)
class FeedReading:
    """What was in a feed."""

    kind: str = ""
    products: int = 0
    """Rows that were read."""
    refused: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)
    """Place and problem of the first `MAX_EXAMPLES` rows that could not be read."""
    refused_skus: set[str] = field(default_factory=set)
    refused_without_sku: int = 0
    broken: str = ""
    """Why the feed ends in the middle, empty when it does not."""
    repeated: int = 0
    """Rows with the SKU of an earlier one: they count as variants."""
    odd: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    """By field, problem and whether it was read nevertheless."""
    odd_examples: dict[tuple[str, str, bool], str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    """Columns of a table that say nothing to us."""
    next_change: int | None = None
    """When the next reduction begins or ends, ms since the epoch."""

    @property
    def is_complete(self) -> bool:
        """Whether what the feed leaves out is known to be gone."""
        return not self.broken and not self.refused_without_sku

    def refuse(self, place: str, detail: str, sku: Any = None) -> None:
        """Note a row that can't be read."""
        self.refused += 1
        if sku is None or str(sku).strip() == "":
            self.refused_without_sku += 1
        else:
            self.refused_skus.add(str(sku).strip())
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append((place, detail[:500]))


def read_feed(
    file: BinaryIO, options: FeedOptions, now: int, report: FeedReading
) -> Iterator[Product]:
    """Yield the products of a feed, noting in `report` what is to be told of it.

    The file can be read from its beginning more than once; gzip is unpacked. `now` says which
    reductions hold. Raises FeedError and MapError.
    """
    plain = unpacked(file)
    named = options.name or "the feed"
    found = source_rows(plain, named)
    kind = found.kind if options.kind == "auto" else options.kind
    report.kind = kind
    columns = _mapped(options.columns, found)
    if found.is_table:
        used = _USED[kind] | set(columns.values())
        report.unused = [each for each in found.columns if each and plain_name(each) not in used]
    notation = options.notation
    if options.decimal_mark is not None:
        marks = {**notation.decimal_marks, _source(options): options.decimal_mark}
        notation = notation._replace(decimal_marks=marks)
    how = ReadingRules(
        notation=notation,
        now=now,
        source=_source(options),
        currency=options.currency,
        each_variant=options.variants == "each",
    )
    seen = _Seen()
    for row in _rows(kind, found, plain, how, report, named):
        product = _product(row, columns, how, report)
        if product is not None and (unique := seen.take(product, row, report)) is not None:
            report.products += 1
            yield unique
        report.next_change = how.next_change


def _source(options: FeedOptions) -> str:
    return f"feed:{options.name}"


def _mapped(given: Mapping[str, str], found: SourceRows) -> dict[str, str]:
    """Return the plain name of each mapped field's column. Raises MapError."""
    columns = {name: plain_name(column) for name, column in given.items()}
    if found.is_table:
        there = {plain_name(column) for column in found.columns}
        for name, column in columns.items():
            if column not in there:
                listed = ", ".join(found.columns)
                raise MapError(f"{name}={given[name]}: no such column. There are: {listed}"[:2_000])
    return columns


def _rows(
    kind: FeedKind,
    found: SourceRows,
    file: BinaryIO,
    how: ReadingRules,
    report: FeedReading,
    name: str,
) -> Iterator[ProductRow]:
    def readable(rows: Iterator[SourceRow], *, tells: bool = True) -> Iterator[SourceRow]:
        for row in rows:
            if not row.problem:
                yield row
            elif tells and not row.place:
                report.broken = row.problem
            elif tells:
                report.refuse(row.place, row.problem)

    if kind == "google":
        return google.products(readable(found.rows), how)
    if kind == "shopify":
        read = shopify.exported if found.is_table else shopify.products
        return read(readable(found.rows), how)
    if kind == "woocommerce":
        times_read = 0

        def read_again() -> Iterator[SourceRow]:
            nonlocal times_read
            times_read += 1
            if times_read == 1:
                return readable(found.rows, tells=False)
            file.seek(0)
            return readable(source_rows(file, name).rows)

        return woocommerce.products(read_again, how)
    return own.products(readable(found.rows), how)


def _product(
    row: ProductRow, columns: Mapping[str, str], how: ReadingRules, report: FeedReading
) -> Product | None:
    fields = {name: value for name, value in row.fields.items() if value not in (None, "")}
    for name, column in columns.items():
        value = row.source.get(column)
        if value is None:  # of JSON, under whatever spelling
            value = next((v for k, v in row.source.items() if plain_name(str(k)) == column), None)
        if value in (None, ""):
            fields.pop(name, None)
        elif name in ("price", "list_price"):
            how.price(fields, name, value)
        else:
            fields[name] = value
    sku = fields.get("sku")
    if row.problem:
        report.refuse(row.place, row.problem, sku)
        return None
    fields.setdefault("currency", how.currency)
    try:
        product, odd = checked_product(fields, how.notation, how.source)
    except Unreadable as error:
        report.refuse(row.place, error.detail, sku)
        return None
    for each in odd:
        key = (each.field, each.problem, each.kept)
        if key in report.odd or len(report.odd) < MAX_ODD:
            report.odd[key] += 1
            report.odd_examples.setdefault(key, f"{row.place}: {each.value}")
    return product


class _Seen:
    """Tells rows with the same SKU apart: they are variants, and none may overwrite another."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def take(self, product: Product, row: ProductRow, report: FeedReading) -> Product | None:
        """Return the product under a key of its own."""
        before = self._times.get(product.sku, 0)
        if row.is_update:
            return product
        self._times[product.sku] = before + 1
        if not before:
            return product
        report.repeated += 1
        key = f"{product.sku}#{before + 1}"
        return product.model_copy(update={"sku": key, "product_id": product.id})
