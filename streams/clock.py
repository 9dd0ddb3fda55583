"""Where time comes from. Only `streams/` knows clocks, and it takes them as arguments."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits for it. Instants are ms since the epoch."""

    def now(self) -> int:
        """Return the current instant."""

    async def wait_until(self, instant: int) -> None:
        """Return once `now() >= instant`."""


LONGEST_SLEEP_MS = 1_000
"""A machine that was suspended, or whose clock was set, looks at the time again this soon: sleeping
goes by another clock, which doesn't notice."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> int:
        """Return the current instant."""
        return time.time_ns() // 1_000_000

    async def wait_until(self, instant: int) -> None:
        """Sleep until `instant`; at once when it has passed."""
        while (remaining := instant - self.now()) > 0:  # noqa: ASYNC110  # time gives no signal
            await asyncio.sleep(min(remaining, LONGEST_SLEEP_MS) / 1000)


class VirtualClock:
    """A clock that moves only when it is told to, forwards only."""

    def __init__(self, start: int) -> None:
        self._now = start
        self._ticket = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        """Return the instant it was last advanced to."""
        return self._now

    async def wait_until(self, instant: int) -> None:
        """Wait for somebody to advance the clock to `instant`."""
        if instant <= self._now:
            return
        reached = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (instant, next(self._ticket), reached))
        await reached

    def advance(self, instant: int) -> None:
        """Move to `instant` and wake, in order, all who waited for it. Never moves back."""
        self._now = max(self._now, instant)
        while self._waiting and self._waiting[0][0] <= self._now:
            _, _, reached = heapq.heappop(self._waiting)
            if not reached.done():
                reached.set_result(None)
