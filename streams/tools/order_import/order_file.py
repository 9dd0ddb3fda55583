"""Reads a CSV file row by row, each with the lines of the file that it came from, untouched."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, TextIO

DELIMITERS = ",;\t|"

csv.field_size_limit(200_000)  # bytes; an unclosed quote swallows no more than this


class OrderFileError(Exception):
    """The file can't be read at all; the text says why."""


class Row(NamedTuple):
    """One row: most often one line, several where a quoted field holds line breaks."""

    number: int
    """Line on which it begins, from 1."""
    raw: bytes
    """As it stands in the file."""
    fields: list[str]
    problem: str = ""
    """Why it is not CSV, empty when it is."""


@dataclass(slots=True)
class OrderFile:
    """An open order file; iterate over its rows once."""

    header: list[str]
    rows: Iterator[Row]
    read: IO[bytes]
    """For progress: `tell` says how many of `size` bytes are read."""
    size: int | None


@contextmanager
def opened(path: Path, *, encoding: str, delimiter: str | None) -> Iterator[OrderFile]:
    """Open a CSV file, also .gz, or `-` for standard input, and read its header.

    Without a delimiter it is the one that occurs most in the header. Bytes that are not text in
    `encoding` become surrogates, so that one such line doesn't end the reading. Raises
    OrderFileError, also while the rows are read.
    """
    with _explained(path, encoding):
        codecs.lookup(encoding)
        stream = sys.stdin.buffer if str(path) == "-" else path.open("rb")
    with _explained(path, encoding):
        size = None if stream is sys.stdin.buffer else path.stat().st_size
        plain = gzip.GzipFile(fileobj=stream) if path.suffix == ".gz" else stream
        text = io.TextIOWrapper(plain, encoding=encoding, errors="surrogateescape", newline="")
        first = text.readline()
        if not first.strip():
            raise OrderFileError(f"{path}: the first line should name the columns; it is empty")
    used = delimiter or max(DELIMITERS, key=first.count)
    header = [name.strip() for name in next(csv.reader([first], delimiter=used))]
    with stream:
        yield OrderFile(header, _rows(text, used, encoding, path), stream, size)


@contextmanager
def _explained(path: Path, encoding: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:  # the latter two are a torn .gz
        raise OrderFileError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    except (LookupError, UnicodeError) as error:
        raise OrderFileError(f"{path}: --encoding {encoding}: {error}") from None


def _rows(text: TextIO, delimiter: str, encoding: str, path: Path) -> Iterator[Row]:
    taken: list[str] = []
    reader = csv.reader(_noting(text, taken), delimiter=delimiter)
    codec = encoding.removesuffix("-sig")  # which would put a mark before each line
    line = 1  # the header
    while True:
        taken.clear()
        fields: list[str] = []
        problem = ""
        try:
            with _explained(path, encoding):
                fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = str(error)
        number, line = line + 1, line + len(taken)
        if fields or problem:
            raw = "".join(taken).rstrip("\r\n").encode(codec, "surrogateescape")
            yield Row(number, raw, fields, problem)


def _noting(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line
