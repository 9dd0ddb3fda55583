"""An order that is kept becomes another one, and all that follows from it with it: the sums, what
was bought, the points, the code that it was placed with, when it runs out."""

from __future__ import annotations

import msgspec

from agents.commerce import (
    coupons,
    kept_orders,
    loyalty,
    order_notices,
    order_statements,
    order_sums,
    refunds,
)
from agents.commerce.refunds import Reckoning
from agents.context import Context
from agents.products import replenishment
from schemas.customer import Customer
from schemas.customer.shopping import Order
from schemas.events import Event

UNDONE = ("cancelled", "refunded")
"""What an order is that will not be, or was given back."""


def restate(customer: Customer, order: Order, said: Order, event: Event, context: Context) -> None:
    """Take a statement into an order that is kept, and have all sums follow."""
    before = msgspec.structs.replace(order)
    back = refunds.reckon(before)
    order_statements.join(order, said)
    reckoning = derive(order)
    if _is_same(before, order):
        return
    same_worth = (before.total, before.currency) == (order.total, order.currency)
    if context.live.loyalty is not None and not same_worth:
        order.points = loyalty.points_for(order.total, order.currency, order.time, context)
        if before.currency != order.currency and loyalty.lacks_rate(order, context):
            order_notices.tell(customer, order.id, "no_rate", event, context, order.currency)
    if _counted(before) != _counted(order):
        order_sums.recount(customer, before, order)
    were = order_sums.booked(before, order_sums.of(before, back.refunds, context))
    are = order_sums.recorded(order, order_sums.of(order, reckoning.refunds, context), context)
    order_sums.follow(customer, were, are, context)
    if before.lines != order.lines or before.time != order.time:
        look_ahead(customer, order, context)
    if before.coupon != order.coupon:
        coupons.release(customer, before, order, context)
        coupons.redeem(customer, event, order, context)
    if reckoning.excess > back.excess:
        order_notices.tell(customer, order.id, "refund_exceeds_total", event, context)
    kept_orders.bring_within(customer)


def derive(order: Order) -> Reckoning:
    """Bring up to date what follows from the statements about an order."""
    order_statements.follow_lines(order)
    reckoning = refunds.reckon(order)
    order.returned = dict(reckoning.returned)
    order.unshipped = refunds.not_shipped(order)
    if reckoning.status:
        order.status = reckoning.status
    else:
        order.status = (
            "delivered" if order.delivered else "shipped" if order.sent_off else "completed"
        )
    return reckoning


def _is_same(before: Order, order: Order) -> bool:
    """Whether they differ at most in which statement says it."""
    return msgspec.structs.replace(before, stated=order.stated) == order


def _counted(order: Order) -> tuple[object, ...]:
    """What the sums are made of."""
    return (
        order.time,
        order.total,
        order.currency,
        order.lines,
        order.returned,
        order.status in UNDONE,
        order.payment_method,
        bool(order.coupon or order.discount),
    )


def look_ahead(customer: Customer, order: Order, context: Context) -> None:
    """Note what the feed says of an order: when it runs out, what there is to go with it."""
    order.runs_out = replenishment.runs_out(customer, order, context.catalogue) or 0
    known = [context.catalogue.get(line.product_id) for line in order.lines]
    offered = {each for one in known if one for each in (*one.accessories, *one.upgrades)}
    found = (context.catalogue.get(each) for each in offered)
    order.accessories = sum(product is not None and product.available for product in found)
