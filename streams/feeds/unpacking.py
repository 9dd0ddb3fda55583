"""Files as they are or as gzip has packed them, read up to a limit: a file may be a thousand times
as large as what gzip has made of it, so what a few MB hold may take hours."""

from __future__ import annotations

import gzip
import io
from typing import BinaryIO, cast

MOST_BYTES = 4 << 30
"""Unpacked, or from the standard input. A million orders have some 200 MB."""

_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20


class UnpackedTooLarge(OSError):
    """More than may be read; the text says how much that is."""

    def __init__(self, most: int) -> None:
        super().__init__(f"it holds more than {most:,} bytes, and so many are not read")


def unpacked(file: BinaryIO, most: int = MOST_BYTES) -> BinaryIO:
    """Return the content of a file that can be read twice, also of one that gzip has packed.
    Reading it raises UnpackedTooLarge beyond `most` bytes, and OSError and zlib.error where it is
    torn."""
    start = file.read(len(_MAGIC))
    file.seek(0)
    if start != _MAGIC:
        return file
    plain = cast("BinaryIO", gzip.GzipFile(fileobj=file))
    return cast("BinaryIO", io.BufferedReader(_BoundedGzip(plain, most), _CHUNK))


def keep(source: BinaryIO, into: BinaryIO, most: int = MOST_BYTES) -> None:
    """Copy what can be read but once into a file, which stands at its beginning then. Raises
    UnpackedTooLarge."""
    size = 0
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if size > most:
            raise UnpackedTooLarge(most)
        into.write(chunk)
    into.seek(0)


class _BoundedGzip(io.RawIOBase):
    def __init__(self, plain: BinaryIO, most: int) -> None:
        super().__init__()
        self._plain = plain
        self._most = most

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._plain.seek(offset, whence)

    def tell(self) -> int:
        return self._plain.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # mypy knows no Buffer
        try:
            chunk = self._plain.read(len(buffer))
        except EOFError:
            raise OSError("it ends in the middle of what gzip has packed") from None
        if self._plain.tell() > self._most:
            raise UnpackedTooLarge(self._most)
        buffer[: len(chunk)] = chunk
        return len(chunk)
