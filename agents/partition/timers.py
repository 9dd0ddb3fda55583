"""Timers of one partition: when each customer's earliest one is due.

A heap holds one entry per customer. A timer that is moved to later, as a silence is at each event,
keeps its place; the later time is noted beside it and put right when the entry comes up, without a
look at the customer. So what comes up is due, and can be counted.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from schemas.stored import NEVER


class Timers:
    """The earliest timer of each customer."""

    def __init__(self, due: Iterable[tuple[int, bytes]] = ()) -> None:
        """`due`: due time (ms since the epoch) and customer; who has NEVER is left out."""
        self.entered = {key: instant for instant, key in due if instant != NEVER}
        self._heap = [(instant, key) for key, instant in self.entered.items()]
        heapq.heapify(self._heap)
        self._moved: dict[bytes, int] = {}

    def __len__(self) -> int:
        """How many customers wait for a timer."""
        return len(self.entered)

    def is_any_due(self, now: int) -> bool:
        """Whether any is due by `now`; asked at each record."""
        return bool(self._heap) and self._heap[0][0] <= now and self.first()[0] <= now

    def schedule(self, key: bytes, due: int) -> None:
        """Say when the customer's earliest timer is due, NEVER when there is none any more."""
        entered = self.entered.get(key)
        if entered is None or due < entered:
            if due != NEVER:
                self._moved.pop(key, None)
                self.entered[key] = due
                heapq.heappush(self._heap, (due, key))
        elif due > entered:
            self._moved[key] = due
        elif self._moved:
            self._moved.pop(key, None)

    def first(self) -> tuple[int, bytes]:
        """Return due time and customer of the earliest timer of all; (NEVER, b"") if none is."""
        heap = self._heap
        while heap:
            due, key = heap[0]
            if self.entered.get(key) == due:
                moved = self._moved.pop(key, None) if self._moved else None
                if moved is None:
                    return due, key
                self.remove(key)
                self.schedule(key, moved)
                continue
            heapq.heappop(heap)  # an earlier timer of the same customer has taken its place
        return NEVER, b""

    def remove(self, key: bytes) -> None:
        """Take the customer out."""
        self.entered.pop(key, None)
        self._moved.pop(key, None)
