"""Who speaks in an event, a visitor about itself or the shop about a customer, and what each may
say.

A record is a customer's once the shop has spoken of it as one, and stays that for ever: it never
becomes somebody else's because an `anonymousId`, a `previousId` or a link names it, and nothing
that a visitor says, or the public, moves what is the customer's. Release 0.1 did not keep who has
spoken: what it has kept with an order or a consent is a customer's. Of the rest of that, and of
undeclared keys, it is in doubt until the shop speaks.
"""

from __future__ import annotations

from agents.customer.visitors import LOOKING
from agents.refusals import EventRefused
from schemas.customer import Customer
from schemas.events import EVENT_TYPES, IDENTIFYING_TYPES, Event
from schemas.events.person import CustomerIdentified
from schemas.public_speech import withheld
from schemas.reference import id_of, is_visitors

_OF_CUSTOMERS = frozenset(each.name for each in EVENT_TYPES.values() if each.of_customers)

_MAY_BE_OF_CUSTOMERS = _OF_CUSTOMERS | IDENTIFYING_TYPES


def of_itself(event: Event) -> bool:
    """Whether the sender says that a visitor speaks, of itself."""
    return event.anonymous_id == event.customer and (event.public or not event.named)


def by_visitor(event: Event) -> bool:
    """Whether the sender says that a visitor speaks of itself, or speaks for everybody."""
    return event.public or of_itself(event)


def typed(event: Event) -> bool:
    """Whether an event says what somebody typed: a visitor of itself, the public, or a visitor's
    actor that passes on what it has heard of a device. What the shop said when it named whose
    visitor that is names the customer."""
    if by_visitor(event):
        return True
    return event.forwarded and getattr(event.data, "customer_id", None) is None


def of_customer(event: Event) -> bool:
    """Whether the shop speaks of a customer, to its actor, or to a visitor's or another partition's
    that has passed it on."""
    if not event.named and event.type not in _MAY_BE_OF_CUSTOMERS:
        return False  # as of nearly all
    if by_visitor(event) or is_visitors(event.customer):
        return False
    if event.type in IDENTIFYING_TYPES:
        data: CustomerIdentified = event.data
        if data.customer_id not in (None, event.customer):
            return False
        return event.named or event.origin is None  # else it may have been said of a visitor
    return event.named or event.type in _OF_CUSTOMERS


def is_customers(customer: Customer) -> bool:
    """Whether a record is a customer's, by what the shop has said of it or release 0.1 has kept."""
    return customer.is_customer or (customer.heard == 0 and was_customers(customer))


def was_customers(customer: Customer) -> bool:
    """Whether a record of release 0.1, of which nothing was heard since, is a customer's. That
    tracking is allowed any visitor says."""
    if not customer.first_seen:
        return False
    agreed = any(purpose != "tracking" for purpose in customer.consents)
    return agreed or len(customer.order_ids) > 0 or len(customer.orders) > 0


def check(customer: Customer, event: Event) -> None:
    """Raise EventRefused for what isn't the speaker's to say."""
    if event.type in LOOKING:
        return  # all that the public may say under a customer's id
    if event.public and event.origin is None and event.anonymous_id != event.customer:
        raise EventRefused("reserved", "the public speaks of itself only, under an anonymous id")
    if event.public and _names_somebody(event):
        raise EventRefused("reserved", "customer_id: the public can't say who somebody is")
    if event.public and (why := withheld(event)):
        raise EventRefused("reserved", why)
    if event.public and event.origin is not None:
        return  # what its visitor does there, with the typed word's weight
    if by_visitor(event) and is_customers(customer):
        problem = f"{customer.key[:64]!r} is a customer, and a visitor speaks"
        raise EventRefused("reserved", f"customer id: {problem}")


def is_passed_over(customer: Customer, event: Event) -> bool:
    """Whether it is what a page says of a customer's traits, by the customer's own visitor: the
    shop knows its customer better."""
    return (
        event.public
        and event.origin is not None
        and event.type == "customer.updated"
        and is_customers(customer)
    )


def _names_somebody(event: Event) -> bool:
    return event.type in IDENTIFYING_TYPES and event.data.customer_id not in (
        None,
        id_of(event.customer),
    )
