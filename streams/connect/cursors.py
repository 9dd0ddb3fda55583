"""How far reading a shop is: `DATA_DIR/connect/NAME.json`, and one beside it for each further use.

A cursor is put down behind what is durable in the log. Losing one, or finding one that can't be
read, means reading again: what is read again is known by its fact id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.failures import Failure
from streams.replaced_file import replace_file

DIRECTORY = "connect"
MAX_BYTES = 65_536


class CursorFileError(Failure):
    """A cursor that can't be kept; the text says where and why."""


class CursorFile:
    """A small JSON object that is written whole or not at all."""

    def __init__(self, data_dir: Path, name: str, use: str = "") -> None:
        """`use`: `history` for `NAME.history.json`; empty for the poller's."""
        self.path = data_dir / DIRECTORY / (f"{name}.{use}.json" if use else f"{name}.json")

    def read(self) -> dict[str, Any]:
        """Return what was put down; nothing where that is gone or can't be read."""
        try:
            with self.path.open("rb") as file:
                known = json.loads(file.read(MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        return known if isinstance(known, dict) else {}

    def write(self, state: Mapping[str, Any]) -> None:
        """Put it down, durably. Raises CursorFileError."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self.path, json.dumps(state))
        except OSError as error:
            raise CursorFileError(f"{self.path}: {error.strerror}") from None

    def forget(self) -> None:
        """Begin anew. Raises CursorFileError."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise CursorFileError(f"{self.path}: {error.strerror}") from None
