"""Small files that are there as a whole or as they were, whatever happens meanwhile, and that are
read again while a process runs."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

FileStamp = tuple[int, int, int]
"""When a file was written, its size and which one it is."""


def stamp_of(path: Path) -> FileStamp | None:
    """Return what changes when a file is written or replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read. Raises OSError, also for what is no regular file: a pipe would be waited
    for until somebody writes into it, and whoever reads again and again would hear of nothing more.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def replace_file(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Write a file durably in the place of the one that is there. Raises OSError.

    `mode`: its permissions, less those that the process gives nobody.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
