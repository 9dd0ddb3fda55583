"""Refunds: what of an order was given back or called off, added up from all that was said of it.

A refund names an amount, or lines, or both, or neither: then it is of the whole order. However many
come, no more than the order's total is given back. The order is refunded, or cancelled, once all of
its money is back, the shipping apart, or all of its lines are; which of the two, the last one says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from agents.commerce import line_items
from agents.commerce.order_statements import is_of_all
from schemas.customer.shopping import LineItem, Order, Refund
from schemas.quantity import exact

_ZERO = Decimal(0)
Quantity = int | Decimal


class Back(NamedTuple):
    """One refund, as it counts."""

    time: int
    currency: str
    amount: Decimal
    whole: bool
    """With it the whole order is back."""


class Reckoning(NamedTuple):
    """What of an order is back."""

    refunds: Sequence[Back] = ()
    """Those that count, in the order of time."""
    status: Literal["", "cancelled", "refunded"] = ""
    returned: Mapping[int, Quantity] = {}
    """Place of a line → how much of it."""
    excess: Decimal = _ZERO
    """What was said to be given back beyond the order's total."""


NOTHING = Reckoning()


def reckon(order: Order) -> Reckoning:
    """Add up the refunds of an order that was placed."""
    returned = _taken_away(order.lines)
    if not order.refunds:
        return NOTHING._replace(returned=returned) if returned else NOTHING
    left = order.total
    status: Literal["", "cancelled", "refunded"] = ""
    excess, counted = _ZERO, list[Back]()
    for refund in order.refunds:  # in the order of time
        if _is_void(refund, order):
            continue
        by_lines = _take_back(refund, order.lines, returned)
        if refund.currency not in ("", order.currency):
            if refund.amount is not None:
                counted.append(Back(refund.time, refund.currency, refund.amount, whole=False))
            continue
        amount = left if is_of_all(refund) else refund.amount if refund.amount else by_lines
        back = min(amount, left)
        done = is_of_all(refund) or _is_whole(order, left - back, returned)
        if done and refund.amount is None and not by_lines:
            back = left  # of lines whose prices nobody knows, but of all of them
        left -= back
        if not (refund.cancels or status == "cancelled"):  # that tells of the same money again
            excess += amount - min(amount, back)
        if back or (done and not status):
            counted.append(Back(refund.time, order.currency, back, whole=done))
        if done or status:
            status = "cancelled" if refund.cancels else "refunded"
    return Reckoning(counted, status, returned, excess)


def alone(refunds: Sequence[Refund]) -> list[Back]:
    """Return what refunds come to of an order that nothing else is known of: those with an amount.
    What was called off was never paid, as far as anybody knows."""
    return [
        Back(each.time, each.currency or "EUR", each.amount, whole=False)
        for each in refunds
        if each.amount is not None and not each.cancels
    ]


def not_shipped(order: Order) -> list[int]:
    """Return the places of the lines that no parcel has named, where parcels name what they
    hold."""
    if not order.shipped:
        return []
    places = [
        place
        for place, line in enumerate(order.lines)
        if not any(_is_named(line, each) for each in order.shipped)
    ]
    return places if len(places) < len(order.lines) else []  # else they are called otherwise


def _is_void(refund: Refund, order: Order) -> bool:
    """Whether the order was called off, and then the shop said that it will be after all."""
    whole = is_of_all(refund) or (refund.amount is not None and refund.amount >= order.total)
    return refund.cancels and whole and refund.time < order.revived


def _is_whole(order: Order, left: Decimal, returned: Mapping[int, Quantity]) -> bool:
    if left < order.total and left <= (order.shipping or _ZERO):
        return True
    return bool(order.lines) and all(
        returned.get(place, 0) >= line.quantity for place, line in enumerate(order.lines)
    )


def _taken_away(lines: Sequence[LineItem]) -> dict[int, Quantity]:
    """Lines with a negative quantity take back what others of the order hold."""
    returned: dict[int, Quantity] = {}
    for place, line in enumerate(lines):
        if line.quantity < 0:
            returned[place] = line.quantity
            sought = msgspec.structs.replace(line, quantity=-line.quantity)
            _return_line(sought, lines, returned)
    return returned


def _take_back(refund: Refund, lines: Sequence[LineItem], returned: dict[int, Quantity]) -> Decimal:
    """Note which lines a refund takes back; return what it gives for them, as far as that is
    known."""
    return sum((_return_line(each, lines, returned) for each in refund.lines), _ZERO)


def _return_line(
    sought: LineItem, lines: Sequence[LineItem], returned: dict[int, Quantity]
) -> Decimal:
    there = {
        id(line): place
        for place, line in enumerate(lines)
        if line.quantity > 0 and returned.get(place, 0) < line.quantity
    }
    line = line_items.meant([each for each in lines if id(each) in there], sought, _unordered)
    if line is None:
        return (sought.price or _ZERO) * (sought.quantity or 1)
    place = there[id(line)]
    left = line.quantity - returned.get(place, 0)
    quantity = min(sought.quantity, left) if sought.quantity else left
    returned[place] = exact(returned.get(place, 0) + quantity)
    price = line.price if sought.price is None else sought.price
    return (price or _ZERO) * (sought.quantity or quantity)


def _is_named(line: LineItem, named: LineItem) -> bool:
    if not (named.sku or named.variant):
        return line.product_id == named.product_id or (
            line.sku != "" and line.sku == named.product_id
        )
    return line_items.meant([line], named, _unordered) is not None


def _unordered(_: LineItem) -> int:
    """The lines of an order were all put in at once: of several the last one is meant."""
    return 0
