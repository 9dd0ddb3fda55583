"""Failure handling of a partition's actors: what fails twice is passed over or held back, reported,
and can be tried again.

Whatever failed twice stands in the progress as a failure site (`schemas/set_aside.py`). There it is
passed over, and a dead letter says so. The letter of a site that isn't a record of its own holds a
`ritorno.retry` record: sent again, it has what was passed over tried at its own offset in the log.
Live and replay know the same sites, and so decide the same.

    record       refused                                     again: as the record that it is
    timer        the runs whose step it was are ended        again: they go on as they were
    told         the customer doesn't learn of the change    again: learns of it
    customer     held back (`held_back.py`)                  again: what has waited is applied
                                                                    (`late_events.py`)
    waiting      refused, the others that waited are not     again: as the record that it is
    definition   not live any more                           again: live, unless another version is
    product      not known any more                          again: known, unless the feed was newer
"""

from __future__ import annotations

from msgspec.structs import replace

from agents.context import Context
from agents.customer import actor, size_guard, speaker
from agents.partition.broadcasts import take_in
from agents.partition.held_back import ERASURES, VISITORS
from agents.partition.late_events import HELD_BACK, LateEvents
from agents.partition.state import PartitionState
from agents.refusals import EventRefused
from schemas.events import Event
from schemas.pending_work import Broadcast
from schemas.records import Record
from schemas.reference import is_visitors
from schemas.retry import Retry, decode_retry
from schemas.topics import CUSTOMER_EVENTS


class FailureHandling:
    """What was set aside in one partition."""

    def __init__(self, state: PartitionState) -> None:
        """`state` knows the places."""
        self._state = state
        self._late = LateEvents(state)

    # Passing over.

    def pass_over(self, record: Record, context: Context) -> None:
        """Do without what is set aside from this record on."""
        state = self._state
        for site in state.set_aside.beginning(record.offset):
            if site.what == "customer":
                state.held_back.hold_back(site.name.encode(), site)
                retry, text = Retry(customer=site.name), "a customer is held back"
            elif site.what == "definition":
                state.leave_out(site.name)
                state.make_live(state.versions, context)
                retry, text = Retry(definition=site.name), f"{site.name} is not live any more"
            else:
                stored = state.forget_product(site.name)
                retry, text = Retry(product=stored or b""), "a product is not known any more"
            state.report(record.offset, text, site.error, retry)

    # Customers who are held back.

    def let_wait(self, event: Event, key: bytes, record: Record) -> None:
        """Keep the event of somebody who is held back until that is over; refuse it if there is no
        room."""
        state = self._state
        if state.held_back.includes(key, record.offset):
            state.counts.events[event.type, "repeated"] += 1
        elif state.held_back.wait(key, record, _share(event, key)):
            state.counts.events[event.type, "waiting"] += 1
        else:
            text = "the customer is held back, and no more events can wait"
            state.refuse(record, HELD_BACK, text)

    def begins_anew(self, event: Event, key: bytes) -> bool:
        """Whether an erasure ends it: what is kept and what waits are to be forgotten anyway. Not
        one of a visitor who may be somebody else than whoever is held back under the bare id."""
        if event.type not in actor.ERASES or event.customer.encode() != key:
            return False
        self._state.held_back.release(key, CUSTOMER_EVENTS, self._state.partition)
        self._state.customers.begin_anew(key)
        return True

    # Trying again.

    def try_again(self, record: Record, context: Context) -> Broadcast | None:
        """Try again what a control record names; return what many customers are to be told of.
        Raises EventRefused."""
        state = self._state
        try:
            retry = decode_retry(record.value)
        except ValueError as error:
            raise EventRefused("invalid_event", str(error)[:200]) from None
        if retry.partition not in (None, state.partition):
            problem = f"partition: it is to be tried again in another (got {retry.partition})"
            raise EventRefused("misplaced", problem)
        retry = replace(retry, partition=None)
        if retry.definition:
            self._make_live_again(retry.definition, context)
        elif retry.product:
            if (id_ := state.catalogue.restore(retry.product, record.offset)) is not None:
                state.changed_products[id_] = None
        elif retry.customer:
            self._try_customer_again(retry, record, context)
        elif retry.news or retry.workflows:
            return Broadcast(record.offset, state.now, retry.news, retry.workflows)
        return None

    def _make_live_again(self, name: str, context: Context) -> None:
        state = self._state
        id_, _, version = name.rpartition("@")
        if id_ not in state.versions:
            state.make_live({**state.versions, id_: version}, context)
            state.note_followed()

    def _try_customer_again(self, retry: Retry, record: Record, context: Context) -> None:
        state, key = self._state, retry.customer.encode()
        bare = retry in (Retry(customer=retry.customer), Retry(retry.customer, afresh=True))
        if key in state.held_back.customers:
            if bare:
                self._late.release(key, retry, record, context)
            else:
                state.refuse(record, HELD_BACK, "the customer is held back: try that again first")
            return
        if bare:
            return
        customer = state.customers.get(key)
        if record.offset <= customer.applied and key not in state.visited:
            return

        def taking() -> bool:
            changed = actor.take_up(customer, retry, context)
            return take_in(customer, state.now, retry.news, retry.follow, context) or changed

        try:
            if size_guard.take_in(customer, len(record.value or b""), context, taking):
                state.note_change(key, customer, record.offset)
        except EventRefused as error:
            state.refuse(record, error.reason, error.detail)


def _share(event: Event, key: bytes) -> float:
    """Return the part of the room that there is up to which an event may wait. Whoever is held back
    may be a customer, and anybody can speak as a visitor of the same id; an erasure is heard."""
    if event.type in actor.ERASES:
        return ERASURES
    return VISITORS if speaker.by_visitor(event) and not is_visitors(key.decode()) else 1
