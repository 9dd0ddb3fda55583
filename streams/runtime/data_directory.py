"""A worker's data directory, which it has for itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from streams.runtime.failures import WorkerFailed
from streams.settings import Settings


@contextmanager
def sole_worker(settings: Settings) -> Iterator[None]:
    """Hold the data directory for this process. Raises WorkerFailed."""
    path = settings.data_dir / "worker.lock"
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise WorkerFailed(
            f"{settings.data_dir} can't be written: {error.strerror}. Set RITORNO_DATA_DIR."
        ) from None
    try:
        _take_lock(handle, settings)
        yield
    finally:
        os.close(handle)


def _take_lock(handle: int, settings: Settings) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkerFailed(
            f"Another worker uses the data directory {settings.data_dir}. Each needs its own: "
            "set RITORNO_DATA_DIR (and RITORNO_WORKER_ID)."
        ) from None
