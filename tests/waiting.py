"""Waiting for what nobody announces: a port or a file of another process, the offsets of a log.

Where there is an event, it is awaited; this is for the rest. Each wait is bounded, and says for
what it has waited in vain.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import time
from collections.abc import Awaitable, Callable

SECONDS = 30.0
"""For which anything is waited for: a machine that does much else at the time."""
PAUSE_SECONDS = 0.05
"""Between two looks: each may cost the other process a request."""

Holds = Callable[[], bool] | Callable[[], Awaitable[bool]]


async def eventually(holds: Holds, what: str, *, seconds: float = SECONDS) -> None:
    """Return once `holds()` is true. Raises AssertionError, which says `what` was awaited, and what
    `holds` raises."""
    try:
        async with asyncio.timeout(seconds):
            while not await _answer(holds):
                await poll_pause()
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds} s") from None


def until(holds: Callable[[], bool], what: str, *, seconds: float = SECONDS) -> None:
    """The same where no event loop runs."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(PAUSE_SECONDS)


async def poll_pause() -> None:
    """The one place that waits without an event: between looks at another process."""
    await asyncio.sleep(PAUSE_SECONDS)


def listens(port: int) -> bool:
    """Return whether somebody listens there, on this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


async def _answer(holds: Holds) -> bool:
    answer = holds()
    return bool(await answer) if inspect.isawaitable(answer) else bool(answer)
