"""Opens a file of orders or customers for an import: plain, packed by gzip, or standard input."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from streams.feeds.delimited import DelimitedRow, delimited, explained
from streams.feeds.unpacking import MOST_BYTES, keep, unpacked

_CHUNK = 1 << 20


@dataclass(slots=True)
class OrderFile:
    """An open file; iterate over its rows once."""

    header: list[str]
    rows: Iterator[DelimitedRow]
    read: BinaryIO
    """For progress: `tell` says how many of `size` bytes are read."""
    size: int | None
    encoding: str
    content: str
    """A digest of its bytes, by which it is known again."""


@contextmanager
def opened(
    path: Path, *, encoding: str, delimiter: str | None, most_bytes: int = MOST_BYTES
) -> Iterator[OrderFile]:
    """Open a file and read its header. What is empty, or no delimiter, is found out. `most_bytes`:
    of the standard input, and of what gzip has packed. Raises TableError, also while the rows are
    read."""
    with explained(str(path), encoding):
        if str(path) == "-":
            stream = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  # closed below
            keep(sys.stdin.buffer, stream, most_bytes)
            size = None
        else:
            stream = path.open("rb")
            size = path.stat().st_size
    with stream:
        with explained(str(path), encoding):
            stream.seek(0)
            digest = hashlib.sha256()
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
            stream.seek(0)
            plain = unpacked(stream, most_bytes)
        table = delimited(plain, encoding=encoding, delimiter=delimiter or "", name=str(path))
        yield OrderFile(
            table.header, table.rows, stream, size, table.encoding, digest.hexdigest()[:32]
        )
