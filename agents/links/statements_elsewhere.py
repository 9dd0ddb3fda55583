"""What was said of the customer's address under another id, as its link tells it: an objection ends
marketing here, too, and a mailbox that is at an end is so for everybody who has it."""

from __future__ import annotations

from collections.abc import Mapping

from agents.context import Context, DomainEvent, Handler
from agents.customer import deliverability
from agents.digests import address_digest
from agents.links import address_statements, registration
from agents.sending import arbitration
from agents.workflows import engine, exits
from schemas.customer import Customer
from schemas.customer.links import AddressStatements
from schemas.events import Event
from schemas.events.own import AddressTold


def receive(customer: Customer, event: Event, context: Context) -> None:
    """Apply what a link has told."""
    context.begin_change(event.id, begins=False, traceparent=event.traceparent)
    HANDLERS[event.type](customer, event, context)
    engine.react(customer, (), context)


def shared(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Others have one of the customer's links, too."""
    registration.shared(customer, event, context)
    address_statements.shared(customer, event, context)
    return []


def told(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Others have said something of the customer's address."""
    data: AddressTold = event.data
    if not address_statements.hears_of(customer, data.link, event.id, context):
        return []  # it has another one by now
    before = customer.links.elsewhere or AddressStatements()
    customer.links.elsewhere = now = address_statements.added(before, data)
    is_released = now.released > before.released and customer.suppressed
    if is_released and not address_statements.has_ended(customer):
        deliverability.release(customer, address_digest(customer.profile.email))
    was_silenced = customer.links.silenced
    address_statements.listen(customer, context)
    is_news = now.ended > before.ended and not customer.suppressed
    if is_news and address_statements.has_ended(customer):
        customer.suppressed = "bounced"
        exits.end_marketing(customer, "address.bounced", context)
    elif customer.links.silenced and not was_silenced:
        exits.end_marketing(customer, "objected", context)
    if now.sent != before.sent or now.agreed > before.agreed:
        arbitration.look_again(customer, context.now)
    return []


HANDLERS: Mapping[str, Handler] = {
    "link.shared": shared,
    "address.told": told,
}
