"""The size guard: refuses what would let a customer's record outgrow its budget, beside the bounds
of its fields (`schemas/bounds.py`).

The bounds add up to less than `RECORD_BYTES`; this is for the day on which one of them is not kept
to. Whoever would outgrow the budget all the same stays as it was: the event is refused, a timer is
given up, a change in the feed is not told, and the partition goes on.

To measure a record at each event would double what an event costs. So the record itself keeps an
upper estimate, `weight`: what it came to when it was measured last, and since then four times the
bytes of each event, or of what it was told, and a little. Only when that reaches the budget it is
measured again, before and after what happens. All of this stands in the record, so that it is the
same wherever a batch ends, a crash falls or a cache is full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from agents.context import Context
from agents.customer import actor, consent
from agents.refusals import EventRefused
from schemas.bounds import RECORD_BYTES, brought_within, kept_bytes
from schemas.customer import Customer
from schemas.events import EVENT_TYPES, Event
from schemas.pending_work import CatalogueChange

REASON = "record_full"

_GROWTH = 4
"""Bytes that a record may grow by for each byte of an event: a property is kept in a few places."""
_AT_LEAST = 1_024
"""Bytes that it may grow by besides, for an event, a timer or a broadcast: runs begin, mails are
commanded."""

LAST_RESORT = RECORD_BYTES + RECORD_BYTES // 2
"""What only takes away is taken up to here, which a log still takes: an objection, an erasure."""

_TAKES_AWAY = frozenset(each.name for each in EVENT_TYPES.values() if each.takes_away)

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Customer)
_NEVER: Final = object()


class _Outgrown(EventRefused):
    """The record would outgrow its budget: said here, and by nobody else."""


def receive(customer: Customer, event: Event, context: Context) -> bool:
    """Let the actor receive an event; see `agents/customer/actor.py`.

    Raises EventRefused, having changed nothing, also when the record would outgrow its budget.
    """
    weight = customer.weight + context.size * _GROWTH + _AT_LEAST
    if weight > RECORD_BYTES or not (customer.weight or not customer.first_seen):
        most = LAST_RESORT if event.type in _TAKES_AWAY else RECORD_BYTES
        return _measured(customer, context, lambda: actor.receive(customer, event, context), most)
    new = actor.receive(customer, event, context)
    if customer.first_seen:  # of whom nothing is known there is nothing to weigh
        customer.weight = weight
    return new


def wake(customer: Customer, context: Context) -> None:
    """Fire the timers that are due; give them up when the record would outgrow its budget. What
    else one of them raises is a defect, and passes."""
    weight = customer.weight + _AT_LEAST
    if weight <= RECORD_BYTES and customer.weight:
        actor.wake(customer, context)
        customer.weight = weight
        return
    try:
        _measured(customer, context, lambda: actor.wake(customer, context))
    except _Outgrown:
        actor.give_up(customer, context)
        customer.weight = kept_bytes(customer)


def take_in(customer: Customer, size: int, context: Context, taking: Callable[[], bool]) -> bool:
    """Let the actor take in what isn't an event of its own: a change in the feed, another version,
    runs that go on. `taking` does it and returns whether anything has changed; `size` is what it
    takes in, bytes.

    Raises EventRefused, having changed nothing, when the record would outgrow its budget.
    """
    weight = customer.weight + size * _GROWTH + _AT_LEAST
    if weight > RECORD_BYTES or not customer.weight:
        # Nor is it brought within its bounds: who isn't changed isn't written.
        return _measured(customer, context, taking, undone=False)
    changed = taking()
    if changed:
        customer.weight = weight
    return changed


def size_of(changes: Iterable[CatalogueChange]) -> int:
    """Return what is taken in with these changes, bytes."""
    return sum(
        len(text.encode())
        for each in changes
        for text in (each.product_id, each.name, each.category, each.about)
    )


_Result = TypeVar("_Result")


def _measured(
    customer: Customer,
    context: Context,
    doing: Callable[[], _Result],
    most: int = RECORD_BYTES,
    *,
    undone: object = _NEVER,
) -> _Result:
    """Do something to a record of which it isn't known that there is room, and measure it before
    and after. What returns `undone` has done nothing, and leaves the record as it was.

    Raises EventRefused, having changed nothing, when the record has come to more than `most` bytes
    and to more than before.
    """
    before, effects = _ENCODER.encode(customer), len(context.effects)
    _bring_within(customer, before)
    try:
        result = doing()
        if result is undone:
            _undo(customer, before, effects, context)
            return result
        after = kept_bytes(customer)
        if after > max(most, len(before)):
            text = f"{after} bytes to be kept of one customer, at most {most}"
            raise _Outgrown(REASON, text)
    except EventRefused:
        _undo(customer, before, effects, context)
        raise
    if customer.first_seen:
        customer.weight = after
    return result


def _bring_within(customer: Customer, stored: bytes) -> None:
    """A record that release 0.1 has kept may be larger than its fields may hold now."""
    if len(stored) > RECORD_BYTES:
        consent.bring_within(customer)
        customer.become(brought_within(customer))


def _undo(customer: Customer, before: bytes, effects: int, context: Context) -> None:
    customer.become(_DECODER.decode(before))
    del context.effects[effects:]
    context.caused.clear()
    context.moving.clear()
    context.ignored.clear()
