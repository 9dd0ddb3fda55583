"""Ports for the processes that tests start.

The system takes ports for outgoing connections from 32768 on (Linux), so one that was free a moment
ago may be some client's when the process binds it. These are from below that range, and no process
of tests is given the same twice until all were.
"""

from __future__ import annotations

import os
import socket
from itertools import count

FIRST, PAST = 15_000, 32_000
"""Above what services listen on by default, below the system's own range."""

_drawn = count(os.getpid() * 331)
"""Begins elsewhere in each process, as several run tests side by side."""


def free_port() -> int:
    """Return a port that nobody listens on, and that no client of this machine is given."""
    for _ in range(FIRST, PAST):
        port = FIRST + next(_drawn) % (PAST - FIRST)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")
