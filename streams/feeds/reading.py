"""A feed becomes products: which kind it is its content says, and a line that can't be read costs
the line and not the feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, NamedTuple

from schemas.notation import DEFAULT_NOTATION, DecimalMark, Notation
from schemas.products import Product
from schemas.validation import Unreadable
from schemas.wire import checked_product
from streams.feeds import google, own, shopify, woocommerce
from streams.feeds.source_rows import (
    FeedKind,
    SourceRow,
    SourceRows,
    plain_name,
    source_rows,
)
from streams.feeds.unpacking import MOST_BYTES, unpacked
from streams.feeds.words import ProductRow, ReadingRules, availability, availability_word, first

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


_IDS = ("sku", "variantsku", "id", "codice", "cod", "codicearticolo", "productid")
_NAMES = ("title", "name", "nome", "titolo")
"""Of a row that can't be read, by which a person finds the product."""


class RefusedRow(NamedTuple):
    """A row that could not be read."""

    place: str
    product: str
    """`MOKA-3 (Moka 3 tazze)`, as far as it says so."""
    detail: str

    def told(self) -> str:
        """Return it as a line."""
        return ", ".join(filter(None, (self.place, self.product))) + f": {self.detail}"


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
    most_bytes: int = MOST_BYTES
    """Of one that gzip has packed, unpacked."""

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
    examples: list[RefusedRow] = field(default_factory=list)
    """The first `MAX_EXAMPLES` rows that could not be read."""
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
    """Columns of a table, or fields of the rest, that say nothing to us."""
    next_change: int | None = None
    """When the next reduction begins or ends, ms since the epoch."""

    @property
    def is_complete(self) -> bool:
        """Whether what the feed leaves out is known to be gone."""
        return not self.broken and not self.refused_without_sku

    def refuse(self, place: str, detail: str, said: Mapping[str, Any], sku: Any = None) -> None:
        """Note a row that can't be read; `said`: by what a person knows which product it is, under
        our names or its own; `sku`: where it is known for sure."""
        self.refused += 1
        if sku is None or str(sku).strip() == "":
            self.refused_without_sku += 1
        else:
            self.refused_skus.add(str(sku).strip())
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(RefusedRow(place, product_named(said), detail[:500]))


def product_named(fields: Mapping[str, Any]) -> str:
    """Return which product a row is about, as far as it says so."""
    id_, name = (str(first(fields, names) or "")[:60].strip() for names in (_IDS, _NAMES))
    return f"{id_} ({name})" if id_ and name else id_ or name


def read_feed(
    file: BinaryIO, options: FeedOptions, now: int, report: FeedReading
) -> Iterator[Product]:
    """Yield the products of a feed, noting in `report` what is to be told of it.

    The file can be read from its beginning more than once; gzip is unpacked. `now` says which
    reductions hold. Raises FeedError and MapError.
    """
    plain = unpacked(file, options.most_bytes)
    named = options.name or "the feed"
    found = source_rows(plain, named)
    kind = found.kind if options.kind == "auto" else options.kind
    report.kind = kind
    columns = _mapped(options.columns, found)
    used = shopify.USED_OF_JSON if kind == "shopify" and not found.is_table else _USED[kind]
    used |= set(columns.values())
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
    report.unused = [each for each in found.columns if each and plain_name(each) not in used]


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
                report.refuse(row.place, row.problem, row.fields)

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
        elif name == "availability":
            fields[name] = availability(value)
        else:
            fields[name] = value
    if row.problem:
        report.refuse(row.place, row.problem, {**row.source, **fields}, fields.get("sku"))
        return None
    if isinstance(fields.get("stock"), str) and (word := availability_word(fields["stock"])):
        fields.setdefault("availability", word)  # `esaurito` in the place of a number
        del fields["stock"]
    fields.setdefault("currency", how.currency)
    try:
        product, odd = checked_product(fields, how.notation, how.source)
    except Unreadable as error:
        report.refuse(row.place, error.detail, fields, fields.get("sku"))
        return None
    for each in odd:
        key = (each.field, each.problem, each.kept)
        if key in report.odd or len(report.odd) < MAX_ODD:
            report.odd[key] += 1
            where = ", ".join(filter(None, (row.place, product_named(fields))))
            report.odd_examples.setdefault(key, f"{where}: {each.value}")
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
