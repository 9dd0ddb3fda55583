"""When a shop has sent a webhook last: `DATA_DIR/connect/NAME.deliveries.json`.

Written at most every few seconds, by whichever process of the machine receives; it is for a person
who asks whether anything comes at all.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from schemas.instant import to_rfc3339
from streams.connect.cursors import CursorFile, CursorFileError
from streams.logging import get_logger

WRITTEN_EVERY_MS = 5_000
_USE = "deliveries"
_LONGEST_TOPIC = 100

_log = get_logger(__name__)


class LastDeliveries:
    """Those of the connections of this process."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._last: dict[str, dict[str, Any]] = {}
        self._written: dict[str, int] = {}

    async def note(self, name: str, topic: str, time: int) -> None:
        """A signed webhook has come at `time` (ms). A disk that is slow keeps nobody else."""
        self._last[name] = {"topic": topic[:_LONGEST_TOPIC], "time": to_rfc3339(time)}
        if time - self._written.get(name, 0) < WRITTEN_EVERY_MS:
            return
        self._written[name] = time
        try:
            await asyncio.to_thread(CursorFile(self._data_dir, name, _USE).write, self._last[name])
        except CursorFileError as error:  # it is for people only
            _log.warning("the last webhook is not noted", error=str(error))

    def of(self, name: str) -> dict[str, Any]:
        """Return topic and time of the last one; empty where none has come."""
        return self._last.get(name) or CursorFile(self._data_dir, name, _USE).read()
