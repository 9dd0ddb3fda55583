"""The embedded log's file: one SQLite file holds everything. Blocking, but for `looked_through`.

Durability: WAL with synchronous=FULL, one fsync per commit. NORMAL would survive `kill -9` as well,
since the kernel keeps the written pages, but may forget acknowledged records when the power fails;
"acknowledged" means durable in `streams.log`, and group commit makes the fsync cheap.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from streams.log import LogDamaged, LogError, LogUnavailable

T = TypeVar("T")

FILE_NAME = "log.sqlite3"
LOCK_NAME = "worker.lock"
FORMAT = 1
"""Kept in `PRAGMA user_version`; a file of a newer format is refused."""

BUSY_TIMEOUT = 10.0
"""Seconds to wait for another process's transaction; ours last well under one."""

_SCHEMA = """
CREATE TABLE topics (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    partitions INTEGER NOT NULL, config TEXT NOT NULL
);
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL REFERENCES topics, partition INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 0,    -- earliest offset kept by retention
    next INTEGER NOT NULL DEFAULT 0,     -- never goes back, also when the last record is removed
    timestamp INTEGER NOT NULL DEFAULT 0,-- append time of the last record
    kept INTEGER NOT NULL DEFAULT 0,     -- records in the table
    clean INTEGER NOT NULL DEFAULT 0,    -- below it each key occurs once
    UNIQUE (topic_id, partition)
);
-- The value comes last: compaction reads keys without following a large value's overflow pages.
CREATE TABLE records (
    id INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, key BLOB, headers BLOB, value BLOB
);
CREATE TABLE committed (
    consumer_group TEXT NOT NULL, partition_id INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, partition_id)
) WITHOUT ROWID;
"""


def connect(directory: Path) -> sqlite3.Connection:
    """Open the log in `directory`, creating both where they are missing. Raises LogError."""
    with explained(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _setup_lock(directory):
            db = sqlite3.connect(
                directory / FILE_NAME,
                timeout=BUSY_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                _set_up(db, directory)
            except BaseException:
                db.close()
                raise
    return db


def _set_up(db: sqlite3.Connection, directory: Path) -> None:
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > FORMAT:
        raise LogError(
            f"The log in {directory} was written by a newer version of Ritorno "
            f"(format {found}, this one knows {FORMAT}). Update Ritorno."
        )
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA cache_size = -16384")
    # What compaction, retention and erasures remove is overwritten: it is people's data.
    db.execute("PRAGMA secure_delete = ON")
    if found == 0:
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")


@contextmanager
def _setup_lock(directory: Path) -> Iterator[None]:
    """Let one process at a time create the file: changing to WAL does not wait for a lock."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say into a LogError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explain(str(error), directory) from error
    except (
        msgspec.MsgspecError,
        UnicodeError,
    ) as error:  # a page with other bytes than were written
        raise _explain(f"malformed record: {error}", directory) from error
    except (NotADirectoryError, FileExistsError) as error:
        raise LogError(
            f"The embedded log needs a directory, but {directory} is a file or lies below one. "
            "Name another place in RITORNO_BROKER=embedded://PATH."
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _explain("full", directory) from error
        raise LogError(
            f"The embedded log in {directory} can't be used: {error.strerror}. "
            "Check the path and its permissions."
        ) from error


def _explain(message: str, directory: Path) -> LogError:
    if "full" in message:
        return LogError(f"The disk that holds the log in {directory} is full. Free some space.")
    if "malformed" in message or "not a database" in message:
        return LogDamaged(
            f"The log file {directory / FILE_NAME} is damaged or is not a log ({message}). "
            "Restore the directory from a copy, or move it away to begin a new log."
        )
    if "readonly" in message or "unable to open" in message:
        return LogError(
            f"The log in {directory} can't be opened for writing ({message}). "
            "Check the permissions of the directory and of the files in it."
        )
    if "locked" in message:
        return LogUnavailable(
            f"Another process has kept the log in {directory} locked for {BUSY_TIMEOUT:.0f} s."
        )
    return LogError(f"The log in {directory} failed: {message}")


def claim(directory: Path) -> int:
    """Become the one worker on this log, with its process id in a lock file; return the descriptor,
    which lets go when it is closed. Raises LogError naming the process that is there already."""
    with explained(directory):
        handle = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise LogError(
                f"Process {holder} is already working on the log in {directory}. The embedded log "
                "serves one worker; stop that one first, or use Kafka for several."
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done inside, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk rolls back by itself
            db.execute("ROLLBACK")
        raise


async def faults(directory: Path) -> list[str]:
    """Return what SQLite finds wrong in the file, at most five things; it reads all of it, and
    changes nothing. Nothing where there is none yet. Raises LogError, LogDamaged when it can't
    even be looked at."""

    def run() -> list[str]:
        with explained(directory):
            db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            try:
                return [row for (row,) in db.execute("PRAGMA integrity_check(5)") if row != "ok"]
            finally:
                db.close()

    path = directory / FILE_NAME
    return await asyncio.to_thread(run) if path.exists() else []


async def looked_through(directory: Path, search: Callable[[sqlite3.Connection], T]) -> T:
    """Return what `search` finds, on a connection and a thread of its own: it may look through a
    whole partition. Raises LogError."""

    def run() -> T:
        db = connect(directory)
        try:
            with explained(directory):
                return search(db)
        finally:
            db.close()

    return await asyncio.to_thread(run)
