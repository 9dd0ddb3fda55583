"""One of several processes: a worker that tells its parent where its admin port is, or why it ends.

It stops when it is told to, and when its parent is gone.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NamedTuple

from schemas.failures import Failure, InputError
from streams.settings import Settings
from streams.settings.values import Address


class ChildStarted(NamedTuple):
    """The worker consumes."""

    admin: Address


class ChildFailed(NamedTuple):
    """The worker has given up; the text says why."""

    reason: str


Word = ChildStarted | ChildFailed


def run_child(settings: Settings, parent: Connection, read: Callable[[], Settings]) -> None:
    """Run a worker until it is told to stop. The entry point of a process.

    `read` reads the parent's settings again: secrets may have been exchanged since it started.
    """
    # A terminal interrupts all processes at once; one that still imports has nothing to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from streams.logging import configure_logging  # noqa: PLC0415  # in this process only
    from streams.runtime.worker import Worker  # noqa: PLC0415  # Faust takes a second
    from streams.runtime.worker_process import run_worker  # noqa: PLC0415  # Faust takes a second
    from streams.runtime.worker_secrets import with_secrets_of  # noqa: PLC0415  # as above

    configure_logging(level=settings.log_level, style=settings.log_format)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()

    def started(worker: Worker) -> None:
        parent.send(ChildStarted(worker.admin.address))

    try:
        with suppress(InputError):  # what can't be read now: then with what was set before
            settings = with_secrets_of(settings, read())
        run_worker(settings, read=read, started=started, shares_ports=True)
    except (Failure, InputError) as error:
        parent.send(ChildFailed(str(error)))
        raise SystemExit(1) from None


def _follow(parent: Connection) -> None:
    """Stop when the parent's end of the pipe is closed, by whatever ended it."""
    try:
        parent.recv()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
