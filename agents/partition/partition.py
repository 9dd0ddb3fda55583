"""One partition of the log: its clock, its timers, its actors.

Pure: records in, changes out. The worker runs it under the commit protocol, replay over files, the
simulation with crashes in between; the same records always give the same changes.

At each record, in this order:

1. Timers due at or before the time of the log fire, in the order of due time and customer.
2. Customers are told of what came before and concerns them: changes in the feed, another version of
   a workflow that their runs follow (`agents/partition/broadcasts.py`).
3. The record itself. Its customer is first told of what came before and waits to be told, and fires
   what is due of its own, whatever the budget.

1 and 2 go as far as the record's budget (`agents/partition/budget.py`): customers visited, counted
and never timed. The rest goes on at the next record, in the same order. It is due now, so the owner
ticks at once. What a customer sees doesn't depend on the budget but for the time: a broadcast
stands between the same events and timers of its own as if all had been told at once.

That a record is read twice (a crash before the progress was written) must not change this, although
some of the customers are then ahead of the log. So a customer takes no part, with events, timers or
broadcasts, in records up to its own `applied`: what it did at those is in its state already.
Customers who were due there wait in `_ahead`. And how far the work of each record went is written
in front of the customers, and followed when it is read again.

The parts, in the order of a record: `due_work.py` (1 and 2), then `control_records.py` or
`event_delivery.py` (3); `failure_handling.py` where something was set aside. What they share is in
`state.py`.

Failure sites that were set aside (`schemas/set_aside.py`) stand in the progress that the actors
begin with, and are passed over there; what that means is in `agents/partition/failure_handling.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import msgspec

from agents.authentication import Trust
from agents.customer.visitors import Arrivals
from agents.definitions.published import Definitions
from agents.effects import Effect
from agents.partition import control_records
from agents.partition.batch import BatchChanges, BatchCounts, FailureSite, Poisoned, Unwritable
from agents.partition.broadcasts import Broadcasts
from agents.partition.budget import NO_BUDGET, VISITS, WorkLayout
from agents.partition.cache import CacheMemory
from agents.partition.control_records import ControlRecords
from agents.partition.customers import UnreadableCustomer
from agents.partition.due_work import DueWork
from agents.partition.event_delivery import EventDelivery
from agents.partition.failure_handling import FailureHandling
from agents.partition.failure_site import RECORD, WorkTrace
from agents.partition.origins import Origins
from agents.partition.state import INTERNAL_ERROR, PAUSE_EVERY, PartitionState
from schemas.events import Event
from schemas.pending_work import LAYOUT_KEY, pack_layout, unpack_layout
from schemas.records import Record
from schemas.signing import RecordSigner
from schemas.stored import (
    ARRIVALS_KEY,
    NAMESPACE_DECISIONS_KEY,
    Progress,
    pack_arrivals,
    pack_namespace_decisions,
    unpack_arrivals,
)
from schemas.time_rulings import all_counted, left
from schemas.topics import CUSTOMER_EVENTS
from schemas.wire import parse_record

PORTION = 5_000
"""Events, or as much work, after which changes are to be taken: some 0.25 s, so that what is not
written yet stays small. A batch of events alone is smaller than that."""


class PartitionActors:
    """The actors of one partition."""

    def __init__(
        self,
        *,
        partition: int,
        load: Callable[[bytes], bytes | None],
        definitions: Definitions,
        progress: Progress,
        due: Iterable[tuple[int, bytes]] = (),
        products: Iterable[tuple[bytes, bytes]] = (),
        held_back: Iterable[tuple[bytes, bytes]] = (),
        broadcasts: Iterable[bytes] = (),
        scan: Callable[[], Iterable[tuple[bytes, bytes]]] = tuple,
        home: Callable[[bytes], int] | None = None,
        parse: Callable[[Record], Event] | None = None,
        memory: CacheMemory | None = None,
        visits: int = VISITS,
        signer: RecordSigner | None = None,
    ) -> None:
        """`load` returns a kept record by key; `due` are the keys with timers and their due times,
        `products` and `held_back` what is kept under their prefixes, `broadcasts` the keys under
        theirs, and `scan` returns all that is kept.

        `home` tells the partition a key belongs to, so that a record which a producer with another
        partitioner has put here is moved there; None trusts the producers. `parse` reads an event
        from a record, or raises Unreadable; None: as the notation of the definitions has it.
        `memory` holds decoded customers; None gives these actors one of their own. `visits` is the
        budget of a record, and the same for whoever reads this log. Without a `signer` everybody is
        believed. Raises Poisoned when a live definition
        or a product can't be read; `progress` names what is to be passed over.
        """
        state = self._state = PartitionState(
            partition=partition,
            load=load,
            definitions=definitions,
            progress=progress,
            due=due,
            products=products,
            held_back=held_back,
            scan=scan,
            parse=parse or partial(parse_record, notation=definitions.notation),
            memory=memory or CacheMemory(),
        )
        self._progress = progress
        self._log_epoch = progress.log_epoch
        self._trust = Trust(signer, CUSTOMER_EVENTS, progress)
        self._origins = Origins(partition, load)
        births = unpack_arrivals(load(ARRIVALS_KEY))
        self._arrivals = Arrivals(
            definitions.limits, progress.arrivals, births, progress.next_offset
        )
        self._broadcasts = Broadcasts(progress, load, broadcasts)
        self._layout = WorkLayout(unpack_layout(load(LAYOUT_KEY)), state.offset, visits)
        self._due = DueWork(state, self._broadcasts, self._layout)
        self._failures = FailureHandling(state)
        self._controls = ControlRecords(
            state, self._trust, self._broadcasts, self._layout, self._due, self._failures
        )
        self._delivery = EventDelivery(
            state, home, self._trust, self._origins, self._arrivals, self._due, self._failures
        )
        self._unfinished = len(self._broadcasts) > 0
        self._given: Sequence[Record] = ()
        """What is absorbed at the moment, as the log has it."""

    @property
    def log_time(self) -> int:
        """The highest append time so far, ms since the epoch."""
        return self._state.now

    @property
    def unfinished(self) -> bool:
        """Whether the budget of the last record has left anything to the next one."""
        return self._unfinished

    @property
    def next_timer(self) -> int:
        """When the next record is wanted: now (the time of the log) when work is left over, else
        when the earliest timer is due; NEVER when there is none."""
        due = self._due.first_timer()
        return min(due, self._state.now) if self._unfinished else due

    @property
    def timers_pending(self) -> int:
        """How many customers wait for a timer."""
        return self._due.timers()

    @property
    def held_back(self) -> int:
        """How many customers are held back."""
        return len(self._state.held_back.customers)

    @property
    def effects(self) -> Sequence[Effect]:
        """What has been asked for since the last `take`."""
        return self._state.effects

    def prepare(self) -> Iterator[None]:
        """Make what live definitions will need, pausing now and then; without it, it is made when
        it is needed."""
        state = self._state
        of_products = (trigger.startswith("product:") for trigger in state.live.by_trigger)
        if self._broadcasts or state.followed or any(of_products):
            yield from state.customers.look_through(state.offset)

    def receive(self, records: Sequence[Record]) -> BatchChanges:
        """Apply records and return what they changed."""
        self.absorb(records)
        return self.take()

    def absorb(self, records: Sequence[Record], *, verifying: bool = False) -> None:
        """Apply records as `absorbing` does, without a pause."""
        for _ in self.absorbing(records, verifying=verifying):
            pass

    def absorbing(self, records: Sequence[Record], *, verifying: bool = False) -> Iterator[bool]:
        """Apply records, pausing after PAUSE_EVERY of work; yields whether changes are to be taken.
        `take` returns what all of them have changed.

        With `verifying` it is seen to after each record that what it led to can be written. Raises
        Poisoned, after which this object is of no use any more.
        """
        state, due_work = self._state, self._due
        context = state.context()
        self._given, records = records, all_counted(records, self._progress.time_rulings)
        for record in records:
            if record.timestamp > state.now:
                state.now = context.now = record.timestamp
                state.forgetting.pass_to(state.now)
            self._log_epoch = self._log_epoch or record.timestamp
            before = len(state.effects)
            budget, error = NO_BUDGET, None
            state.item = RECORD
            state.trace = WorkTrace(before) if verifying else None
            try:
                if state.set_aside.errors:
                    self._failures.pass_over(record, context)
                    error = state.set_aside.error(FailureSite(record.offset, "record"))
                due = (
                    self._unfinished
                    or len(due_work.ahead) > 0
                    or state.timers.is_any_due(state.now)
                )
                state.visited.clear()
                if due:
                    budget = self._layout.budget(record.offset)
                    yield from due_work.go_as_far(record.offset, budget, context)
                if error is not None:
                    self._controls.pass_over(record)
                    state.refuse(record, INTERNAL_ERROR, error)
                elif record.key is None and (kind := control_records.kind_of(record)):
                    due = True
                    yield from self._controls.obey(kind, record, budget, context)
                else:
                    self._delivery.deliver(record, budget, context)
                state.verify_writable()
            except UnreadableCustomer as unreadable:
                site = FailureSite(record.offset, "customer", unreadable.customer)
                raise Poisoned(site, unreadable.__cause__ or unreadable) from unreadable
            except Exception as failure:
                raise Poisoned(state.site(record.offset, state.item), failure) from failure
            if len(state.effects) > before:
                self._origins.give(state.effects, before, self._log_epoch, record.offset)
            self._unfinished = due and (budget.left_timers or len(self._broadcasts) > 0)
            state.done_with(record)
            if context.caused or context.moving or context.odd_fields or context.failures:
                state.counts.refused_fields.update(each.field for each in context.odd_fields)
                state.counts.failed_expressions += len(context.failures)
                context = state.context()
            state.work += 1
            if state.work >= PAUSE_EVERY and record is not records[-1]:
                state.worked += state.work
                state.work = 0
                yield state.worked >= PORTION
                context = state.context()  # what there was may have been taken

    def site_of_effect(self, number: int) -> FailureSite:
        """Return where an effect comes from, by its number; the last record was verified."""
        state = self._state
        assert state.trace is not None
        return state.site(state.offset - 1, state.trace.of_effect(number))

    def site_of_state(self, key: bytes) -> FailureSite:
        """Return what has led to the state of a customer; the last record was verified."""
        state = self._state
        assert state.trace is not None
        return state.site(state.offset - 1, state.trace.touched.get(key, RECORD))

    def encoding(self) -> Iterator[None]:
        """Do most of the work of `take` in advance, pausing now and then."""
        yield from self._state.customers.encoding()

    def take(self) -> BatchChanges:
        """Return the changes since the last call. Call it before the store is written, once.

        Raises Unwritable, having changed nothing, when one of them can't be written as bytes.
        """
        state = self._state
        try:
            customers = state.customers.changed()
            products = [state.catalogue.kept(product_id) for product_id in state.changed_products]
        except Exception as error:
            raise Unwritable(str(error)) from error
        state.counts.runs = state.customers.take(customers)
        states: list[tuple[bytes, bytes | None]] = []
        # In front of the customers: it says how far they went; see agents/partition/budget.py.
        layout = self._layout.take(state.offset)
        if layout is not None:
            states.append((LAYOUT_KEY, pack_layout(layout)))
        # So do these: whoever finds one of the new visitors knows that it was new here.
        if births := self._arrivals.take():
            states.append((ARRIVALS_KEY, pack_arrivals(births)))
        if decisions := state.namespaces.take():
            states.append((NAMESPACE_DECISIONS_KEY, pack_namespace_decisions(decisions)))
        begun, ended = self._broadcasts.take()
        states += begun
        states += customers
        # Behind the customers, and so never there without them; see agents/products/catalogue.py.
        # The same holds for the marks: whoever has heard a message has it in a state that is there.
        states += products
        states += state.held_back.take()
        states += self._origins.take()
        states += ended
        progress = self._progress = msgspec.structs.replace(
            self._progress,
            next_offset=state.offset,
            log_time=state.now,
            live=dict(state.versions),
            log_epoch=self._log_epoch,
            set_aside=state.set_aside.left(state.offset),
            broadcasts=self._broadcasts.progress(),
            arrivals=self._arrivals.counts(state.now),
            numbers=dict(self._trust.numbers),
            followed=sorted(state.followed),
            applied_at=self._applied_at(),
            time_rulings=left(self._progress.time_rulings, state.offset),
        )
        state.counts.unsigned, self._trust.unsigned = self._trust.unsigned, Counter()
        changes = BatchChanges(state.effects, states, progress, state.counts)
        state.changed_products = {}
        state.effects = []
        state.counts = BatchCounts()
        state.work = state.worked = 0
        return changes

    def _applied_at(self) -> int:
        """Return the append time of the last record absorbed, as the log has it."""
        given, last = self._given, self._state.offset - 1
        if not given or last < given[0].offset:
            return self._progress.applied_at
        if given[-1].offset == last:
            self._given = ()
            return given[-1].timestamp
        return given[bisect_left(given, last, key=lambda record: record.offset)].timestamp
