"""Ticks: empty control records that let time pass in a partition when nothing else happens.

The log is the clock of all decisions, so a quiet partition would stand still and its timers would
never fire. The owner of a partition therefore appends an empty record when the next timer is due,
and one every few minutes besides, by which silence can be told from standing still. Two owners for
a moment, or a missed tick, do no harm: a tick says nothing but the append time it gets.

A timer is due by the broker's clock, and the owner waits by its own. How far the one is ahead of
the other shows whenever something is committed: the log's time was then the broker's a moment ago.
A tick that comes too early nevertheless is followed by another one, an interval later.

One tick is under way at a time. Work that was left over (see `agents/partition/partition.py`) is
due at the time of the log itself; its tick follows at once upon the one before, which must be
committed.
"""

from __future__ import annotations

import asyncio

from schemas import events
from schemas.records import OutRecord
from schemas.stored import NEVER
from streams.clock import Clock
from streams.log import Log
from streams.logging import get_logger
from streams.runtime.waiting import first

TICK_TYPE = events.TICK.encode()
TICK = OutRecord(None, b"", (("ce_type", TICK_TYPE),))

INTERVAL_MS = 1_000
"""Between two ticks at least, and so how late a timer may fire in a quiet partition: many timers,
each a few milliseconds after the other, cost one small record a second."""

SILENCE_MS = 300_000
"""A partition in which nothing happens gets a tick after this time: eight of them write some 2,300
a day, and their progress as often."""

STANDSTILL_MS = SILENCE_MS + 120_000
"""A partition whose time has not passed for so long stands still; two minutes leave room for a
restart with recovery. The alerts in `deploy/prometheus` have the same number."""

_log = get_logger(__name__)


class Ticks:
    """Ticks for the partitions of `topic` that this process owns."""

    def __init__(self, log: Log, topic: str, clock: Clock, interval_ms: int = INTERVAL_MS) -> None:
        self._log = log
        self._topic = topic
        self._clock = clock
        self._interval = interval_ms
        self._needs: dict[int, _TickNeed] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self.failures = 0
        """Appends that failed; each is tried again an interval later."""

    def start(self, partition: int) -> None:
        """Tick this partition from now on. Does nothing when it is ticked already."""
        if partition not in self._running:
            need = self._needs[partition] = _TickNeed(self._clock, self._interval)
            name = f"ticks of {self._topic}/{partition}"
            self._running[partition] = asyncio.create_task(self._tick(partition, need), name=name)

    async def stop(self, partition: int) -> None:
        """Write no further tick to this partition."""
        self._needs.pop(partition, None)
        task = self._running.pop(partition, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def passed(self, partition: int, *, next_offset: int, log_time: int, due: int) -> None:
        """Take note that a batch of the partition is committed.

        All below `next_offset` is dealt with, and the log's time is `log_time`; `due` is when the
        next timer is (both in ms since the epoch, NEVER when there is none). A `due` that is not
        after the log's time stands for work that was left over.
        """
        need = self._needs.get(partition)
        if need is not None:
            need.passed(next_offset, log_time, due)

    @property
    def at_rest(self) -> bool:
        """Whether no tick is due and none on its way, for who drives a virtual clock."""
        return all(need.at_rest for need in self._needs.values())

    async def _tick(self, partition: int, need: _TickNeed) -> None:
        while True:
            await need.arises()
            try:
                need.met(await self._log.append(self._topic, partition, [TICK]))
            except Exception as error:  # whatever it was: time must not stand still
                need.missed()
                self.failures += 1
                _log.warning("tick not written", topic=self._topic, partition=partition,
                             error=str(error))  # fmt: skip


class _TickNeed:
    """When one partition needs its next tick."""

    def __init__(self, clock: Clock, interval: int) -> None:
        self._clock = clock
        self._interval = interval
        self._due = NEVER
        self._log_time = 0
        self._ahead: int | None = None
        """How far the broker's clock is ahead of ours, at least; None: nobody knows yet."""
        self._moved = self._last = clock.now()
        """When the log's time has last passed, and when a tick was last written, by our clock."""
        self._observed = 0
        """By how much it seemed to be at the last commit."""
        self._next_offset = 0
        self._pending: int | None = None
        """Offset of the tick that is not committed yet."""
        self._news = asyncio.Event()
        self._waits_until = 0
        """0 while nobody waits."""

    @property
    def at_rest(self) -> bool:
        """Whether nothing is needed now and no tick is on its way."""
        return self._waits_until > self._clock.now() and self._pending is None

    async def arises(self) -> None:
        """Return once a tick is needed."""
        while (time := self._next()) > self._clock.now():
            self._waits_until = time
            self._news.clear()
            await first(self._clock.wait_until(time), self._news.wait())
        self._waits_until = 0

    def met(self, offset: int) -> None:
        """A tick was written; it may have been committed before we hear of it."""
        self._last = self._clock.now()
        if offset < self._next_offset:
            self._ahead = self._observed
        else:
            self._pending = offset

    def missed(self) -> None:
        """None could be written."""
        self._last = self._clock.now()

    def passed(self, next_offset: int, log_time: int, due: int) -> None:
        """A batch is committed."""
        now = self._clock.now()
        # The log's time is a little old by now, so this is the least.
        self._next_offset, self._observed = next_offset, log_time - now
        ours = self._pending is not None and self._pending < next_offset
        # Our own tick has just been stamped, and says it anew: either clock may have been set.
        # Before the first one, what is committed may be hours old.
        if ours or (self._ahead is not None and self._observed > self._ahead):
            self._ahead = self._observed
        if ours:
            self._pending = None
        if log_time > self._log_time:
            self._log_time, self._moved = log_time, now
        self._due = due
        if self._next() < self._waits_until:
            self._news.set()

    def _next(self) -> int:
        """Return when the next tick is to be written, by our clock."""
        if self._pending is not None:
            # It is committed behind all that came before, which may take its time. Only a broker
            # that has lost it would let us wait for ever.
            return self._last + max(self._interval, SILENCE_MS)
        earliest = self._last + self._interval
        if self._ahead is None:
            return earliest  # the first one says what time it is at the broker
        if self._due <= self._log_time:
            return self._clock.now()
        return max(earliest, min(self._due - self._ahead, self._moved + SILENCE_MS))
