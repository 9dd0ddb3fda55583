"""Bounds of what is logged: however often something goes wrong, it fills no disk.

Of the same warning or error a few lines are written each minute; how many were left out says the
first one of a later minute, if one comes, and in any case a metric.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

A_MINUTE = 20
"""Lines of one kind."""
MINUTE = 60.0
KINDS = 1_000
"""Told apart at most; those beyond count as one."""

LEFT_OUT: Final[Counter[str]] = Counter({"warning": 0, "error": 0})
"""Lines of this process that were left out, by level; `streams/operate` shows them."""


class LineGroup:
    """Lines with the same text, from the same place."""

    __slots__ = ("left_out", "since", "written")

    def __init__(self, since: float) -> None:
        self.since = since
        self.written = 0
        self.left_out = 0


class BoundedLines(logging.Filter):
    """Lets through what is to be written; for the handler, behind all loggers."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, str], LineGroup] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is to be written; the record's own time is what counts."""
        if record.levelno < logging.WARNING:
            return True
        kind = self._kind(record)
        if not 0 <= record.created - kind.since < MINUTE:  # below: the clock was put back
            if kind.left_out:
                _add(record, kind.left_out)
            kind.since, kind.written, kind.left_out = record.created, 0, 0
        if kind.written < A_MINUTE:
            kind.written += 1
            return True
        kind.left_out += 1
        LEFT_OUT["error" if record.levelno >= logging.ERROR else "warning"] += 1
        return False

    def _kind(self, record: logging.LogRecord) -> LineGroup:
        text = record.msg.get("event") if isinstance(record.msg, dict) else record.msg
        key = record.name, str(text)
        if key not in self._kinds and len(self._kinds) >= KINDS:
            key = "", ""
        found = self._kinds.get(key)
        if found is None:
            found = self._kinds[key] = LineGroup(record.created)
        return found


def _add(record: logging.LogRecord, left_out: int) -> None:
    if isinstance(record.msg, dict):
        record.msg["left_out"] = left_out
    else:
        record.msg = f"{record.msg} ({left_out} such lines were left out)"
