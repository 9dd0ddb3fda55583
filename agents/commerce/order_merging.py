"""The orders of a visitor who turned out to be this customer."""

from __future__ import annotations

from agents.commerce import (
    early_orders,
    kept_orders,
    loyalty,
    order_memory,
    order_statements,
    order_sums,
    purchases,
    refunds,
)
from agents.commerce.order_changes import restate
from agents.context import Context
from schemas.customer import Customer
from schemas.customer.shopping import Order
from schemas.events import Event


def adopt(customer: Customer, other: Customer, event: Event, context: Context) -> None:
    """Add the orders of a visitor, whose points are the customer's already.

    One that the shop has reported under both ids counts once, as it was stated last.
    """
    told_twice: list[Order] = []
    for order in other.orders:
        if order_memory.is_noted_of_shop(customer, "order", order.id, order.shop):
            order_statements.name_before(order)
            _uncount(customer, other, order, context)
            told_twice.append(order)
        else:
            kept_orders.keep(customer, order)
    customer.order_ids += b"".join(order_memory.unknown(customer, other))
    _add_sums(customer, other)
    for order in told_twice:
        _take_in(customer, order, event, context)
    early, customer.early = [*customer.early, *other.early], []
    for each in early:
        said = each.order
        if order_memory.is_noted_of_shop(customer, "order", said.id, said.shop):
            _count_no_more(customer, said, context)
            _take_in(customer, said, event, context)
        elif (known := early_orders.find(customer, said.id, said.shop)) is not None:
            _count_no_more(customer, said, context)
            order = known.order
            before = order_sums.booked(order, order_sums.of_early(order, context))
            order_statements.join(order, said)
            known.reviewed |= each.reviewed
            sums = order_sums.of_early(order, context)
            order_sums.follow(customer, before, order_sums.recorded(order, sums, context), context)
        else:
            customer.early.append(each)
    early_orders.bring_within(customer, event, context)


def require_room_for(customer: Customer, other: Customer) -> None:
    """Raise EventRefused when the orders of both cannot be remembered together."""
    order_memory.require_room(customer, len(order_memory.unknown(customer, other)))


def _take_in(customer: Customer, said: Order, event: Event, context: Context) -> None:
    order = customer.order(said.id, said.shop)
    if order is not None:
        order_statements.name_before(order)
        restate(customer, order, said, event, context)


def _uncount(customer: Customer, other: Customer, order: Order, context: Context) -> None:
    """Take an order out of the visitor's sums that the customer's have, too."""
    sums = order_sums.of(order, refunds.reckon(order).refunds, context)
    gone = order_sums.booked(order, sums)
    order_sums.uncount(other, order)
    nothing = order_sums.Sums()
    order_sums.follow(other, order_sums.Sums(gone.refunded), nothing, context)
    loyalty.move(customer, gone.points, nothing.points, context)


def _count_no_more(customer: Customer, said: Order, context: Context) -> None:
    """Take out of the sums what refunds came to while their order was not known."""
    alone = order_sums.booked(said, order_sums.of_early(said, context))
    order_sums.follow(customer, alone, order_sums.Sums(), context)


def _add_sums(customer: Customer, other: Customer) -> None:
    mine, theirs = customer.statistics, other.statistics
    purchases.adopt(customer.purchases, other.purchases)
    mine.count += theirs.count
    mine.items += theirs.items
    mine.refunds += theirs.refunds
    for currency, amount in theirs.spent.items():
        purchases.add_amount(mine.spent, currency, amount)
    for currency, amount in theirs.refunded.items():
        purchases.add_amount(mine.refunded, currency, amount)
    if theirs.count:
        mine.first = min(mine.first or theirs.first, theirs.first)
        mine.last = max(mine.last, theirs.last)
