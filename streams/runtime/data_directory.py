"""A worker's data directory, which it has for itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.runtime.failures import WorkerFailed
from streams.settings import Settings

LOCK_NAME = "worker.lock"


class NotTaken(Exception):
    """Another process has the directory."""


@contextmanager
def sole_worker(settings: Settings) -> Iterator[None]:
    """Hold the data directory for this process. Raises WorkerFailed."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = _open(settings.data_dir)
    except OSError as error:
        raise WorkerFailed(
            f"{settings.data_dir} can't be written: {error.strerror}. Set RITORNO_DATA_DIR."
        ) from None
    try:
        _take_lock(handle, settings)
        yield
    finally:
        os.close(handle)


@contextmanager
def taken(directory: Path) -> Iterator[None]:
    """Hold a directory as a worker does, for a moment. Raises NotTaken, OSError."""
    handle = _open(directory)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotTaken(str(directory)) from None
        yield
    finally:
        os.close(handle)


def _open(directory: Path) -> int:
    return os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)


def _take_lock(handle: int, settings: Settings) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkerFailed(
            f"Another worker uses the data directory {settings.data_dir}. Each needs its own: "
            "set RITORNO_DATA_DIR (and RITORNO_WORKER_ID)."
        ) from None
