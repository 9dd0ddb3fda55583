"""What orders add to the sums of their customer, and how these follow when an order changes.

An order that becomes another one is taken out of the sums as it was and put in as it is: so it is
the same as if it had been so from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from agents.commerce import coupons, loyalty, purchases, refunds
from agents.commerce.refunds import Back
from agents.context import Context
from schemas.customer import Customer
from schemas.customer.shopping import Order
from schemas.quantity import exact


class Sums(NamedTuple):
    """What one order adds."""

    refunded: tuple[Back, ...] = ()
    points: Mapping[int, int] = {}
    """By month."""


def of(order: Order, refunded: Iterable[Back], context: Context) -> Sums:
    """Return what an order adds, of which so much was given back."""
    back = tuple(refunded)
    return Sums(back, loyalty.of_order(order, back, context))


def of_early(early: Order, context: Context) -> Sums:
    """Return what the refunds of an order add that hasn't come yet, whatever else is known of
    it."""
    nothing_brought = msgspec.structs.replace(early, points=0, currency="")
    return of(nothing_brought, refunds.alone(early.refunds), context)


def booked(order: Order, sums: Sums) -> Sums:
    """Return what an order has added: the points that were booked, whatever the programme and the
    rates are since; `sums` as they come to, for records of before."""
    return sums if order.booked is None else sums._replace(points=order.booked)


def recorded(order: Order, sums: Sums, context: Context) -> Sums:
    """Note on an order the points that it adds, and return what it adds. Without a programme they
    stay what they were."""
    if context.live.loyalty is not None:
        order.booked = dict(sums.points)
    return booked(order, sums)


def count(customer: Customer, order: Order) -> None:
    """Add an order that was placed to the sums, but for what was given back of it."""
    numbers = customer.statistics
    numbers.count += 1
    purchases.add_amount(numbers.spent, order.currency, order.total)
    order.pieces = exact(_items(order))
    numbers.items = exact(numbers.items + order.pieces)
    numbers.first = min(numbers.first or order.time, order.time)
    numbers.last = max(numbers.last, order.time)
    purchases.count(customer.purchases, order, customer.profile.zone)


def uncount(customer: Customer, order: Order) -> None:
    """Take it out again; what is the largest or the last is for `recount` to find."""
    numbers, counts = customer.statistics, customer.purchases.counts
    alone = order.currency in counts
    numbers.count -= 1
    if order.currency in numbers.spent:
        numbers.spent[order.currency] -= order.total
    pieces = _items(order) if order.pieces is None else order.pieces
    numbers.items = exact(numbers.items - pieces)
    purchases.uncount(customer.purchases, order, customer.profile.zone)
    if alone and order.currency not in counts:
        numbers.spent.pop(order.currency, None)


def recount(customer: Customer, before: Order, order: Order) -> None:
    """Count an order that has changed as it is; it is among those kept in detail."""
    uncount(customer, before)
    count(customer, order)
    purchases.look_again(customer.purchases, before, customer.orders)
    if customer.statistics.last == before.time != order.time:
        customer.statistics.last = max(each.time for each in customer.orders)


def follow(customer: Customer, before: Sums, after: Sums, context: Context) -> None:
    """Bring what was given back and the points from what they were to what they are."""
    if before.refunded != after.refunded:
        numbers = customer.statistics
        numbers.refunds += len(after.refunded) - len(before.refunded)
        for sign, backs in ((-1, before.refunded), (1, after.refunded)):
            for back in backs:
                purchases.add_amount(numbers.refunded, back.currency, sign * back.amount)
        for currency in {back.currency for back in before.refunded}:
            if numbers.refunded.get(currency) == 0:
                del numbers.refunded[currency]
    if before.points != after.points:
        loyalty.move(customer, before.points, after.points, context)
        if customer.coupons and sum(after.points.values()) < sum(before.points.values()):
            coupons.revoke(customer, loyalty.missed(customer, context), context)


def _items(order: Order) -> int | Decimal:
    return sum(line.quantity for line in order.lines)
