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
from schemas.events import Event
from schemas.events.person import CustomerIdentified
from schemas.reference import bare_key, is_visitors, of_visitor
from schemas.reserved import IMPORTED, SOURCES
from schemas.stored import Turn, TurnPlace

_VISITORS_OWN = frozenset({"visitor.linked", "visitor.forgotten"})
"""What is told to visitors only; release 0.1 addressed it by the bare id."""

_NAMING = _VISITORS_OWN | {"visitor.merged", "customer.identified"}
"""What may be for another record than the one whose id it is about."""


class Addressed(NamedTuple):
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
        held: Container[bytes],
        visited: Container[bytes],
        turns: Mapping[TurnPlace, Turn],
        next_offset: int,
    ) -> None:
        """`peek` returns what is kept under a key, None for nothing; `held` are the keys of who is
        held back, `visited` of those at whom the current record has come by already; `turns` is
        what `take` has returned last, of which places from `next_offset` on count."""
        self._peek = peek
        self._held = held
        self._visited = visited
        self._known = {at: turn for at, turn in turns.items() if at.offset >= next_offset}
        self._turns: dict[TurnPlace, Turn] = {}

    def address(
        self, event: Event, key: bytes, offset: int, waited: int | None = None
    ) -> Addressed | None:
        """Return for whom the event is that is applied at `offset`; None: as it is, for the record
        under its `key`, as nearly all are. `waited`: the event's own offset, where it has waited.
        Raises UnreadableCustomer."""
        at = TurnPlace(offset, offset if waited is None else waited)
        if event.anonymous_id is None and event.type not in _NAMING and at not in self._known:
            kept = None if key in self._held else self._peek(key)
            if kept is not None and kept.first_seen and not kept.became:
                return None
        is_theirs = speaker.of_itself(event) or is_visitors(event.customer)
        if is_theirs or event.type in _VISITORS_OWN:
            return self._to_visitor(event, at)
        if event.type == "customer.identified" and self._names_another(event, at):
            self._turns[at] = Turn.TOOK
            return self._to_visitor(event, at)
        if event.type == "visitor.merged" or (
            event.origin is not None and (event.forwarded or event.public)
        ):
            return self._to_either(event, at, exact=True)
        if event.named or (speaker.of_customer(event) and not _is_ours(event)):
            return self._to_customer(event, at)
        return self._to_either(event, at)

    def has_visitor(self, key: bytes, offset: int) -> bool:
        """Whether at this place a visitor is kept whose id is this customer's."""
        visitor = of_visitor(key.decode()).encode()
        return visitor != key and self._is_there(visitor, TurnPlace(offset, offset))

    def take(self) -> dict[TurnPlace, Turn]:
        """Return the places since the last call at which something went to a visitor's record or
        waits for it, and those that are known from further on; nothing when there was none."""
        turns, self._turns = self._turns, {}
        if not turns or not self._known:
            return turns
        latest = max(turns)
        self._known = {at: turn for at, turn in self._known.items() if at > latest}
        return turns | self._known

    def _to_visitor(self, event: Event, at: TurnPlace) -> Addressed:
        reference = of_visitor(event.customer)
        event = addressed_to(reference, event)
        key = reference.encode()
        bare = bare_key(key)
        # What is held back may be the visitor's. It may be released within the same batch.
        if self._known.get(at) is Turn.WAITED or (bare in self._held and not self._is_kept(key)):
            self._turns[at] = Turn.WAITED
            return Addressed(event, bare)
        return Addressed(event, key, self._adopts(key, bare, at))

    def _to_customer(self, event: Event, at: TurnPlace) -> Addressed:
        key = event.customer.encode()
        raw = None if key in self._held else self._peek(key)
        if raw is None or not _was_visitors(raw) or self._is_ahead(raw, key, at):
            return Addressed(event, key)
        adopts = self._adopts(of_visitor(event.customer).encode(), key, at)
        return Addressed(event, key, adopts, begins=not adopts)

    def _to_either(self, event: Event, at: TurnPlace, *, exact: bool = False) -> Addressed:
        """`exact`: one of our actors tells the customer, who needn't be there yet."""
        key = event.customer.encode()
        if key in self._held:
            return Addressed(event, key)
        raw = self._peek(key)
        is_turn = at in self._known
        if not is_turn and raw is not None:
            if _is_known(raw) and not _was_visitors(raw):
                return Addressed(event, key)
            if self._is_ahead(raw, key, at):
                return Addressed(event, key)
        if not is_turn and not _is_known(raw):
            theirs = of_visitor(event.customer).encode()
            if exact or event.anonymous_id is not None or not self._is_there(theirs, at):
                return Addressed(event, key)
        self._turns[at] = Turn.TOOK
        return self._to_visitor(event, at)

    def _names_another(self, event: Event, at: TurnPlace) -> bool:
        """Whether the sender says that whom it is about, and is no customer, is a visitor of some
        customer's."""
        data: CustomerIdentified = event.data
        if data.customer_id in (None, event.customer):
            return False
        if at in self._known:
            return True
        key = event.customer.encode()
        if key in self._held:
            return False
        raw = self._peek(key)
        if raw is None:
            return True
        is_theirs = speaker.is_customers(raw) or data.customer_id in raw.visitors
        return not is_theirs and not self._is_ahead(raw, key, at)

    def _adopts(self, key: bytes, bare: bytes, at: TurnPlace) -> bool:
        """Whether the visitor's record takes the one under the bare id over at this place."""
        if bare in self._held or key in self._held:
            return False
        if self._known.get(at, Turn.ADOPTED) is not Turn.ADOPTED:
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
        self._turns[at] = Turn.ADOPTED
        return True

    def _is_there(self, key: bytes, at: TurnPlace) -> bool:
        """Whether a visitor's record is kept at this place."""
        if key in self._held:
            return True
        visitor = self._peek(key)
        return _is_known(visitor) and not self._is_ahead(visitor, key, at)

    def _is_kept(self, key: bytes) -> bool:
        return key in self._held or _is_known(self._peek(key))

    def _is_ahead(self, customer: Customer | None, key: bytes, at: TurnPlace) -> bool:
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
