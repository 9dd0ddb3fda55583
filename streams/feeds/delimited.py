"""Reads CSV and its like row by row, each with the lines of the file that it came from, untouched.

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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, TextIO

DELIMITERS = ",;\t|"
FIELD_BYTES = 200_000
"""An unclosed quote swallows no more than this."""
LINE_CHARACTERS = 2_000_000
COLUMNS = 2_000
_CHUNK = 1 << 20

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
    return DelimitedFile(header, _rows(text, found, used, name, line), used, found)


@contextmanager
def explained(name: str, encoding: str = "") -> Iterator[None]:
    """Raise what goes wrong with a file as a TableError."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:  # the latter two are a torn .gz
        raise TableError(f"{name}: {getattr(error, 'strerror', None) or error}") from None
    except (LookupError, UnicodeError) as error:
        said = f"--encoding {encoding}: " if encoding else ""
        raise TableError(f"{name}: {said}{error}") from None


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _rows(
    text: io.TextIOWrapper, delimiter: str, encoding: str, name: str, line: int
) -> Iterator[DelimitedRow]:
    taken: list[str] = []
    reader = csv.reader(_noting(text, taken), delimiter=delimiter)
    # Without the mark that would stand before each line.
    codec = "utf-16-le" if encoding == "utf-16" else encoding.removesuffix("-sig")
    try:
        while True:
            taken.clear()
            fields: list[str] = []
            problem = ""
            try:
                with explained(name, encoding):
                    fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                problem = str(error)
            number, line = line + 1, line + len(taken)
            if fields or problem:
                raw = "".join(taken).rstrip("\r\n").encode(codec, "surrogateescape")
                yield DelimitedRow(number, raw, fields, problem)
    finally:
        if not text.closed:
            text.detach()  # or the file would be closed, which may be read again


def _noting(lines: TextIO, taken: list[str]) -> Iterator[str]:
    """Yield lines, none longer than it may be: the rest of one is a line of its own."""
    while line := lines.readline(LINE_CHARACTERS):
        taken.append(line)
        yield line


def is_text(values: Iterable[str]) -> bool:
    """Whether no value holds bytes that are no text."""
    return not any(not value.isascii() and _SURROGATE.search(value) for value in values)
