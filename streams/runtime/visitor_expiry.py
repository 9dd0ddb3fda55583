"""Removes the records of visitors who are forgotten (`agents/customer/visitors.py`).

A day after the other the kept records of a partition are looked through, a few at a time while the
event loop does everything else. Whom the actors have forgotten before the last commit gets a
tombstone with one of the next ones, some hundred at a time. When that happens, or whether it does
at all, no decision can tell: so there is no cursor to be kept, a crash only begins the day anew,
and replay removes nothing.

A tombstone needs no delete marker before it (`streams/runtime/state/tombstones.py`). What a late
writer could bring back is an older state of somebody who was forgotten by the newer one already.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Generator

from agents.customer.visitors import VisitorExpiry
from agents.definitions.settings import VisitorLimits
from schemas.stored import OWN_PREFIX
from schemas.time_units import DAY_MS, HOUR_MS
from streams.runtime.background import watched
from streams.runtime.state.changelog import Changelog
from streams.runtime.state.store import Item

FIRST_MS = HOUR_MS
"""After the opening, by the log's time: a partition that is opened again and again has other
troubles."""

PAUSE_EVERY = 100
"""Records looked at before the event loop goes on: about a millisecond."""

AT_ONCE = 500
"""Tombstones with one commit: 20 kB, and looking each of them up again takes some milliseconds."""

MOST_FOUND = 50_000
"""Held in memory at once, some 5 MB; the looking waits until there is room again."""


class VisitorRemoval:
    """Looks through one partition."""

    def __init__(self, changelog: Changelog, limits: VisitorLimits) -> None:
        self._changelog = changelog
        self._limits = limits
        self._forgetting = VisitorExpiry(limits)
        self._next: int | None = None
        self._found: deque[bytes] = deque()
        self._room = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._records: Generator[tuple[bytes, bytes]] | None = None
        self.removed = 0
        """Records, since the opening."""

    @property
    def unfinished(self) -> bool:
        """Whether another commit is wanted, since there is more to be removed."""
        return len(self._found) > 0

    @property
    def at_rest(self) -> bool:
        """Whether all were looked through and none is left to be removed."""
        return self._is_done() and not self._found

    def removals(self, changed: Collection[Item]) -> list[Item]:
        """Return tombstones to be written with a commit, none for anybody among the `changed`."""
        busy = {key for key, _ in changed} if self._found else set()
        removed: list[Item] = []
        for _ in range(min(AT_ONCE, len(self._found))):
            key = self._found.popleft()
            if key not in busy and self._is_forgotten(key):
                removed.append((key, None))
        self._room.set()
        self.removed += len(removed)
        return removed

    def committed(self, log_time: int) -> None:
        """The log's time has come to `log_time`; begin to look when it is time to."""
        self._forgetting.pass_to(log_time)
        if self._next is None:
            self._next = log_time + FIRST_MS
        due = log_time >= self._next and not self._found
        if due and self._is_done():
            self._next = log_time + DAY_MS
            self._records = self._changelog.store.look_through()
            self._looking = watched("forgetting", asyncio.create_task(self._look(self._records)))

    def stop(self) -> None:
        """Look no further: the store is about to be closed."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._records is not None:
            self._records.close()
            self._records = None
        self._found.clear()

    def _is_done(self) -> bool:
        return self._looking is None or self._looking.done()

    async def _look(self, records: Generator[tuple[bytes, bytes]]) -> None:
        for number, (key, stored) in enumerate(records):
            if number % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
            if not key.startswith(OWN_PREFIX) and self._forgetting.is_of(key, stored):
                self._found.append(key)
                while len(self._found) >= MOST_FOUND:
                    self._room.clear()
                    await self._room.wait()

    def _is_forgotten(self, key: bytes) -> bool:
        stored = self._changelog.get(key)
        return stored is not None and self._forgetting.is_of(key, stored)
