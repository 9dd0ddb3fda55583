"""What is told of orders before they themselves are: one memory for parcels, updates, refunds and
reviews that overtake their order.

Each is a statement about the order like any other (`agents/commerce/order_statements.py`); they are
joined as they come, and the order joins them when it comes. They wait for 90 days of the log's time
and take a few kilobytes together; what was heard of longest ago gives way, and is told of.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from agents.commerce import order_notices, order_statements
from agents.context import Context
from schemas.bounds import kept_bytes
from schemas.customer import Customer
from schemas.customer.shopping import EARLY_TOTAL_BYTES, ORDER_LINES_KEPT, EarlyOrder, Order
from schemas.events import Event
from schemas.time_units import DAY_MS

WAITS = 90 * DAY_MS
"""How long a statement waits for its order, ms of the log's time: a shop that goes on sending for
longer what came before an order has lost the order."""


def find(customer: Customer, order_id: str, shop: str) -> EarlyOrder | None:
    """Return what is known of an order that isn't there yet."""
    return next(
        (e for e in customer.early if e.order.id == order_id and e.order.shop == shop), None
    )


def hear(customer: Customer, said: Order, event: Event, context: Context) -> EarlyOrder:
    """Remember a statement about an order that isn't there yet; return all that is known of it."""
    early = find(customer, said.id, said.shop)
    if early is None:
        early = EarlyOrder(
            context.now, Order(id=said.id, time=0, total=Decimal(0), currency="", shop=said.shop)
        )
    order_statements.join(early.order, said)
    _remember(customer, early, event, context)
    return early


def review(
    customer: Customer, product_id: str, order_id: str, shop: str, event: Event, context: Context
) -> None:
    """Remember the review of a product whose order isn't there yet; without the order's number it
    is of whichever comes with the product."""
    early = find(customer, order_id, shop)
    if early is None:
        empty = Order(id=order_id, time=0, total=Decimal(0), currency="", shop=shop)
        early = EarlyOrder(context.now, empty)
    time = context.when(event.time)
    early.reviewed = {**early.reviewed, product_id: max(time, early.reviewed.get(product_id, 0))}
    while len(early.reviewed) > ORDER_LINES_KEPT:
        del early.reviewed[next(iter(early.reviewed))]
    _remember(customer, early, event, context)


def take(customer: Customer, order_id: str, shop: str) -> EarlyOrder | None:
    """Return what was told of an order that has come now, and forget it here."""
    early = find(customer, order_id, shop)
    if early is not None:
        customer.early = [each for each in customer.early if each is not early]
    return early


def take_reviews(customer: Customer, order: Order) -> dict[str, int]:
    """Return which products of an order that has come now were reviewed since, without its number,
    and forget it here."""
    unnamed = find(customer, "", order.shop)
    if unnamed is None:
        return {}
    products = {line.product_id for line in order.lines}
    found = {p: t for p, t in unnamed.reviewed.items() if p in products and t >= order.time}
    unnamed.reviewed = {p: t for p, t in unnamed.reviewed.items() if p not in found}
    customer.early = [each for each in customer.early if each.order.id or each.reviewed]
    return found


def bring_within(customer: Customer, event: Event, context: Context) -> None:
    """Forget what has waited for too long, and as far as there is too much what was heard of
    longest ago."""
    customer.early = [e for e in customer.early if e.heard > context.now - WAITS]
    while customer.early and (size := kept_bytes(customer.early)) > EARLY_TOTAL_BYTES:
        if len(customer.early) > 1:
            gone = customer.early.pop(0)
            order_notices.tell(customer, gone.order.id, "forgotten", event, context)
        else:
            _slim(customer, customer.early[0], size, event, context)


def _remember(customer: Customer, early: EarlyOrder, event: Event, context: Context) -> None:
    early.heard = context.now
    customer.early = [*(each for each in customer.early if each is not early), early]
    bring_within(customer, event, context)


def _slim(customer: Customer, early: EarlyOrder, size: int, event: Event, context: Context) -> None:
    """Keep of what is too large by itself what matters: the links of its lines go, then the last
    lines, then what else it gathers."""
    order = early.order
    bare = [msgspec.structs.replace(line, url="", image_url="", name="") for line in order.lines]
    if bare != order.lines:
        order.lines = bare
        return
    order_notices.tell(customer, order.id, "shortened", event, context)
    surplus = size - EARLY_TOTAL_BYTES
    if order.lines:
        each = max(1, kept_bytes(order.lines) // len(order.lines))
        order.lines = order.lines[: max(0, len(order.lines) - surplus // each - 1)]
    elif order.shipped or any(refund.lines for refund in order.refunds):
        order.shipped = []
        for refund in order.refunds:
            refund.lines = []
    else:
        customer.early = []
