"""Where time comes from. Only `streams/` knows clocks, and it takes them as arguments."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol

from schemas.time_units import HOUR_MS


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


LEAP_MS = HOUR_MS
"""What a clock is ahead by, all at once, is no drift and no correction of NTP's."""


class SteadyClock:
    """A clock as far as time has really passed: a leap ahead by more than `leap` ms is not
    believed. Going back is, and so is what a clock says at first."""

    def __init__(
        self, clock: Clock, passed: Callable[[], int] | None = None, leap: int = LEAP_MS
    ) -> None:
        """`passed` tells ms that go on evenly, from anywhere; by default those of the machine,
        which go on while it is suspended."""
        self._clock = clock
        self._passed = passed or _since_boot
        self._leap = leap
        self._then, self._mark = clock.now(), self._passed()

    def now(self) -> int:
        """Return the current instant."""
        now, mark = self._clock.now(), self._passed()
        expected = self._then + mark - self._mark
        if now - expected > self._leap:
            return expected
        self._then, self._mark = now, mark
        return now

    async def wait_until(self, instant: int) -> None:
        """Wait as the clock does."""
        await self._clock.wait_until(instant)


def _since_boot() -> int:
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


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
