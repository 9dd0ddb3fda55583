"""Ticks: empty control records that let time pass in a partition when nothing else happens.

The log is the clock of all decisions, so a quiet partition would stand still and its timers would
never fire. The owner of a partition therefore appends one empty record per interval. Two owners for
a moment, or a missed tick, do no harm: a tick says nothing but the append time it gets.
"""

from __future__ import annotations

import asyncio

import structlog

from schemas import events
from schemas.records import OutRecord
from streams.clock import Clock
from streams.log import Log

TICK_TYPE = events.TICK.encode()
TICK = OutRecord(None, b"", (("ce_type", TICK_TYPE),))

INTERVAL_MS = 1_000
"""How late a timer may fire in a quiet partition; 8 partitions cost 8 small records a second."""

_log = structlog.get_logger(__name__)


class Ticks:
    """Ticks for the partitions of `topic` that this process owns."""

    def __init__(self, log: Log, topic: str, clock: Clock, interval_ms: int = INTERVAL_MS) -> None:
        self._log = log
        self._topic = topic
        self._clock = clock
        self._interval = interval_ms
        self._running: dict[int, asyncio.Task[None]] = {}
        self.failures = 0
        """Appends that failed; each is tried again with the next tick."""

    def start(self, partition: int) -> None:
        """Tick this partition from now on. Does nothing when it is ticked already."""
        if partition not in self._running:
            name = f"ticks of {self._topic}/{partition}"
            self._running[partition] = asyncio.create_task(self._tick(partition), name=name)

    async def stop(self, partition: int) -> None:
        """Write no further tick to this partition."""
        task = self._running.pop(partition, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _tick(self, partition: int) -> None:
        while True:
            await self._clock.wait_until(self._next())
            try:
                await self._log.append(self._topic, partition, [TICK])
            except Exception as error:  # whatever it was: time must not stand still
                self.failures += 1
                _log.warning("tick not written", topic=self._topic, partition=partition,
                             error=str(error))  # fmt: skip

    def _next(self) -> int:
        # On whole intervals, so that all partitions pass a second together, and only the next one:
        # a machine that slept owes no ticks for the hours it missed.
        return (self._clock.now() // self._interval + 1) * self._interval
