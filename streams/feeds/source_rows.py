"""What a feed consists of: rows of a table, items of XML, objects of JSON, each with its place."""

from __future__ import annotations

import json
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, BinaryIO, Literal, NamedTuple

from schemas.wire import PRODUCT_UPDATED
from streams.feeds.delimited import LINE_CHARACTERS, TableError, delimited, is_text
from streams.feeds.unpacking import UnpackedTooLarge
from streams.feeds.xml_items import XmlProblem, xml_items

FeedKind = Literal["google", "shopify", "woocommerce", "own"]

_HEAD = 65_536
MOST_FIELDS = 500
"""Different ones of a feed that are remembered; no product has so many."""
MAX_JSON_BYTES = 64 << 20
"""Of one JSON text, which has to be held whole; as an object a line a feed may be of any size."""


class FeedError(Exception):
    """A feed that can't be read at all; the text says why."""


class SourceRow(NamedTuple):
    """One row, item or object."""

    place: str
    """`line 7`, `product 3`."""
    fields: Mapping[str, Any]
    """By `plain_name`; of JSON as they are."""
    problem: str = ""
    """Why it can't be read, empty when it can."""


class SourceRows(NamedTuple):
    """The rows of a feed, to be read once."""

    kind: FeedKind
    """As its content says."""
    is_table: bool
    columns: list[str]
    """Of a table, as its header has them; else the fields of the rows that were read so far, at
    most MOST_FIELDS."""
    rows: Iterator[SourceRow]
    """The last one may say that the file ends in the middle: its place is empty."""


@lru_cache(maxsize=10_000)
def plain_name(column: str) -> str:
    """Return a column's name as it is compared: `g:image_link`, `Image link` and `imageLink` are
    one."""
    letters = unicodedata.normalize("NFKD", column.strip().lower().removeprefix("g:"))
    return re.sub(r"[^a-z0-9]", "", letters)


def source_rows(file: BinaryIO, name: str) -> SourceRows:
    """Find out what a feed is. The file can be read twice, and is unpacked. `name` is for errors.

    Raises FeedError, also while the rows are read.
    """
    try:
        head = file.read(_HEAD)
        file.seek(0)
    except _TORN as error:
        raise FeedError(f"{name}: {error}") from None
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    fields = _Fields()
    if start == b"<" or head[:4] in (b"\xff\xfe<\x00", b"\xfe\xff\x00<"):
        return SourceRows("google", False, fields.names, _to_the_end(_of_xml(file, fields)))
    if start in (b"[", b"{"):
        kind: FeedKind = "shopify" if b'"variants"' in head and b'"handle"' in head else "own"
        return SourceRows(kind, False, fields.names, _to_the_end(_of_json(file, start, fields)))
    try:
        table = delimited(file, name=name)
    except TableError as error:
        raise FeedError(str(error)) from None
    names = [plain_name(column) for column in table.header]
    rows = _to_the_end(_of_table(table.rows, names))
    return SourceRows(_kind_of(set(names)), True, table.header, rows)


_TORN = (OSError, zlib.error)
"""What reading a file raises, the latter where gzip has packed it."""


def _to_the_end(rows: Iterator[SourceRow]) -> Iterator[SourceRow]:
    """Yield rows up to where the file can't be read any more, and that it can't. Raises FeedError
    for one of which nothing can be read, and for one that is too large: nothing of it is taken."""
    is_begun = False
    try:
        for row in rows:
            is_begun = True
            yield row
    except UnpackedTooLarge as error:
        raise FeedError(str(error)) from None
    except (*_TORN, XmlProblem, TableError) as error:
        if not is_begun:
            raise FeedError(str(error)) from None
        yield SourceRow("", {}, str(error))


class _Fields:
    """The names of fields, in the order in which they were seen first."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._seen = set[str]()

    def note(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._seen and len(self._seen) < MOST_FIELDS:
                self._seen.add(name)
                self.names.append(name)


def _kind_of(columns: set[str]) -> FeedKind:
    """Return whose table this is."""
    if {"handle", "variantprice"} <= columns:
        return "shopify"
    if columns & {"regularprice", "prezzodilistino"} and columns & {"type", "tipo"}:
        return "woocommerce"
    if {"id", "link"} <= columns and columns & {"availability", "disponibilita"}:
        return "google"
    return "own"


def _of_xml(file: BinaryIO, names: _Fields) -> Iterator[SourceRow]:
    for item in xml_items(file):
        names.note(item.fields)
        fields = {plain_name(name): text for name, text in item.fields.items()}
        yield SourceRow(f"line {item.line}", fields, item.problem)


def _of_table(rows: Any, names: list[str]) -> Iterator[SourceRow]:
    width = len(names)
    for row in rows:
        place = f"line {row.number}"
        values = [value.strip() for value in row.fields]
        if row.problem:
            told = dict(zip(names, values, strict=False)) if is_text(values) else {}
            yield SourceRow(place, told, f"not CSV: {row.problem}")
        elif len(values) > width and any(values[width:]):
            problem = f"{len(values)} fields, and in the header {width}"
            yield SourceRow(place, dict(zip(names, values, strict=False)), problem)
        elif not is_text(values):
            yield SourceRow(place, {}, "bytes that are no text in UTF-8")
        else:
            given = {name: value for name, value in zip(names, values, strict=False) if value}
            if given:
                yield SourceRow(place, given)


def _of_json(file: BinaryIO, start: bytes, names: _Fields) -> Iterator[SourceRow]:
    """Yield the members of a list, also of that in an object (`{"products": […]}`), or an object
    a line."""
    first = file.readline(LINE_CHARACTERS)
    file.seek(0)
    if start == b"{" and not _is_list_in_object(first):
        yield from _of_lines(file, names)
        return
    text = file.read(MAX_JSON_BYTES + 1)
    if len(text) > MAX_JSON_BYTES:
        raise FeedError(
            f"one JSON text of more than {MAX_JSON_BYTES >> 20} MB: write an object a line"
        )
    try:
        whole = json.loads(text, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise FeedError(f"not JSON: {error}") from None
    if isinstance(whole, dict):
        listed = whole.get("products")
        whole = listed if isinstance(listed, list) else [whole]
    for number, each in enumerate(whole, start=1):
        yield _of_object(f"product {number}", each, names)


def _is_list_in_object(line: bytes) -> bool:
    """Whether an object goes over several lines, or holds the list of the products."""
    if re.match(rb'\s*(?:\xef\xbb\xbf)?\{\s*("products"\s*:|$)', line):
        return True
    try:
        json.loads(line)
    except RecursionError:
        return False
    except ValueError:
        return not line.rstrip().endswith(b"}") and len(line) < 3
    return False


def _of_lines(file: BinaryIO, names: _Fields) -> Iterator[SourceRow]:
    number = 0
    while line := file.readline(LINE_CHARACTERS):
        number += 1
        line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            each = json.loads(line, parse_float=str)
        except (ValueError, RecursionError) as error:
            yield SourceRow(f"line {number}", {}, f"not JSON: {error}")
        else:
            yield _of_object(f"line {number}", each, names)


def _of_object(place: str, each: Any, names: _Fields) -> SourceRow:
    if not isinstance(each, dict):
        return SourceRow(place, {}, f"not a product but {type(each).__name__}")
    told = each.get("data", each.get("properties")) if each.get("type") == PRODUCT_UPDATED else each
    names.note(told if isinstance(told, dict) else ())
    variants = each.get("variants")
    for variant in variants if isinstance(variants, list) else ():
        if isinstance(variant, dict):
            names.note(variant)
    return SourceRow(place, each)
