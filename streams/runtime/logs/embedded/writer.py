"""The one thread that writes to the embedded log's file, folding what waits into one transaction.

An fsync costs the same for one record as for a thousand, so whoever appends while a commit is under
way shares the next one (group commit). Requests are taken in the order of `submit`, hence the
records of one caller keep their order. While idle the thread looks, ten times a second, whether
another process has written (`PRAGMA data_version` reads one counter in shared memory).
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from streams.log import LogError
from streams.logging import get_logger
from streams.runtime.logs.embedded import file, tables
from streams.runtime.logs.embedded.tables import Append, Commit

log = get_logger(__name__)

T = TypeVar("T")

FOREIGN_POLL = 0.1
"""Seconds between two looks for another process's records: the delay of `ritorno publish`."""

GROUP_RECORDS = 20_000
"""Bounds a transaction to a fraction of a second, and with it the wait of other processes."""

Changed = Callable[[], None]
_Request = tuple["asyncio.Future[Any]", "Append | Commit | Callable[[sqlite3.Connection], Any]"]


class Writer:
    """Owns the writing connection and its thread."""

    def __init__(self, directory: Path, loop: asyncio.AbstractEventLoop, changed: Changed) -> None:
        """`changed` is called on `loop` when another process has written."""
        self._directory = directory
        self._loop = loop
        self._changed = changed
        self._brought: list[_Request] = []
        self._queue: queue.SimpleQueue[list[_Request] | None] = queue.SimpleQueue()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self._thread = threading.Thread(target=self._run, name="embedded-log", daemon=True)
        self._data_version = -1
        self._next_poll = 0.0

    async def start(self) -> None:
        """Open the file. Raises LogError."""
        self._thread.start()
        await asyncio.shield(self._opened)

    async def stop(self) -> None:
        """Write what is queued and close the file. Safe to call twice."""
        self._hand_over()
        self._queue.put(None)
        await asyncio.shield(self._closed)

    def submit(self, request: Append | Commit) -> asyncio.Future[int]:
        """Queue a write; the future holds the last offset once it is on disk, or a LogError."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._enqueue((future, request))
        return future

    def call(self, function: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Queue anything else that writes; it makes its own transaction."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._enqueue((future, function))
        return future

    def _enqueue(self, waiting: _Request) -> None:
        if self._closed.done():
            waiting[0].set_exception(LogError(f"The log in {self._directory} is closed."))
            return
        self._brought.append(waiting)
        if len(self._brought) == 1:
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        """Wake the thread once for all that a turn of the loop has brought: at the first it would
        begin a transaction for that one alone."""
        brought, self._brought = self._brought, []
        if self._closed.done():
            self._refuse(brought)
        elif brought:
            self._queue.put(brought)

    def _run(self) -> None:
        try:
            db = file.connect(self._directory)
            self._data_version = _data_version(db)
        except Exception as error:
            self._resolve_on_loop([(self._opened, error)])
            self._on_loop(self._on_closed)
            return
        self._resolve_on_loop([(self._opened, None)])
        try:
            self._serve(db)
        except sqlite3.Error as error:
            log.error("embedded log stopped", reason=str(error))
        finally:
            db.close()
            self._on_loop(self._on_closed)

    def _serve(self, db: sqlite3.Connection) -> None:
        open_ = True
        while open_:
            self._look_for_others(db)
            try:
                waiting = self._queue.get(timeout=FOREIGN_POLL)
            except queue.Empty:
                continue
            open_ = waiting is not None and self._handle(db, waiting)

    def _handle(self, db: sqlite3.Connection, first: list[_Request]) -> bool:
        """Serve `first` and what has queued behind it; return False when `stop` was among them."""
        group: list[tuple[asyncio.Future[Any], Append | Commit]] = []
        records = 0
        waiting: list[_Request] | None = first
        while waiting is not None:
            for future, request in waiting:
                if isinstance(request, Append | Commit):
                    group.append((future, request))
                    records += len(request.records) if isinstance(request, Append) else 0
                else:
                    self._write(db, group)
                    group, records = [], 0
                    self._call(db, future, request)
            if records >= GROUP_RECORDS:
                break
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
        self._write(db, group)
        return waiting is not None

    def _write(
        self, db: sqlite3.Connection, group: Sequence[tuple[asyncio.Future[Any], Append | Commit]]
    ) -> None:
        if not group:
            return
        results: Sequence[int | LogError]
        try:
            with file.explained(self._directory):
                results = tables.write(db, [request for _, request in group])
        except LogError as error:
            results = [error] * len(group)
        self._resolve_on_loop(
            [(future, result) for (future, _), result in zip(group, results, strict=True)]
        )

    def _call(
        self,
        db: sqlite3.Connection,
        future: asyncio.Future[Any],
        function: Callable[[sqlite3.Connection], Any],
    ) -> None:
        try:
            with file.explained(self._directory):
                result = function(db)
        except Exception as error:
            result = error
        self._resolve_on_loop([(future, result)])

    def _look_for_others(self, db: sqlite3.Connection) -> None:
        now = time.monotonic()
        if now < self._next_poll:
            return
        self._next_poll = now + FOREIGN_POLL
        version = _data_version(db)
        if version != self._data_version:
            self._data_version = version
            self._on_loop(self._changed)

    def _on_closed(self) -> None:
        """On the loop: from now on nothing can be queued; refuse what was queued too late."""
        if not self._closed.done():
            self._closed.set_result(None)
        while not self._queue.empty():
            self._refuse(self._queue.get() or [])

    def _refuse(self, waiting: Sequence[_Request]) -> None:
        error = LogError(f"The log in {self._directory} was closed before this was written.")
        _resolve([(future, error) for future, _ in waiting])

    def _resolve_on_loop(self, outcomes: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
        self._on_loop(lambda: _resolve(outcomes))

    def _on_loop(self, function: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)


def _data_version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA data_version").fetchone()[0])


def _resolve(outcomes: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # its caller was cancelled meanwhile
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
