"""The budget of a record: how many customers may be visited at it for work that waits.

Counted, never timed: so the work of a log lies over its records in the same way whoever reads it. A
batch may have been written in part before a crash, and some customers are then ahead of the log;
they are not visited again, and so they can't be counted again. That is why a batch in which a
budget has ended begins with its `Layout`, in front of all customers: whoever reads these records
once more goes as far at each of them as was gone then, and counts behind them.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.pending_work import ALL, NOBODY, Cut, Layout
from schemas.stored import NEVER

VISITS = 100
"""Customers visited at one record. A visit takes 0.1 to 0.4 ms, whether a held mail is decided or a
sale told, so that a record with all of them takes 20 to 40 ms."""

Position = tuple[int, bytes]


class Budget:
    """How far the work of one record may go, and how far it has gone."""

    __slots__ = ("_cut", "_fired", "_left", "_reached", "ended", "left_timers")

    def __init__(self, visits: int, cut: Cut | None = None) -> None:
        """`cut`: how far it went before; then it is not counted."""
        self._left = visits
        self._cut = cut
        self._fired: Position = NOBODY
        self._reached: Position = NOBODY
        self.left_timers = cut is not None and cut.fired != ALL
        """Whether timers that are due are left to the next record."""
        self.ended = False
        """Whether anything at all is."""

    def may_fire(self, timer: Position) -> bool:
        """Whether this timer fires at this record; asked in the order in which they are due.

        What a customer's timer makes due still earlier fires too, so that one place says it all.
        """
        if self._cut is not None:
            return timer <= self._cut.fired
        if self._left > 0:
            self._left -= 1
            self._fired = max(self._fired, timer)
            return True
        if timer <= self._fired:
            return True
        self.left_timers = self.ended = True
        return False

    def may_visit(self, position: Position) -> bool:
        """Whether this customer is told at this record; asked in the order of broadcasts and
        keys."""
        if self._cut is not None:
            return position <= self._cut.reached
        return self._left > 0 or self._end()

    def visit(self, position: Position) -> None:
        """The customer is visited."""
        self._left -= 1
        self._reached = position

    def spend(self, visits: int) -> None:
        """What was visited has taken so many visits more."""
        self._left -= visits

    def reached_before(self, broadcast: int) -> bytes:
        """Return the customer up to whom a broadcast had come, where that was written down."""
        if self._cut is None or self._cut.reached[0] != broadcast:
            return b""
        return self._cut.reached[1]

    def has_left(self, broadcast: int) -> bool:
        """Whether a broadcast was left over by this record, where that was written down."""
        return self._cut is not None and broadcast >= self._cut.left

    def cut(self, offset: int, left: int) -> Cut:
        """Return how far it went; `left`: offset of the first broadcast that it has left over."""
        return Cut(offset, self._fired if self.left_timers else ALL, self._reached, left)

    def _end(self) -> bool:
        self.ended = True
        return False


NO_BUDGET = Budget(0)
"""Of a record at which nothing waits."""


class WorkLayout:
    """How the work of a partition is laid over its records."""

    def __init__(self, kept: Layout, start: int, visits: int = VISITS) -> None:
        """`kept`: as it was written last; `start`: offset from which records are read."""
        self._until = kept.until
        self._cuts = {cut.offset: cut for cut in kept.cuts if cut.offset >= start}
        self._visits = visits
        self._is_new = False

    def budget(self, offset: int) -> Budget:
        """Return the budget of a record."""
        if offset < self._until:
            return Budget(NEVER, self._cuts.get(offset))
        return Budget(self._visits)

    def note(self, offset: int, budget: Budget, left: int) -> None:
        """The work of a record has been done as far as its budget goes; `left`: offset of the first
        broadcast that waits on."""
        if budget.ended:
            self._cuts[offset] = budget.cut(offset, left)
            self._is_new = True

    def take(self, offset: int) -> Layout | None:
        """Return what a batch that ends before `offset` has to begin with; None if it needn't."""
        new = self._is_new
        self._until = max(self._until, offset)
        cuts: Iterable[Cut] = self._cuts.values()
        layout = Layout(self._until, list(cuts)) if new else None
        self._cuts = {each: cut for each, cut in self._cuts.items() if each >= offset}
        self._is_new = False
        return layout
