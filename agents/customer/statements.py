"""When what is known of a person was stated: of each trait the newest statement counts, in
whatever order they arrive, from events as from an import or a merge.

A statement's time is that at which it was made; of two at the same instant the one whose event's id
has the higher hash counts, so that the order of arrival decides nothing. What the shop says of a
customer stands before what somebody has typed. A trait that was taken away keeps the time of that,
or an older statement would bring it back. Of what was kept before times were, any statement is
newer.
"""

from __future__ import annotations

from agents.context import Context
from agents.customer import speaker
from agents.digests import digest
from schemas.bounds import kept_bytes, largest
from schemas.customer import Customer
from schemas.customer.person import STATED_TOTAL_BYTES, StatedAt, StatedName
from schemas.events import Event

_LAST_TIE = 0xFFFFFFFF

_LARGEST = largest(StatedName) + largest(StatedAt)


def of(event: Event, context: Context, *, typed: bool = False) -> StatedAt:
    """Return when what an event says was stated. `typed`: it brings along what somebody typed,
    whoever sends it."""
    tie = int.from_bytes(digest(event.id)[:4], "big")
    return StatedAt(context.when(event.time), tie, typed or speaker.typed(event))


def of_step(context: Context) -> StatedAt:
    """Return when a workflow's step says something: it comes after the event that it follows."""
    return StatedAt(context.now, _LAST_TIE, typed=False)


def is_newest(
    customer: Customer, name: StatedName, said: StatedAt, *, known: bool, gives: bool
) -> bool:
    """Return whether a statement is the newest on a trait. `known`: there is a value; `gives`: the
    statement is a value, and takes none away."""
    last = customer.stated.get(name)
    if last is None:
        return not (known and said.typed and speaker.is_customers(customer))
    if said.typed == last.typed:
        return is_later(said, last)
    if last.typed:
        return gives or is_later(said, last)
    return not known and is_later(said, last)


def is_later(said: StatedAt, last: StatedAt | None) -> bool:
    """Return whether a statement was made after the last one, or is the same."""
    return last is None or (said.time, said.tie) >= (last.time, last.tie)


def note(customer: Customer, name: StatedName, said: StatedAt) -> None:
    """Remember when a trait was stated; without room the oldest times give way."""
    stated = customer.stated
    stated[name] = said
    if len(stated) * _LARGEST > STATED_TOTAL_BYTES:
        while kept_bytes(stated) > STATED_TOTAL_BYTES:
            del stated[min(stated, key=lambda each: (stated[each].time, stated[each].tie, each))]
