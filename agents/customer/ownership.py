"""Whose record it is where a customer and a visitor have the same id: for exports and erasures.

What shops publish lies under the bare id, whoever it is about; what our own actors, the mailer and
its links say, under the reference (`schemas/reference.py`). Who asks for all that there is of one
of the two must not get what is the other's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from agents.customer import speaker
from schemas.events import Event
from schemas.records import Record
from schemas.reference import both, id_of, is_visitors
from schemas.validation import Unreadable
from schemas.wire import parse_record


class RecordOwnership:
    """Knows what is somebody's, who may have several references."""

    def __init__(self, references: Iterable[str], taken: Collection[str] = ()) -> None:
        """`taken` are the ids, of those of the visitors among `references`, under which a customer
        is kept, too: what nobody has declared to be a visitor's is the customer's there."""
        self.references = frozenset(references)
        self._taken = frozenset(taken)

    @property
    def keys(self) -> frozenset[bytes]:
        """The keys under which there may be anything."""
        return frozenset(key.encode() for each in self.references for key in (each, id_of(each)))

    def is_named(self, reference: str) -> bool:
        """Whether it is what one of ours names: a command, a decision, a signal."""
        if reference in self.references:
            return True
        return reference not in self._taken and both(reference)[1] in self.references

    def is_about(self, event: Event) -> bool:
        """Whether an event is somebody's."""
        customer, visitor = both(event.customer)
        if is_visitors(event.customer) or speaker.of_itself(event):
            return visitor in self.references
        if customer in self.references:
            return True
        theirs = visitor in self.references and event.customer not in self._taken
        return theirs and not speaker.of_customer(event)

    def has(self, record: Record) -> bool:
        """Whether a record of `customer-events`, or the dead letter of one, is somebody's."""
        if record.key is None or record.key not in self.keys:
            return False
        try:
            return self.is_about(parse_record(record))
        except Unreadable:
            return self.is_named(record.key.decode())
