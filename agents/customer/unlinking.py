"""Undoing a merge that was wrong: an operator says that a visitor is not the customer after all
(`ritorno customer unlink`).

The link ends: what the visitor does from then on is the visitor's again, and neither an identify
nor a sign-in links these two once more. The visitor gets back what it had handed over, as the log
has it, without the runs that it was in: nothing is mailed twice. Of the customer's record all is
taken out that can be told to be the visitor's: what lies in the cart, what was looked at, agreed
to, stated and subscribed to in just these words and at just these instants. What can't be told
apart stays with the customer: what came after the merge, scores, orders with their sums and points,
and the mails that were sent.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.commerce import cart
from agents.context import Context, DomainEvent, Handler
from agents.customer import handover_state
from agents.digests import contains, derived_id, digest
from agents.effects import tell
from agents.links import registration
from agents.refusals import EventRefused
from schemas import stored
from schemas.customer import Customer
from schemas.customer.consent import Evidence, ListAddress
from schemas.customer.links import UNLINKED_BYTES
from schemas.events import Event
from schemas.events.own import VisitorUnlinked
from schemas.reference import id_of, is_visitors, of_visitor

SOURCE = "/ritorno/customers"

_OF_THE_VISITOR = (
    "profile", "consents", "lists", "evidence", "cart", "interests", "tags", "fields", "views",
    "visits", "first_seen", "engagement", "scores", "source", "last_active", "stated",
    "list_addresses",
)  # fmt: skip
"""What a visitor gets back: who it is and what it did, and no runs, mails, orders or coupons."""


def are_unlinked(customer: Customer, other: str) -> bool:
    """Return whether an operator has said that these two are not one person."""
    unlinked = customer.links.unlinked
    return bool(unlinked) and contains(unlinked, digest(id_of(other)))


def unlinked(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """As a customer: take out what was the visitor's. As the visitor: be one again."""
    data: VisitorUnlinked = event.data
    if data.format > stored.FORMAT:
        raise stored.FutureFormat(data.format)
    try:
        visitor = handover_state.unpacked(data.state) if data.state else Customer(key="")
    except ValueError as error:
        raise EventRefused("invalid_event", f"state: {error}"[:200]) from None
    if is_visitors(customer.key):
        return _be_visitor(customer, data, visitor, event, context)
    visitor_id = id_of(data.anonymous_id)
    _note(customer, visitor_id)
    if visitor_id in customer.visitors:
        customer.visitors.remove(visitor_id)
    _tell_visitor(customer, data, event, context)
    return _take_out(customer, visitor, event, context) if data.state else []


def _be_visitor(
    customer: Customer, data: VisitorUnlinked, visitor: Customer, event: Event, context: Context
) -> list[DomainEvent]:
    _note(customer, data.customer_id)
    if customer.became != data.customer_id:
        return []
    customer.became = ""
    for name in _OF_THE_VISITOR if data.state else ():
        setattr(customer, name, getattr(visitor, name))
    registration.take_up(customer, visitor, event, context)
    return []


def _take_out(
    customer: Customer, visitor: Customer, event: Event, context: Context
) -> list[DomainEvent]:
    """Take out what is the visitor's and stands there just as the visitor has brought it."""
    customer.views = max(0, customer.views - visitor.views)
    customer.visits = max(0, customer.visits - visitor.visits)
    _take_traits(customer, visitor)
    for name in ("interests", "tags"):
        mine, theirs = getattr(customer, name), getattr(visitor, name)
        for key in [key for key in theirs if key in mine and mine[key] == theirs[key]]:
            del mine[key]
    _take_lists(customer, visitor)
    brought = {_identity(each) for each in visitor.evidence}
    customer.evidence = [each for each in customer.evidence if _identity(each) not in brought]
    agreed = customer.consents.get("marketing")
    for purpose, said in visitor.consents.items():
        mine = customer.consents.get(purpose)
        if mine is not None and (mine.event_id, mine.time) == (said.event_id, said.time):
            del customer.consents[purpose]
    registration.hand_back(customer, visitor, event, context)
    occurred = _take_lines(customer, visitor)
    if agreed is not None and agreed.given and "marketing" not in customer.consents:
        ended = {"purpose": "marketing"}
        occurred.append(DomainEvent("consent.withdrawn", context.now, data=ended))
    return occurred


def _identity(evidence: Evidence) -> tuple[str, str, int]:
    """What a statement is known by: whether it is taken for the shop's word the merge may have
    changed."""
    return evidence.purpose, evidence.event_id, evidence.time


def _take_lists(customer: Customer, visitor: Customer) -> None:
    """A list is the visitor's if the last word on it is: it may have been joined by the merge, or
    be the visitor's address's alone since."""
    for name, theirs in visitor.lists.items():
        mine = customer.lists.get(name)
        if mine is not None and (mine.subscribed, mine.time) == (theirs.subscribed, theirs.time):
            del customer.lists[name]
    apart = {
        name: ListAddress(visitor.profile.email, each.time)
        for name, each in visitor.lists.items()
        if each.subscribed and each.pending
    }
    for name, address in (*visitor.list_addresses.items(), *apart.items()):
        known = customer.list_addresses.get(name)
        if known is not None and (known.email, known.time) == (address.email, address.time):
            del customer.list_addresses[name]


def _take_traits(customer: Customer, visitor: Customer) -> None:
    """A trait is the visitor's if it was stated at the same instant by the same event."""
    for name, said in visitor.stated.items():
        if customer.stated.get(name) != said:
            continue
        group, _, field = name.partition(".")
        if group == "hints":
            if field not in customer.stated:
                setattr(customer.profile, field, "")
        elif field:
            getattr(customer, group).pop(field, None)
        else:
            setattr(customer.profile, name, "")
        if name == "email":
            customer.profile.ground = ""
        del customer.stated[name]


def _take_lines(customer: Customer, visitor: Customer) -> list[DomainEvent]:
    """Take out of the cart what the visitor has put there, if it is the cart still."""
    if not visitor.cart.lines or visitor.cart.changed < customer.cart.cleared:
        return []
    return cart.take_out(customer.cart, visitor.cart.lines)


def _note(customer: Customer, other: str) -> None:
    hashed = digest(id_of(other))
    if not contains(customer.links.unlinked, hashed):
        kept = customer.links.unlinked + hashed
        customer.links.unlinked = kept[-UNLINKED_BYTES:]


def _tell_visitor(
    customer: Customer, data: VisitorUnlinked, event: Event, context: Context
) -> None:
    receiver = of_visitor(data.anonymous_id)
    id_ = derived_id(event.id, event.type, receiver)
    message = tell(receiver, event.type, data, id_=id_, source=SOURCE, time=context.now)
    context.effects.append(message)


HANDLERS: Mapping[str, Handler] = {
    "visitor.unlinked": unlinked,
}
