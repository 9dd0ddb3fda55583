"""Messages kept in files: single ones, maildirs and other directories, mboxes."""

from __future__ import annotations

import mailbox
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HEADER = re.compile(rb"[!-9;-~]{1,100}:|From ")
_SINGLE = frozenset({".eml", ".msg"})
"""One message each, also when it begins with an mbox's `From ` line: its text may hold more."""


class StoredMessage(NamedTuple):
    """One message."""

    name: str
    """The file, with `#3` for the third one of an mbox."""
    raw: bytes


class Skipped(NamedTuple):
    """A file that holds no message, or can't be read."""

    name: str
    why: str


def read_messages(path: Path) -> Iterator[StoredMessage | Skipped]:
    """Yield what `path` holds, in the order of names. Raises OSError when it is not there."""
    if not path.is_dir():
        yield from _file(path)
        return
    for each in _files(path):
        try:
            yield from _file(each)
        except OSError as error:
            yield Skipped(str(each), error.strerror or "can't be read")


def is_maildir(path: Path) -> bool:
    """Whether `path` is a maildir; what lies in its `tmp` is not complete yet."""
    return all((path / part).is_dir() for part in ("cur", "new", "tmp"))


def _files(directory: Path) -> Iterator[Path]:
    if is_maildir(directory):
        for part in ("new", "cur"):
            yield from sorted(each for each in (directory / part).iterdir() if each.is_file())
        return
    for each in sorted(directory.iterdir()):
        if each.is_dir():
            yield from _files(each)
        elif not each.name.startswith("."):
            yield each


def _file(path: Path) -> Iterator[StoredMessage | Skipped]:
    with path.open("rb") as file:
        start = file.read(200)
    if not _HEADER.match(start.lstrip()):
        yield Skipped(str(path), "not a mail")
    elif start.startswith(b"From ") and path.suffix.lower() not in _SINGLE:
        yield from _mbox(path)
    else:
        yield StoredMessage(str(path), path.read_bytes())


def _mbox(path: Path) -> Iterator[StoredMessage]:
    box = mailbox.mbox(path, create=False)
    try:
        for number, key in enumerate(box.iterkeys(), start=1):
            yield StoredMessage(f"{path}#{number}", box.get_bytes(key))
    finally:
        box.close()
