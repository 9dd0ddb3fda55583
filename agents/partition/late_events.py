"""The events of a customer who was held back, applied when what is kept can be read again.

Each event goes where it would have gone: under a customer's id a visitor's may wait. And who was
erased meanwhile is not told anything by what had waited.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from agents.context import Context
from agents.customer import actor, identity, size_guard, speaker
from agents.definitions.custom_events import as_declared
from agents.effects import Effect
from agents.partition.batch import FailureSite
from agents.partition.customers import UnreadableCustomer
from agents.partition.failure_site import WorkItem
from agents.partition.namespaces import addressed_to
from agents.partition.state import INTERNAL_ERROR, PartitionState
from agents.refusals import EventRefused
from schemas.customer import Customer
from schemas.events import Event
from schemas.records import Record
from schemas.reference import is_visitors
from schemas.retry import Retry
from schemas.topics import CUSTOMER_EVENTS
from schemas.validation import Unreadable

HELD_BACK = "held_back"
"""Reason of a dead letter: no room for what waits because of a defect, or nobody to apply it."""


class LateEvents:
    """Applies what has waited in one partition."""

    def __init__(self, state: PartitionState) -> None:
        """`state` knows who is held back."""
        self._state = state

    def release(self, key: bytes, retry: Retry, record: Record, context: Context) -> None:
        """Apply what has waited, if what is kept can be read now.

        The record under a customer's id is written behind a visitor's of the same: where it is, so
        is the other. Raises UnreadableCustomer.
        """
        state, offset = self._state, record.offset
        if state.set_aside.error(FailureSite(offset, "customer", retry.customer)) is not None:
            return  # it can't: the customer stays held back
        state.begin_item(WorkItem("customer", retry.customer))
        customer = self._fresh_or_kept(key, retry, offset)
        waiting, damaged = state.held_back.release(key, CUSTOMER_EVENTS, state.partition)
        if offset <= customer.applied:  # before a crash all this was done
            state.timers.schedule(key, customer.due())
            return
        for place in damaged:
            lost = Record(CUSTOMER_EVENTS, state.partition, place, state.now, key, None)
            state.refuse(lost, INTERNAL_ERROR, "what is kept of this event can't be read")
        applied = customer.applied
        state.note_change(key, customer, offset)
        state.visited.add(key)
        events = [(each, event) for each in waiting if (event := self._read(each, offset))]
        erasures = _erasures(events)
        for each, event in events:
            state.begin_item(WorkItem("waiting", str(each.offset)))
            erased = {name for name, last in erasures.items() if last > each.offset}
            try:
                self._apply(key, applied, each, event, erased, offset, context)
            except (Unreadable, EventRefused) as refusal:
                state.refuse(each, refusal.reason, refusal.detail)
        state.begin_item(WorkItem("customer", retry.customer))
        customer = state.customers.get(key)
        state.customers.note_left(key, customer)
        state.timers.schedule(key, customer.due())

    def _fresh_or_kept(self, key: bytes, retry: Retry, offset: int) -> Customer:
        try:
            kept = self._state.customers.get(key)
        except UnreadableCustomer:
            if not retry.afresh:
                raise
        else:
            if not retry.afresh or kept.applied >= offset:
                return kept
        return self._state.customers.begin_anew(key)

    def _read(self, each: Record, offset: int) -> Event | None:
        """Return an event that has waited until the record at `offset`; None when it is refused."""
        state, waiting = self._state, WorkItem("waiting", str(each.offset))
        state.begin_item(waiting)
        error = state.set_aside.error(FailureSite(offset, *waiting))
        if error is not None:
            state.refuse(each, INTERNAL_ERROR, error)
            return None
        try:
            event = state.parse(each)
        except Unreadable as refusal:
            state.refuse(each, refusal.reason, refusal.detail)
            return None
        return event if event.time is not None else event._replace(time=each.timestamp)

    def _apply(
        self,
        held: bytes,
        applied: int,
        each: Record,
        event: Event,
        erased: Container[str],
        offset: int,
        context: Context,
    ) -> None:
        """Apply an event at `offset` that has waited at the record `held`, of which `applied` was
        the last one. Raises EventRefused, having changed nothing."""
        state = self._state
        declared = as_declared(event, context.live)
        if declared is None:
            state.counts.undeclared[event.type] += 1
            return
        event, key = self._address(held, each, declared, offset)
        if key == held and each.offset <= applied:
            return  # ahead of the log already when a crash came and the next could not read
        if key in state.held_back.customers:
            raise EventRefused(HELD_BACK, "it is for another who is held back")
        customer = state.customers.get(key)
        if key not in state.visited and offset <= customer.applied:  # before a crash it was done
            state.counts.events[event.type, "repeated"] += 1
            return
        state.visited.add(key)
        context.size = len(each.value or b"")
        was_customers = customer.heard == 0 and speaker.was_customers(customer)
        if identity.becomes(customer, event) in erased and not customer.became:
            actor.forget(customer, context)  # it was the one's who is erased
        effects, odd_before = len(context.effects), len(context.odd_fields)
        new = size_guard.receive(customer, event, context)
        told = context.effects[effects:]
        context.effects[effects:] = [each for each in told if not _tells(each, erased)]
        if customer.first_seen:
            customer.heard = state.forgetting.today
            customer.is_customer |= was_customers
        state.note_change(key, customer, offset)
        state.counts.events[event.type, "applied" if new else "repeated"] += 1
        odd = context.odd_fields[odd_before:]
        if (event.odd or odd) and new:
            state.counts.note_odd(event, odd)

    def _address(self, held: bytes, each: Record, event: Event, offset: int) -> tuple[Event, bytes]:
        """Return an event that has waited as the one that it is for its record, and its key."""
        if is_visitors(held.decode()):
            return addressed_to(held.decode(), event), held
        whom = self._state.namespaces.address(event, event.customer.encode(), offset, each.offset)
        if whom is None:
            return event, held
        if whom.adopts:
            self._state.adopt(held, offset)
        elif whom.begins:
            self._state.begin(held, offset)
        return whom.event, whom.key


def _erasures(events: Iterable[tuple[Record, Event]]) -> dict[str, int]:
    """Return the customers of whose erasure a visitor is told by these events, and where last."""
    told = ((each, event) for each, event in events if event.type == "visitor.forgotten")
    return {event.data.customer_id: each.offset for each, event in told}


def _tells(effect: Effect, customers: Container[str]) -> bool:
    """Whether it tells one of these customers something."""
    content = effect.content
    return isinstance(content, Event) and content.customer in customers
