"""A record's way to its customer: read it, see whose it is, let the actor receive it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from agents.authentication import Trust
from agents.context import Context
from agents.customer import actor, size_guard, speaker
from agents.customer.visitors import Arrivals, is_nobody, may_be_refused
from agents.definitions.custom_events import as_declared
from agents.effects import move
from agents.partition.batch import TracedEvent
from agents.partition.budget import Budget
from agents.partition.due_work import DueWork
from agents.partition.failure_handling import FailureHandling
from agents.partition.origins import Origins
from agents.partition.state import PartitionState
from agents.refusals import EventRefused
from schemas.customer import Customer
from schemas.events import Event
from schemas.origin import HEADER as ORIGIN
from schemas.records import OutRecord, Record
from schemas.reference import bare_key, of_visitor
from schemas.reserved import is_anybodys
from schemas.signing import NUMBER
from schemas.validation import Unreadable
from schemas.wire import check_headers

HOMES = 10_000
"""Customers whose partition is remembered, as many as are decoded: what was made out once isn't at
each event. 2 MB."""


class EventDelivery:
    """Delivers events to the customers of one partition."""

    def __init__(
        self,
        state: PartitionState,
        home: Callable[[bytes], int] | None,
        trust: Trust,
        origins: Origins,
        arrivals: Arrivals,
        due: DueWork,
        failures: FailureHandling,
    ) -> None:
        """`home` tells the partition a key belongs to; None trusts the producers. `trust` tells who
        is believed, `origins` what was heard before, `arrivals` whether there is room for one more
        visitor; `due` and `failures` are the parts that customers may need before their event."""
        self._state = state
        self._home = lru_cache(HOMES)(home) if home is not None else None
        self._trust = trust
        self._origins = origins
        self._arrivals = arrivals
        self._due = due
        self._failures = failures
        self._customers = state.customers
        self._visited = state.visited
        self._held_back = state.held_back
        self._namespaces = state.namespaces

    def deliver(self, record: Record, budget: Budget, context: Context) -> None:
        """Apply a record to its customer; what makes no sense becomes a dead letter."""
        state = self._state
        try:
            event = state.parse(record)
            number = None if is_anybodys(event) else self._trust.check_event(event, record)
            key = event.customer.encode()
            elsewhere = self._home is not None and self._home(key) != state.partition
            if elsewhere and (event.origin is not None or number is not None):
                # A new origin would make news of it where it was heard long ago.
                name = NUMBER if event.origin is None else ORIGIN
                raise Unreadable("misplaced", f"{name}: it was told to another partition")
            if event.origin is not None and not self._origins.is_news(event.origin, record.offset):
                state.counts.events[event.type, "repeated"] += 1
                return
            if number is not None:
                self._trust.use_up(number)
            if elsewhere:
                check_headers(record)  # ours come on top of them
                state.effects.append(move(OutRecord(*record[4:]), key))
                state.counts.events[event.type, "moved"] += 1
                return
            declared = as_declared(event, context.live)
            if declared is None:
                state.counts.undeclared[event.type] += 1
                state.counts.events[event.type, "undeclared"] += 1
                return
            event = declared
            whom = self._namespaces.address(event, key, record.offset)
            if whom is not None:
                event, key = whom.event, whom.key
                if whom.adopts:
                    self._adopt(bare_key(key), record.offset, budget, context)
                elif whom.begins:
                    state.begin(key, record.offset)
            if key in self._held_back.customers and not self._failures.begins_anew(event, key):
                self._failures.let_wait(event, key, record)
                return
            context.size = len(record.value or b"")
            if event.type in actor.ERASES:
                context.has_visitor = self._namespaces.has_visitor(key, record.offset)
            self._apply(event, key, record.offset, budget, context)
            if event.traceparent:
                traced = TracedEvent(event.traceparent, event.type, *record[2:4])
                state.counts.traced.append(traced)
        except (Unreadable, EventRefused) as error:
            state.refuse(record, error.reason, error.detail)

    def _adopt(self, bare: bytes, offset: int, budget: Budget, context: Context) -> None:
        """Let the visitor's record take over the one in doubt, of the same id, and brought up."""
        raw = self._customers.get(bare)
        if self._customers.get(of_visitor(bare.decode()).encode()).applied < offset:
            self._due.bring_up(bare, raw, offset, budget, context)
        self._state.adopt(bare, offset)

    def _apply(
        self, event: Event, key: bytes, offset: int, budget: Budget, context: Context
    ) -> None:
        state = self._state
        customer, counts = self._customers.get(key), state.counts
        if offset <= customer.applied and key not in self._visited:
            self._arrivals.repeat(event, offset, state.now)
            counts.events[event.type, "repeated"] += 1
            return
        self._due.bring_up(key, customer, offset, budget, context)
        before, became = customer.engagement.value, customer.became
        odd_before = len(context.odd_fields)
        was_customers = customer.heard == 0 and speaker.was_customers(customer)
        if customer.first_seen or became:
            new = size_guard.receive(customer, event, context)
        elif self._arrive(customer, event, offset, context):
            new = True
        else:
            counts.events[event.type, "dropped"] += 1
            return
        if customer.first_seen:
            customer.heard = state.forgetting.today
            customer.is_customer |= was_customers
        state.note_change(key, customer, offset)
        result = "repeated" if not new else "forwarded" if became else "applied"
        if context.ignored:
            counts.ignored.update(context.ignored)
            context.ignored.clear()
            result = result if new and customer.first_seen else "ignored"
        if context.shared_by_many:
            counts.shared_by_many.update(context.shared_by_many)
            context.shared_by_many.clear()
        counts.events[event.type, result] += 1
        odd = context.odd_fields[odd_before:]
        if (event.odd or odd) and new:
            counts.note_odd(event, odd)
        counts.ages.append(state.now - context.when(event.time))
        after = customer.engagement.value
        if after != before:
            counts.scores["up" if after > before else "down"] += 1

    def _arrive(self, customer: Customer, event: Event, offset: int, context: Context) -> bool:
        """Receive the first event of somebody; return False when there is no room for a visitor,
        of whom nothing is left then."""
        state = self._state
        is_full = self._arrivals.is_full(event, state.now)
        if is_full and may_be_refused(event):
            return False
        effects = len(state.effects)
        size_guard.receive(customer, event, context)
        if not customer.first_seen or not is_nobody(customer):
            return True
        if is_full:
            customer.become(Customer(key=customer.key, applied=customer.applied))
            del state.effects[effects:]
            return False
        self._arrivals.admit(event, offset, state.now)
        return True
