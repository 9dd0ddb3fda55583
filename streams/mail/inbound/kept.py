"""Messages that came back and that a person should read: a file each, for some weeks.

They name people whom no erasure can find, since nobody knows whose they are. So they go by
themselves, whether somebody has read them or not.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from schemas.time_units import DAY_MS, HOUR_MS
from streams.clock import Clock
from streams.logging import get_logger
from streams.runtime.background import kept_up

EVERY_MS = HOUR_MS
"""Between two looks for messages that are too old: an hour more or less is nothing to a day."""

_log = get_logger(__name__)


class KeptMessages:
    """The directory of these messages."""

    def __init__(self, directory: Path, clock: Clock, *, days: int) -> None:
        """`days`: how long a message stays."""
        self._directory = directory
        self._clock = clock
        self._days = days
        self._task: asyncio.Task[None] | None = None

    def add(self, digest: str, raw: bytes) -> None:
        """Write a message under its digest: the same one twice is one file. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._directory / f"{digest}.eml"
        partial = path.with_suffix(".part")
        partial.write_bytes(raw)
        partial.chmod(0o600)
        now = self._clock.now() / 1000
        os.utime(partial, (now, now))
        partial.replace(path)

    def start(self) -> None:
        """Begin to let go of what is too old; the first look is at once."""
        self._task = asyncio.create_task(
            kept_up("kept_messages", self._run), name="messages for a person"
        )

    async def stop(self) -> None:
        """End. Safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def prune(self) -> int:
        """Remove what is too old, half-written files included; return how many. Raises OSError."""
        if not self._directory.is_dir():
            return 0
        oldest = (self._clock.now() - self._days * DAY_MS) / 1000
        removed = 0
        for path in self._directory.iterdir():
            if path.suffix in (".eml", ".part") and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    async def _run(self) -> None:
        while True:
            try:
                removed = await asyncio.to_thread(self.prune)
            except OSError as error:
                _log.error("messages that are too old can't be removed", error=str(error))
            else:
                if removed:
                    _log.info("messages that nobody needs any more are removed", messages=removed,
                              days=self._days)  # fmt: skip
            await self._clock.wait_until(self._clock.now() + EVERY_MS)
