"""Which record an event is for: a customer's or a visitor's (`schemas/reference.py`).

    declared visitor        the visitor's record
    the shop, of a customer the customer's record, whoever has claimed the id as a visitor's
    ours, by reference      the record that it names
    undeclared              the customer's if there is one, else the visitor's, else a new one

A new record of the last kind is *in doubt*, as those of release 0.1 are, which knew no namespaces:
the shop may speak of it as a customer yet, and then it is one for ever. Or it turns out to be a
visitor's: it is *adopted* when a visitor of that id speaks or is spoken to, whole and at once. So a
record that is a customer's never becomes another's, and whoever claims an id as a visitor's before
the shop has spoken of its customer has claimed a visitor.

That depends on what is kept at the record, and after a crash one of the two may be ahead of the
log. So the places at which a visitor's record took what came under the bare id, or took the record
over, or at which what is a visitor's had to wait at a record that can't be read, are written in
front of the customers, and followed when they are read again. Who is ahead without such a place was
not concerned. What is adopted is written before what is left of the other record: there is no
moment at which both are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import NamedTuple

from agents.customer import speaker
from schemas.customer import Customer
from schemas.events import EVENT_TYPES, IDENTIFYING_TYPES, LINK_TYPES, Event
from schemas.events.person import CustomerIdentified
from schemas.reference import bare_key, is_visitors, of_visitor
from schemas.reserved import IMPORTED, SOURCES
from schemas.stored import NamespaceDecision, NamespaceEvent

_VISITORS_OWN = frozenset(each.name for each in EVENT_TYPES.values() if each.visitors_own)
"""What is told to visitors only; release 0.1 addressed it by the bare id."""

_EXACT = LINK_TYPES | {"visitor.merged"}
"""What one of our actors tells another by its reference, which needn't be there yet or any more."""

_NAMING = _VISITORS_OWN | IDENTIFYING_TYPES | {"visitor.merged"}
"""What may be for another record than the one whose id it is about."""


class AddressedEvent(NamedTuple):
    """An event and the record that it is for."""

    event: Event
    """It names whom it is about by reference."""
    key: bytes
    adopts: bool = False
    """The visitor's record takes over the one in doubt first."""
    begins: bool = False
    """What is kept under the bare id is left of a visitor of release 0.1 who has a record of its
    own: the customer begins anew."""


class Namespaces:
    """Those of one partition."""

    def __init__(
        self,
        peek: Callable[[bytes], Customer | None],
        held_back: Container[bytes],
        visited: Container[bytes],
        decisions: Mapping[NamespaceEvent, NamespaceDecision],
        next_offset: int,
    ) -> None:
        """`peek` returns what is kept under a key, None for nothing; `held_back` are the keys of
        who is held back, `visited` of those at whom the current record has come by already;
        `decisions` is what `take` has returned last, of which those from `next_offset` on
        count."""
        self._peek = peek
        self._held_back = held_back
        self._visited = visited
        self._known = {
            at: decision for at, decision in decisions.items() if at.offset >= next_offset
        }
        self._decisions: dict[NamespaceEvent, NamespaceDecision] = {}

    def address(
        self, event: Event, key: bytes, offset: int, waited: int | None = None
    ) -> AddressedEvent | None:
        """Return for whom the event is that is applied at `offset`; None: as it is, for the record
        under its `key`, as nearly all are. `waited`: the event's own offset, where it has waited.
        Raises UnreadableCustomer."""
        at = NamespaceEvent(offset, offset if waited is None else waited)
        if event.anonymous_id is None and event.type not in _NAMING and at not in self._known:
            kept = None if key in self._held_back else self._peek(key)
            if kept is not None and kept.first_seen and not kept.became:
                return None
        is_theirs = speaker.of_itself(event) or is_visitors(event.customer)
        if is_theirs or event.type in _VISITORS_OWN:
            return self._to_visitor(event, at)
        if event.type in IDENTIFYING_TYPES and self._names_another(event, at):
            self._decisions[at] = NamespaceDecision.TOOK
            return self._to_visitor(event, at)
        if event.type in _EXACT or (event.origin is not None and (event.forwarded or event.public)):
            return self._to_either(event, at, exact=True)
        if event.named or (speaker.of_customer(event) and not _is_ours(event)):
            return self._to_customer(event, at)
        return self._to_either(event, at)

    def has_visitor(self, key: bytes, offset: int) -> bool:
        """Whether at this record a visitor is kept whose id is this customer's."""
        visitor = of_visitor(key.decode()).encode()
        return visitor != key and self._is_there(visitor, NamespaceEvent(offset, offset))

    def take(self) -> dict[NamespaceEvent, NamespaceDecision]:
        """Return the records since the last call at which something went to a visitor's record or
        waits for it, and those that are known from further on; nothing when there was none."""
        decisions, self._decisions = self._decisions, {}
        if not decisions or not self._known:
            return decisions
        latest = max(decisions)
        self._known = {at: decision for at, decision in self._known.items() if at > latest}
        return decisions | self._known

    def _to_visitor(self, event: Event, at: NamespaceEvent) -> AddressedEvent:
        reference = of_visitor(event.customer)
        event = addressed_to(reference, event)
        key = reference.encode()
        bare = bare_key(key)
        # What is held back may be the visitor's. It may be released within the same batch.
        if self._known.get(at) is NamespaceDecision.WAITED or (
            bare in self._held_back and not self._is_kept(key)
        ):
            self._decisions[at] = NamespaceDecision.WAITED
            return AddressedEvent(event, bare)
        return AddressedEvent(event, key, self._adopts(key, bare, at))

    def _to_customer(self, event: Event, at: NamespaceEvent) -> AddressedEvent:
        key = event.customer.encode()
        raw = None if key in self._held_back else self._peek(key)
        if raw is None or not _was_visitors(raw) or self._is_ahead(raw, key, at):
            return AddressedEvent(event, key)
        adopts = self._adopts(of_visitor(event.customer).encode(), key, at)
        return AddressedEvent(event, key, adopts, begins=not adopts)

    def _to_either(
        self, event: Event, at: NamespaceEvent, *, exact: bool = False
    ) -> AddressedEvent:
        """`exact`: one of our actors tells the customer, who needn't be there yet."""
        key = event.customer.encode()
        if key in self._held_back:
            return AddressedEvent(event, key)
        raw = self._peek(key)
        is_decided = at in self._known
        if not is_decided and raw is not None:
            if _is_known(raw) and not _was_visitors(raw):
                return AddressedEvent(event, key)
            if self._is_ahead(raw, key, at):
                return AddressedEvent(event, key)
        if not is_decided and not _is_known(raw):
            theirs = of_visitor(event.customer).encode()
            if exact or event.anonymous_id is not None or not self._is_there(theirs, at):
                return AddressedEvent(event, key)
        self._decisions[at] = NamespaceDecision.TOOK
        return self._to_visitor(event, at)

    def _names_another(self, event: Event, at: NamespaceEvent) -> bool:
        """Whether the sender says that whom it is about, and is no customer, is a visitor of some
        customer's."""
        data: CustomerIdentified = event.data
        if data.customer_id in (None, event.customer):
            return False
        if at in self._known:
            return True
        key = event.customer.encode()
        if key in self._held_back:
            return False
        raw = self._peek(key)
        if raw is None:
            return True
        is_theirs = speaker.is_customers(raw) or data.customer_id in raw.visitors
        return not is_theirs and not self._is_ahead(raw, key, at)

    def _adopts(self, key: bytes, bare: bytes, at: NamespaceEvent) -> bool:
        """Whether the visitor's record takes the one under the bare id over at this record."""
        if bare in self._held_back or key in self._held_back:
            return False
        if self._known.get(at, NamespaceDecision.ADOPTED) is not NamespaceDecision.ADOPTED:
            return False
        if at not in self._known:
            visitor = self._peek(key)
            if visitor is not None and (_is_known(visitor) or self._is_ahead(visitor, key, at)):
                return False
        raw = self._peek(bare)
        if raw is None or not _is_known(raw) or speaker.is_customers(raw):
            return False
        if self._is_ahead(raw, bare, at):
            return False
        self._decisions[at] = NamespaceDecision.ADOPTED
        return True

    def _is_there(self, key: bytes, at: NamespaceEvent) -> bool:
        """Whether a visitor's record is kept at this record."""
        if key in self._held_back:
            return True
        visitor = self._peek(key)
        return _is_known(visitor) and not self._is_ahead(visitor, key, at)

    def _is_kept(self, key: bytes) -> bool:
        return key in self._held_back or _is_known(self._peek(key))

    def _is_ahead(self, customer: Customer | None, key: bytes, at: NamespaceEvent) -> bool:
        return customer is not None and customer.applied >= at.offset and key not in self._visited


def addressed_to(reference: str, event: Event) -> Event:
    """Return an event that is for a visitor's record as one that names it by reference."""
    if not is_visitors(reference) or event.customer == reference:
        return event
    anonymous = reference if speaker.of_itself(event) else event.anonymous_id
    return event._replace(customer=reference, anonymous_id=anonymous)


def _is_known(customer: Customer | None) -> bool:
    return customer is not None and bool(customer.first_seen or customer.became)


def _was_visitors(customer: Customer) -> bool:
    """Whether a record under a bare id is one of release 0.1's, of a visitor who became somebody:
    customers never do."""
    return bool(customer.became) and not speaker.is_customers(customer)


def _is_ours(event: Event) -> bool:
    """Whether our pages or our mailer speak, of whom a mail was for."""
    return event.source.startswith(SOURCES) and event.source != IMPORTED
