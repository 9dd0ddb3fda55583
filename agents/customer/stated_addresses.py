"""The addresses that checkouts and orders bring, each on its ground (`grounds.py`)."""

from __future__ import annotations

from collections.abc import Mapping

from agents.commerce import cart, orders
from agents.context import Context, DomainEvent, Handler
from agents.customer import grounds, statements
from schemas.customer import Customer
from schemas.events import Event
from schemas.events.fields import is_address
from schemas.events.shopping import CheckoutProgress, OrderCompleted


def checkout(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Somebody moves through the checkout, and has typed an address there."""
    data: CheckoutProgress = event.data
    if data.email and is_address(data.email):
        said = statements.of(event, context, typed=True)
        grounds.take(customer, data.email, "typed", said, context.now)
    return cart.checkout(customer, event, context)


def completed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """An order was placed with an address; in public anybody says that of any."""
    data: OrderCompleted = event.data
    occurred = orders.completed(customer, event, context)
    address = data.address()
    if address:
        said = statements.of(event, context, typed=True)
        grounds.take(customer, address, "typed" if event.public else "ordered", said, context.now)
    return occurred


HANDLERS: Mapping[str, Handler] = {
    "checkout.started": checkout,
    "checkout.step_completed": checkout,
    "order.completed": completed,
}
