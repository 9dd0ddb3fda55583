"""The last orders, kept in detail as far as there is room."""

from __future__ import annotations

from schemas.bounds import fields, kept_bytes, largest
from schemas.customer import Customer
from schemas.customer.shopping import (
    ORDER_LINES_KEPT,
    ORDERS_KEPT,
    ORDERS_TOTAL_BYTES,
    LineItem,
    Order,
)

_LARGEST_LINE = largest(LineItem)
_OF_FEW = frozenset({"lines", "refunds", "shipped", "returned", "unshipped"})
"""Fields that grow with the lines of an order, or that nearly all orders have nothing in."""
_BYTES = dict(fields(Order))
_LARGEST_HEAD = sum(bytes_ for name, bytes_ in _BYTES.items() if name not in _OF_FEW)
_ROOM = ORDERS_TOTAL_BYTES - _BYTES["booked"] - _BYTES["pieces"]
"""These are written to one of them after it was made to fit (`order_sums.py`)."""


def keep(customer: Customer, order: Order) -> None:
    """Keep an order in detail; the oldest go first, and of a huge one its last lines."""
    customer.orders.append(order)
    bring_within(customer)


def bring_within(customer: Customer) -> None:
    """Let the oldest orders give way as far as there are too many, after one has changed."""
    customer.orders.sort(key=lambda kept: (kept.time, kept.id))
    del customer.orders[:-ORDERS_KEPT]
    lines = 0
    for kept in customer.orders:  # not a generator: this runs at each order
        if len(kept.lines) > ORDER_LINES_KEPT:
            _cut(kept, ORDER_LINES_KEPT)
        lines += len(kept.lines)
    while lines > ORDER_LINES_KEPT:
        lines -= len(customer.orders.pop(0).lines)
    _fit(customer, lines)


def _fit(customer: Customer, lines: int) -> None:
    """Let the oldest orders give way as far as there is no room; the last one its last lines.
    `lines`: how many all of them have."""
    if len(customer.orders) * _LARGEST_HEAD + lines * _LARGEST_LINE <= _ROOM and not (
        any(kept.refunds or kept.shipped for kept in customer.orders)
    ):
        return  # nothing to measure, as for nearly everybody
    while (surplus := kept_bytes(customer.orders) - _ROOM) > 0:
        oldest = customer.orders[0]
        if len(customer.orders) > 1:
            del customer.orders[0]
        elif oldest.lines:
            _cut(oldest, max(0, len(oldest.lines) - surplus // _LARGEST_LINE - 1))
        else:
            oldest.shipped = []
            for refund in oldest.refunds:
                refund.lines = []


def _cut(order: Order, lines: int) -> None:
    order.lines = order.lines[:lines]
    order.returned = {place: each for place, each in order.returned.items() if place < lines}
    order.unshipped = [place for place in order.unshipped if place < lines]
