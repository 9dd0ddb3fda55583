"""Messages that came back and that a person should read: a file each, for some weeks.

They name people whom no erasure can find, since nobody knows whose they are. So they go by
themselves, whether somebody has read them or not. And they have so much room and no more: whoever
knows a return address may send what nobody understands.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from threading import Lock

from schemas.time_units import DAY_MS, HOUR_MS
from streams.clock import Clock
from streams.logging import get_logger
from streams.runtime.background import kept_up

EVERY_MS = HOUR_MS
"""Between two looks for messages that are too old: an hour more or less is nothing to a day."""

LEAST_BYTES = 4_096
"""What a small file takes of a disk."""

_log = get_logger(__name__)


class KeptFullError(Exception):
    """There is no room for one more."""


class KeptMessages:
    """The directory of these messages."""

    def __init__(self, directory: Path, clock: Clock, *, days: int, most: int) -> None:
        """`days`: how long a message stays. `most`: bytes that all of them may take."""
        self._directory = directory
        self._clock = clock
        self._days = days
        self._most = most
        self._taken: int | None = None
        self._changed = 0
        self._changing = Lock()
        self._task: asyncio.Task[None] | None = None

    def add(self, digest: str, raw: bytes) -> None:
        """Write a message under its digest: the same one twice is one file.

        Raises KeptFullError, OSError. Any thread may call it.
        """
        with self._changing:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._directory / f"{digest}.eml"
            more = 0 if path.exists() else max(len(raw), LEAST_BYTES)
            if self._taken is None or self._taken + more > self._most:
                self._count()  # somebody may have made room by hand
            if self._taken is None or self._taken + more > self._most:
                raise KeptFullError(f"{self._directory} has its {self._most:,} bytes")
            self._write(path, raw)
            self._taken += more
            self._changed = self._directory.stat().st_mtime_ns

    def _write(self, path: Path, raw: bytes) -> None:
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
        with self._changing:
            removed = self._remove(oldest)
            self._count(anyway=True)
        return removed

    def _remove(self, oldest: float) -> int:
        removed = 0
        for path in self._directory.iterdir():
            if path.suffix in (".eml", ".part") and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _count(self, *, anyway: bool = False) -> None:
        """Look what is there, if anything was put there or taken away by others."""
        changed = self._directory.stat().st_mtime_ns
        if anyway or self._taken is None or changed != self._changed:
            files = (path.stat().st_size for path in self._directory.iterdir() if path.is_file())
            self._taken = sum(max(size, LEAST_BYTES) for size in files)
            self._changed = changed

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
