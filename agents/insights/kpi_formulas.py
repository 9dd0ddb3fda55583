"""The formulas of the key figures, of numbers that were counted. Exact: `Decimal` in and out.

A figure whose denominator is nothing is None: it is not known, which isn't 0.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

HUNDRED = Decimal(100)

_EXACT = Context(prec=28, rounding=ROUND_HALF_EVEN)
"""The same digits on any machine, whatever the program around has set."""

Number = Decimal | int


def ratio(numerator: Number, denominator: Number) -> Decimal | None:
    """Return numerator / denominator, None of nothing."""
    if not denominator:
        return None
    return _EXACT.divide(Decimal(numerator), Decimal(denominator))


def percent(numerator: Number, denominator: Number) -> Decimal | None:
    """Return a share in percent: 250 of 1,000 are 25."""
    found = ratio(numerator, denominator)
    return None if found is None else _EXACT.multiply(found, HUNDRED)


def retention(at_end: int, new: int, at_start: int) -> Decimal | None:
    """Return the usual formula, (E − N) / S in percent: (1,100 − 200) / 1,000 is 90.

    It is not the share that was kept: whoever comes back from before the first span is in E and
    not in S, so it may be above what was kept, and above 100.
    """
    return percent(at_end - new, at_start)


def lifetime_value(order_value: Decimal, orders_a_year: Number, years: Number) -> Decimal:
    """Return average order × orders a year × years: 50 € × 4 × 5 are 1,000 €."""
    return _EXACT.multiply(_EXACT.multiply(order_value, Decimal(orders_a_year)), Decimal(years))


def return_on_investment(revenue: Decimal, cost: Decimal) -> Decimal | None:
    """Return (revenue − cost) / cost in percent: (25,000 − 5,000) / 5,000 is 400."""
    return percent(_EXACT.subtract(revenue, cost), cost)


class CartLoss(NamedTuple):
    """What abandoned carts cost in a month."""

    orders: Decimal
    loss: Decimal

    def recovered(self, rate: Decimal) -> Decimal:
        """Return what of it comes back, at a share between 0 and 1."""
        return _EXACT.multiply(self.loss, rate)


def cart_loss(
    *, visitors: Number, conversion: Decimal, order_value: Decimal, abandoned: Decimal
) -> CartLoss:
    """Return visitors · conversion · order value · a / (1 − a), the shares between 0 and 1.

    Visitors · conversion are the orders that were completed, so carts begun are orders / (1 − a).
    6,000 visitors, 2.4 %, 20 € and a = 0.7925 give 10,999.5 €. Raises ValueError for a share that
    is none, and for an a of 1: no order would ever be completed.
    """
    if not 0 <= conversion <= 1:
        raise ValueError(f"the conversion rate is a share from 0 to 1, not {conversion}")
    if not 0 <= abandoned < 1:
        raise ValueError(f"the abandoned share is from 0 to below 1, not {abandoned}")
    if visitors < 0 or order_value < 0:
        raise ValueError("visitors and order value can't be below 0")
    orders = _EXACT.multiply(Decimal(visitors), conversion)
    odds = _EXACT.divide(abandoned, 1 - abandoned)
    loss = _EXACT.multiply(_EXACT.multiply(orders, order_value), odds)
    # Of a division that doesn't come out even the last digits are nobody's cents.
    return CartLoss(orders, _EXACT.quantize(loss, Decimal("0.000001")))
