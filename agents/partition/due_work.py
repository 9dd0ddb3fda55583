"""What is due at a record besides the record itself: timers, and changes to be told.

Timers due at or before the time of the log fire first, in the order of due time and customer; then
customers are told of what came before and concerns them (`agents/partition/broadcasts.py`). Both go
as far as the record's budget (`agents/partition/budget.py`), and on at the next record.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterable, Iterator, Sequence

from agents.context import Context
from agents.customer import actor, size_guard
from agents.partition.broadcasts import Broadcasts, PendingBroadcast, take_in
from agents.partition.budget import NO_BUDGET, Budget, WorkLayout
from agents.partition.failure_site import RECORD, WorkItem
from agents.partition.state import VISIT, PartitionState
from agents.refusals import EventRefused
from schemas.customer import Customer
from schemas.customer.named import RUN_PREFIX, named
from schemas.retry import Retry
from schemas.stored import NEVER


class DueWork:
    """What waits in one partition."""

    def __init__(self, state: PartitionState, broadcasts: Broadcasts, layout: WorkLayout) -> None:
        """`broadcasts` are the changes that customers are being told of, `layout` how the work lies
        over the records."""
        self._state = state
        self._broadcasts = broadcasts
        self._layout = layout
        self._customers = state.customers
        self._timers = state.timers
        self._held_back = state.held_back
        self._visited = state.visited
        self.ahead: list[tuple[int, bytes, int]] = []
        """(applied, customer, due) of who was due, but is ahead of the log."""

    def first_timer(self) -> int:
        """Return when the earliest timer is due, NEVER when there is none."""
        due = min((each[2] for each in self.ahead), default=NEVER)
        return min(due, self._timers.first()[0])

    def timers(self) -> int:
        """Return how many customers wait for a timer."""
        return len(self._timers) + sum(each[2] != NEVER for each in self.ahead)

    # All that is due.

    def go_as_far(self, offset: int, budget: Budget, context: Context) -> Iterator[bool]:
        """Fire timers and tell customers, as far as the budget of the record at `offset` goes."""
        yield from self._fire(offset, budget, context)
        yield from self.go_on_broadcasting(offset, budget, context)

    def _fire(self, offset: int, budget: Budget, context: Context) -> Iterator[bool]:
        state = self._state
        while self.ahead and self.ahead[0][0] < offset:
            _, key, _ = heapq.heappop(self.ahead)
            if key not in self._held_back.customers:
                self._timers.schedule(key, self._customers.get(key).due())
                state.work += VISIT  # many may have to be decoded, and none of them is visited
                yield from state.pause()
        while (first := self._timers.first())[0] <= state.now:
            due, key = first
            if key in self._held_back.customers:
                self._timers.remove(key)  # fires when what is kept can be read
                continue
            customer = self._customers.get(key)
            if customer.applied >= offset and key not in self._visited:
                self._timers.remove(key)
                heapq.heappush(self.ahead, (customer.applied, key, customer.due()))
                state.work += VISIT
                yield from state.pause()
                continue
            if customer.due() == NEVER:  # who is forgotten has no timers
                self._timers.remove(key)
                continue
            if not budget.may_fire(first):
                return
            state.work += VISIT
            self._timers.remove(key)
            budget.spend(self._catch_up(key, customer, offset, context))
            if customer.due() <= due:
                self._wake(key, customer, offset, context)
            self._timers.schedule(key, customer.due())
            yield from state.pause()

    def go_on_broadcasting(self, offset: int, budget: Budget, context: Context) -> Iterator[bool]:
        """Tell customers of what waits, as far as the budget goes."""
        broadcasts = self._broadcasts
        while broadcasts:
            first = broadcasts.first
            done = yield from self._broadcast_rest(first, offset, budget, context)
            if not done or budget.has_left(first.offset):
                first.reached = max(first.reached, budget.reached_before(first.offset))
                break
            broadcasts.end_first()
        broadcasts.leave_over()
        left = broadcasts.first.offset if broadcasts else NEVER
        self._layout.note(offset, budget, left)

    def _broadcast_rest(
        self, waiting: PendingBroadcast, offset: int, budget: Budget, context: Context
    ) -> Generator[bool, None, bool]:
        """Tell those who are not told yet; return whether that was all of them."""
        state, begun = self._state, waiting.offset
        for key in waiting.rest(self._find):
            state.work += 1
            yield from state.pause()
            if key in self._held_back.customers:
                continue
            customer = self._customers.get(key)
            if waiting.is_past(key, customer.applied) or not waiting.concerns(
                self._names(customer)
            ):
                continue
            if not budget.may_visit((begun, key)):
                return False
            if customer.applied < offset or key in self._visited:
                budget.visit((begun, key))
                state.work += VISIT
                budget.spend(self._catch_up(key, customer, offset, context) - 1)
                waiting.reached = key
        return True

    def _find(self, names: Iterable[str]) -> Sequence[bytes]:
        if not self._customers.can_find:
            for _ in self._customers.look_through(self._state.offset):
                pass
        return self._customers.find(names)

    # What is due of one customer.

    def bring_up(
        self, key: bytes, customer: Customer, offset: int, budget: Budget, context: Context
    ) -> None:
        """Let a customer do what comes before the current record, whatever the budget."""
        if budget is not NO_BUDGET and self._broadcasts:
            self._catch_up(key, customer, offset, context)
        if budget.left_timers:
            self._wake_until(self._state.now, key, customer, offset, context)

    def _catch_up(self, key: bytes, customer: Customer, offset: int, context: Context) -> int:
        """Tell a customer of all that waits, each behind what was due of its own before that.

        Returns of how many.
        """
        applied, told, behind = customer.applied, 0, -1
        if self._broadcasts.are_past(applied):
            return 0
        names = self._names(customer)
        while (waiting := self._broadcasts.next_for(names, behind)) is not None:
            behind = waiting.offset
            if waiting.is_past(key, applied):
                continue
            self._wake_until(waiting.broadcast.time, key, customer, offset, context)
            if self._broadcast_to(waiting, names, customer, offset, context):
                self._visited.add(key)
                self._state.note_change(key, customer, offset)
                names = self._names(customer)
                told += 1
        return told

    def _wake_until(
        self, until: int, key: bytes, customer: Customer, offset: int, context: Context
    ) -> None:
        while customer.due() <= until:
            self._wake(key, customer, offset, context)

    def _wake(self, key: bytes, customer: Customer, offset: int, context: Context) -> None:
        """Fire what is due first of the customer's."""
        state, timer = self._state, WorkItem("timer", customer.key)
        state.begin_item(timer)
        state.counts.lateness.append(state.now - customer.due())
        error = state.error(offset, timer)
        if error is None:
            size_guard.wake(customer, context)
        else:
            state.report(offset, "a timer was given up", error, actor.give_up(customer, context))
        self._visited.add(key)  # its `applied` is this record's now, yet it has to receive it still
        state.note_change(key, customer, offset)
        state.begin_item(RECORD)

    def _broadcast_to(
        self,
        waiting: PendingBroadcast,
        names: set[str],
        customer: Customer,
        offset: int,
        context: Context,
    ) -> bool:
        """Tell a customer; return whether it was its business."""
        state, item = self._state, WorkItem("told", customer.key)
        moves, changes = waiting.moves_runs(names), waiting.changes(names)
        text = "a customer was not told of a change"
        error = state.error(offset, item)
        if error is not None:
            missed = Retry(customer=customer.key, news=list(changes), follow=moves)
            state.report(offset, text, error, missed)
            return False
        state.begin_item(item)
        told = False
        try:
            told = size_guard.take_in(
                customer, size_guard.size_of(changes), context,
                lambda: take_in(customer, waiting.broadcast.time, changes, moves, context),
            )  # fmt: skip
        except EventRefused as refusal:
            missed = Retry(customer=customer.key, news=list(changes), follow=moves)
            state.report(offset, text, refusal.detail, missed, refusal.reason)
        state.begin_item(RECORD)
        return told

    def _names(self, customer: Customer) -> set[str]:
        """Return what a customer may be told of. Of workflows only those that a run of its own
        follows: that another version lets its runs follow may be known here already, or not yet."""
        names = named(customer)
        if customer.runs:
            follows = self._state.definitions.follows
            names.difference_update([RUN_PREFIX + run.workflow for run in customer.runs])
            names.update([
                RUN_PREFIX + run.workflow
                for run in customer.runs
                if follows(run.workflow, run.version)
            ])  # fmt: skip
        return names
