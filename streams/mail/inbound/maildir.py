"""A maildir into which the shop's mail server delivers what comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agents.mail.bounces.limits import LARGEST
from streams.logging import get_logger
from streams.mail.inbound.files import is_maildir
from streams.mail.inbound.intake import ReturnIntake

SEEN = ":2,S"
"""Appended to the name of a message that was read, in `cur`."""

_log = get_logger(__name__)


class Maildir:
    """Reads new messages of a maildir and marks them as seen."""

    def __init__(self, path: Path, intake: ReturnIntake) -> None:
        """Raises ValueError when `path` is no maildir."""
        if not is_maildir(path):
            raise ValueError(f"{path} is no maildir: it has no cur, new and tmp")
        self._path = path
        self._intake = intake

    async def poll(self) -> int:
        """Take in what is new and return how many messages that were.

        Raises LogError, OSError; what is done by then is done.
        """
        names = await asyncio.to_thread(_names, self._path / "new")
        for name in names:
            raw = await asyncio.to_thread(_read, self._path / "new" / name)
            if raw is not None:
                await self._intake.accept(raw, "maildir")
                await asyncio.to_thread(self._mark, name)
        return len(names)

    def _mark(self, name: str) -> None:
        target = self._path / "cur" / (name.partition(":")[0] + SEEN)
        try:
            (self._path / "new" / name).rename(target)
        except FileNotFoundError:
            _log.debug("somebody else has moved the message", file=name)


def _names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir() if not entry.name.startswith("."))


def _read(path: Path) -> bytes | None:
    """Return as much as is looked at, None when somebody else was quicker."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except FileNotFoundError:
        return None
