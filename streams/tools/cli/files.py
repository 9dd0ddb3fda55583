"""Files that are given to a command: as they are, packed by gzip, or standard input."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from streams.tools.cli.console import UserError


class InputFile(NamedTuple):
    """An open file."""

    stream: BinaryIO
    """Its content, unpacked."""
    size: int | None
    """Bytes of the file, for progress; None when it is standard input."""
    position: Callable[[], int | None]
    """How many of them are read."""


@contextmanager
def opened(path: Path) -> Iterator[InputFile]:
    """Open a file, also .gz, or `-` for standard input. Raises UserError, also while it is read."""
    if str(path) == "-":
        yield InputFile(sys.stdin.buffer, None, lambda: None)
        return
    try:
        with path.open("rb") as file:
            packed = path.suffix == ".gz"
            stream = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file
            yield InputFile(stream, path.stat().st_size, file.tell)
    except (OSError, EOFError, zlib.error) as error:  # the latter two are a torn .gz
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
