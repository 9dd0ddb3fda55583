"""Bounds of what is logged: however often something goes wrong, it fills no disk.

What goes wrong again and again is told when it begins, once a minute while it lasts, and when it
has ended: for half a minute nobody has said it again. Lines that are left out are counted, in the
next one that is written and in a metric.

Lines of one kind have the same text and come from the same place. While a broker is away or a topic
is gone, Kafka's client has a dozen ways to say so, several times a second for each partition, and
most of what we do fails on account of it: all of that is one kind.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, NamedTuple

AT_FIRST = 5
"""Lines of one kind when it begins: which partitions, which customers. Of a library's, one."""
MINUTE = 60.0
QUIET = 30.0
"""Seconds without a line of a kind, after which it has ended."""
KINDS = 1_000
"""Told apart at most; those beyond count as one."""

LIBRARIES = {
    "aiokafka": "the Kafka client",
    "kafka": "the Kafka client",
    "faust": "Faust",
    "mode": "Faust",
}
"""Loggers, with all below them, and whose complaints theirs are."""

ABOUT_KAFKA = "Kafka at "
"""Is in what we say of a broker that doesn't answer (`streams/runtime/logs/kafka/retry.py`)."""

LEFT_OUT: Final[Counter[str]] = Counter({"warning": 0, "error": 0})
"""Lines of this process that were left out, by level; `streams/operate` shows them."""


class Kind(NamedTuple):
    """What lines have in common."""

    logger: str
    text: str
    at_first: int = AT_FIRST


_ANY = Kind("", "")


class LineGroup:
    """Lines of one kind, from the first one on until it has ended."""

    __slots__ = ("began", "last", "left_out", "left_out_in_all", "told", "written")

    def __init__(self, now: float) -> None:
        self.began = self.last = self.told = now
        self.written = 0
        self.left_out = 0
        """Since the last line that was written."""
        self.left_out_in_all = 0

    def has_ended(self, now: float) -> bool:
        """Whether nothing has been said for a while; or the clock was put back."""
        return not 0 <= now - self.last < QUIET


class BoundedLines(logging.Filter):
    """Lets through what is to be written; for the handler, behind all loggers. Any thread."""

    def __init__(self, handler: logging.Handler) -> None:
        """`handler` also gets the line that says that something has ended."""
        super().__init__()
        self._handler = handler
        self._groups: dict[Kind, LineGroup] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is to be written; the record's own time is what counts."""
        if record.levelno < logging.WARNING:
            return True
        with self._lock:
            return self._is_written(record)

    def tell_what_ended(self, now: float) -> None:
        """Write a line about each kind of which nothing has been said for a while, if lines of it
        were left out."""
        with self._lock:
            ended = {kind: each for kind, each in self._groups.items() if each.has_ended(now)}
            for kind in ended:
                del self._groups[kind]
        for kind, group in ended.items():
            if group.left_out_in_all:
                self._handler.handle(_ending(kind, group, now))

    def stop(self) -> None:
        """Tell nothing any more. Safe to call twice."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _is_written(self, record: logging.LogRecord) -> bool:
        now = record.created
        kind = _kind(record)
        if kind not in self._groups and len(self._groups) >= KINDS:
            kind = _ANY
        group = self._groups.get(kind)
        if group is None:
            group = self._groups[kind] = LineGroup(now)
        elif group.has_ended(now):
            left_out = group.left_out
            group = self._groups[kind] = LineGroup(now)
            group.left_out = left_out
        group.last = now
        if group.written < kind.at_first or not 0 <= now - group.told < MINUTE:
            if group.left_out:
                _add(record, group.left_out)
            group.written, group.told, group.left_out = group.written + 1, now, 0
            return True
        group.left_out += 1
        group.left_out_in_all += 1
        LEFT_OUT["error" if record.levelno >= logging.ERROR else "warning"] += 1
        if self._timer is None:
            self._wait()
        return False

    def _wait(self) -> None:
        self._timer = threading.Timer(QUIET / 3, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        if self not in self._handler.filters or self._handler not in logging.getLogger().handlers:
            return  # another one was configured
        self.tell_what_ended(time.time())
        with self._lock:
            if self._timer is not None:
                self._timer = None
                if any(each.left_out_in_all for each in self._groups.values()):
                    self._wait()


def _kind(record: logging.LogRecord) -> Kind:
    for name in (record.name, *_raised_in(record)):
        if (library := LIBRARIES.get(name.partition(".")[0])) is not None:
            return Kind(library, "", at_first=1)
    if isinstance(record.msg, dict):
        if any(isinstance(each, str) and ABOUT_KAFKA in each for each in record.msg.values()):
            return Kind("the Kafka client", "", at_first=1)
        return Kind(record.name, str(record.msg.get("event")))
    # Without what differs each time: asyncio writes whole objects into its messages.
    return Kind(record.name, re.split(r"[(\n]", str(record.msg), maxsplit=1)[0][:100])


def _raised_in(record: logging.LogRecord) -> Iterator[str]:
    """Yield the module in which an error was raised."""
    trace: TracebackType | None = record.exc_info[2] if record.exc_info else None
    while trace is not None:
        if trace.tb_next is None:
            yield str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next


def _add(record: logging.LogRecord, left_out: int) -> None:
    if isinstance(record.msg, dict):
        record.msg["left_out"] = left_out
    else:
        record.msg = f"{record.msg} ({left_out} such lines were left out)"


def _ending(kind: Kind, group: LineGroup, now: float) -> logging.LogRecord:
    text = f"over: {kind.text}" if kind.text else f"{kind.logger} complains no more"
    fields: dict[str, Any] = {
        "lines": group.written + group.left_out_in_all,
        "seconds": round(group.last - group.began),
    }
    told = ", ".join(f"{name}={value}" for name, value in fields.items())
    record = logging.LogRecord(
        kind.logger if kind.text else __name__, logging.INFO, __file__, 0,
        "%s (%s)", (text, told), None,
    )  # fmt: skip
    record.created = now
    return record
