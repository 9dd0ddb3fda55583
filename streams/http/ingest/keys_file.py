"""The keys file as it is at the moment: looked at every second, and read again when it has changed,
so that a key that is revoked is dead on every ingest within seconds.

What can't be read, or is empty, changes nothing: the last good one stays, the log says so once, and
`ritorno_ingest_keys_kept` is 1 until it is mended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from streams.http.ingest.keys import WriteKeys, read_keys
from streams.logging import get_logger
from streams.replaced_file import FileStamp, stamp_of
from streams.runtime.background import kept_up
from streams.settings.operator_file import OperatorFileError

EVERY = 1.0
"""Seconds."""

_log = get_logger(__name__)


class KeysFile:
    """Reads the file, again and again."""

    def __init__(
        self, path: Path, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._path = path
        self._pause = pause
        self._seen: list[FileStamp | None] = []
        self._task: asyncio.Task[None] | None = None
        self.current = WriteKeys()
        self.is_kept = False
        """Whether what lies there now can't be used, and an earlier one is."""
        self.refused = 0
        """How often what lay there could not be used."""

    async def start(self) -> None:
        """Read it, and begin to look. Raises OperatorFileError."""
        self._seen = await asyncio.to_thread(self._stamps)
        self.current = await asyncio.to_thread(read_keys, self._path)
        if not self.current.keys:
            _log.warning("there are no write keys, so nobody can send anything; make one with "
                         "`ritorno ingest keys new`", file=str(self._path))  # fmt: skip
        self._task = asyncio.create_task(kept_up("ingest_keys", self._run), name="ingest keys")

    async def stop(self) -> None:
        """Look no more. Safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def look(self) -> None:
        """Read it again if it has changed."""
        stamps = await asyncio.to_thread(self._stamps)
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            if stamps[0] is None:
                raise OperatorFileError(f"{self._path} is gone")
            is_used = bool(self.current.keys)
            keys = await asyncio.to_thread(read_keys, self._path, again=is_used)
        except OperatorFileError as error:
            self.is_kept = True
            self.refused += 1
            _log.error("the write keys can't be read again; the last ones hold", error=str(error))
            return
        self.current, self.is_kept = keys, False
        _log.info("write keys were read again", keys=len(keys.keys))

    async def _run(self) -> None:
        while True:
            await self._pause(EVERY)
            await self.look()

    def _stamps(self) -> list[FileStamp | None]:
        """Return those of the file, and of those with the secrets that it names."""
        references = [each for key in self.current.keys for each in key.identity_secrets]
        named = [each.removeprefix("file:") for each in references if each.startswith("file:")]
        return [stamp_of(each) for each in (self._path, *map(Path, named))]
