"""Reads CSV and its like row by row, each with the lines of the file that it came from, untouched.

A quoted field may hold line breaks. What opens a quote that isn't closed looks the same for a while
and may swallow any number of rows, so such a row counts only if it is one without doubt; else the
line with the quote can't be read, and those behind it are read by themselves.

How a file is written is found out: its encoding (UTF-8, UTF-16 of Excel's, else Windows'), and what
stands between its columns. Bytes that are no text become surrogates, so that one such line doesn't
end the reading.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Self, TextIO

DELIMITERS = ",;\t|"
FIELD_BYTES = 200_000
LINE_CHARACTERS = 2_000_000
"""Also of all the lines of a row."""
COLUMNS = 2_000
READ_AGAIN = 4
"""How many times as much as the file holds is read once more at most behind quotes that aren't
closed; after that a quoted field ends with its line."""
_CHUNK = 1 << 20

NOT_CLOSED = "a quote is opened and not closed, or what it holds looks like rows"

csv.field_size_limit(FIELD_BYTES)

_SURROGATE = re.compile("[\udc80-\udcff]")
_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""The line by which Excel is told the delimiter."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class TableError(Exception):
    """A file can't be read at all; the text says why."""


class DelimitedRow(NamedTuple):
    """One row: most often one line, several where a quoted field holds line breaks."""

    number: int
    """Line on which it begins, from 1."""
    raw: bytes
    """As it stands in the file."""
    fields: list[str]
    """Where there is a problem, what can be told of it: of no use but to name the row."""
    problem: str = ""
    """Why it is not CSV, empty when it is."""


@dataclass(slots=True)
class DelimitedFile:
    """An open file; iterate over its rows once."""

    header: list[str]
    rows: Iterator[DelimitedRow]
    encoding: str
    delimiter: str


def encoding_of(file: BinaryIO) -> str:
    """Return how a file is written, having read it once; it stands at its beginning then.

    What is UTF-8 but for a few bytes is UTF-8: the lines that they are in can't be read.
    """
    start = file.read(4)
    file.seek(0)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    if len(start) >= 4 and start[1] == start[3] == 0:
        return "utf-16-le"
    if len(start) >= 4 and start[0] == start[2] == 0:
        return "utf-16-be"
    good = bad = 0
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    while chunk := file.read(_CHUNK):
        if chunk.isascii():
            continue
        text = decoder.decode(chunk)
        wrong = len(_SURROGATE.findall(text))
        bad += wrong
        good += sum(not letter.isascii() for letter in text) - wrong
    file.seek(0)
    return "utf-8" if bad <= good else "cp1252"


def delimited(
    file: BinaryIO, *, encoding: str = "", delimiter: str = "", name: str = "the file"
) -> DelimitedFile:
    """Read the header of a file that can be read twice, unpacked; what is not given is found out.

    `name` is for errors. Raises TableError, also while the rows are read.
    """
    with explained(name, encoding):
        used = encoding or encoding_of(file)
        codecs.lookup(used)
        errors = "replace" if used.startswith("utf-16") else "surrogateescape"
        text = io.TextIOWrapper(file, encoding=used, errors=errors, newline="")
        first = text.readline(LINE_CHARACTERS).removeprefix("\ufeff")
        line = 1
        if said := _SEPARATOR.fullmatch(first):
            delimiter = delimiter or said[1]
            first, line = text.readline(LINE_CHARACTERS), 2
        if not first.strip():
            raise TableError(f"{name}: the first line should name the columns; it is empty")
        found = delimiter or max(DELIMITERS, key=lambda each: len(_split(first, each)))
        header = [column.strip() for column in _split(first, found)]
        if len(header) > COLUMNS:
            raise TableError(f"{name}: {len(header):,} columns, at most {COLUMNS:,} are read")
        if _opens_a_quote(first, found):
            raise TableError(
                f"{name}: line {line}: a column's name opens a quote and doesn't close it"
            )
    rows = _rows(_Lines(text), found, used, name, line, len(header))
    return DelimitedFile(header, _detached(rows, text), used, found)


@contextmanager
def explained(name: str, encoding: str = "") -> Iterator[None]:
    """Raise what goes wrong with a file as a TableError."""
    try:
        yield
    except (OSError, zlib.error) as error:  # the latter is a torn .gz
        raise TableError(f"{name}: {getattr(error, 'strerror', None) or error}") from None
    except (LookupError, UnicodeError) as error:
        said = f"--encoding {encoding}: " if encoding else ""
        raise TableError(f"{name}: {said}{error}") from None


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _opens_a_quote(line: str, delimiter: str) -> bool:
    """Whether a line ends within quotes."""
    reader = csv.reader([line, ""], delimiter=delimiter)
    try:
        next(reader, [])
    except csv.Error:
        return False
    return reader.line_num > 1


class _Lines:
    """The lines of a file for a csv.reader, which takes of them what a row needs. None is longer
    than it may be: the rest of one is a line of its own."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._given_back = deque[str]()
        self._may_go_on = True
        self._more = 0
        self.taken: list[str] = []
        """Of the row that is read."""
        self.is_missing = False
        """Whether the row wanted one more than it has got."""

    def begin(self, *, may_go_on: bool) -> None:
        """Begin a row; `may_go_on`: whether it may have several lines."""
        self.taken = []
        self._may_go_on = may_go_on
        self._more = 0
        self.is_missing = False

    def give_back(self) -> None:
        """Keep the row's first line only: the others are to be taken again."""
        self._given_back.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if self.taken and not (self._may_go_on and self._more < LINE_CHARACTERS):
            line = ""
        else:
            line = self._given_back.popleft() if self._given_back else ""
            line = line or self._text.readline(LINE_CHARACTERS)
        if not line:
            self.is_missing = bool(self.taken)
            raise StopIteration
        if self.taken:
            self._more += len(line)
        self.taken.append(line)
        return line


def _rows(
    lines: _Lines, delimiter: str, encoding: str, name: str, line: int, width: int
) -> Iterator[DelimitedRow]:
    reader = csv.reader(lines, delimiter=delimiter)
    # Without the mark that would stand before each line.
    codec = "utf-16-le" if encoding == "utf-16" else encoding.removesuffix("-sig")
    credit = READ_AGAIN * LINE_CHARACTERS  # characters that may be read once more
    while True:
        lines.begin(may_go_on=credit > 0)
        fields: list[str] = []
        problem = ""
        try:
            with explained(name, encoding):
                fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = str(error)
        if lines.is_missing or (
            len(lines.taken) > 1 and (problem or not _is_one_row(lines.taken, delimiter, width))
        ):
            credit -= sum(map(len, lines.taken))
            lines.give_back()
            fields, problem = _told_by(lines.taken[0], delimiter), NOT_CLOSED
        number, line = line + 1, line + len(lines.taken)
        if fields or problem:
            raw = "".join(lines.taken).rstrip("\r\n").encode(codec, "surrogateescape")
            credit += READ_AGAIN * len(raw)
            yield DelimitedRow(number, raw, fields, problem)


def _detached(rows: Iterator[DelimitedRow], text: io.TextIOWrapper) -> Iterator[DelimitedRow]:
    """Yield rows, and leave the file open: it may be read again."""
    try:
        yield from rows
    finally:
        if not text.closed:
            text.detach()


def _is_one_row(lines: list[str], delimiter: str, width: int) -> bool:
    """Whether lines are a row of the table without doubt: by RFC 4180, with as many fields as the
    header has, and not such that each of the lines could be a row."""
    try:
        fields, *others = csv.reader(lines, delimiter=delimiter, strict=True)
    except csv.Error:
        return False
    if others or len(fields) < width or any(map(str.strip, fields[width:])):
        return False
    if any(line.count(delimiter) < width - 1 for line in lines):
        return True
    begun = _split(lines[0], delimiter)
    if len(begun) + begun[-1].count(delimiter) != width:
        return True
    return not all(_looks_like_a_row(line, delimiter, width) for line in lines[1:])


def _told_by(line: str, delimiter: str) -> list[str]:
    """Return the fields of a line up to the one that opens a quote, and how that one begins."""
    *fields, last = _split(line, delimiter) or [""]
    return [*fields, last.partition(delimiter)[0].rstrip("\r\n")]


def _looks_like_a_row(line: str, delimiter: str, width: int) -> bool:
    """Whether a line that is within quotes could be a row. Behind the commas of a text there are
    blanks."""
    fields = _split(line, delimiter)
    return len(fields) == width and not any(field[:1].isspace() for field in fields)


def is_text(values: Iterable[str]) -> bool:
    """Whether no value holds bytes that are no text."""
    return not any(not value.isascii() and _SURROGATE.search(value) for value in values)
