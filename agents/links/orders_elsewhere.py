"""An order that was placed under another id, by somebody who has the same cart, checkout or
address: for the reminders it is as if the customer had placed it, and for nothing else.

Runs that an order ends are over, what waits at the mailer is taken back, and the cart is over if it
is the one of the order, or holds what was bought. Nothing is counted, begun or converted.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.commerce import cart
from agents.context import Context, DomainEvent, Handler
from agents.customer import derived_state
from agents.digests import contains, digest
from agents.links import names
from agents.rules.fields import Part
from agents.workflows import engine
from schemas.customer import Customer
from schemas.events import Event
from schemas.events.own import OrderPlacedElsewhere

_CART: frozenset[Part] = frozenset({"cart"})


def receive(customer: Customer, event: Event, context: Context) -> None:
    """Apply what a link has told."""
    context.begin_change(event.id, begins=not event.backfill, traceparent=event.traceparent)
    if occurred := HANDLERS[event.type](customer, event, context):
        engine.react(customer, occurred, context)


def placed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """An order was placed elsewhere."""
    data: OrderPlacedElsewhere = event.data
    own = customer.links.registrations.get(data.link)
    if own is None:
        return []
    by_address = names.kind_of(data.link) == "address"
    if not by_address and own.cart_number != customer.cart.number:
        return []  # that cart is over already
    time, bought = context.when(event.time), bytes.fromhex(data.bought)
    lines = [each for each in customer.cart.lines if contains(bought, digest(each.product_id))]
    order = DomainEvent(
        "order.completed", time, cart=customer.cart.number, begins=False, elsewhere=True
    )
    occurred = [order]
    is_its_cart = not by_address or lines or not bought
    if is_its_cart and (not by_address or _was_there(customer, time)):
        cart_id = None if by_address else customer.cart.id
        occurred += cart.ordered(customer.cart, lines, time, cart_id)
        derived_state.changed(customer, _CART, context)
    return occurred


def _was_there(customer: Customer, time: int) -> bool:
    """Whether the cart was there at `time`, as far as that is known: when it was filled isn't kept,
    but since when there are reminders of it."""
    cart_ = customer.cart
    return cart_.changed <= time or any(
        run.cart == cart_.number and run.begun <= time for run in customer.runs
    )


HANDLERS: Mapping[str, Handler] = {
    "order.placed_elsewhere": placed,
}
