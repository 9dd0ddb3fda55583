"""What was bought and how, of all orders ever: products, categories, brands, months, payments.

Bounded: of each kind the latest are remembered, and months for two years.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from agents import calendar
from schemas.customer import (
    KINDS_BOUGHT_KEPT,
    MONTHS_KEPT,
    PAYMENT_METHODS_KEPT,
    PRODUCTS_BOUGHT_KEPT,
    Bought,
    Customer,
    MonthOfOrders,
    Order,
)


def count(customer: Customer, order: Order) -> None:
    """Take in an order that was counted."""
    bought = customer.purchases
    _add(bought.products, (line.product_id for line in order.lines), order, PRODUCTS_BOUGHT_KEPT)
    _add(bought.categories, (line.category for line in order.lines), order, KINDS_BOUGHT_KEPT)
    _add(bought.brands, (line.brand for line in order.lines), order, KINDS_BOUGHT_KEPT)
    _add(bought.payment_methods, [order.payment_method], order, PAYMENT_METHODS_KEPT)
    currency, total = order.currency, order.total
    month = f"{calendar.local_day(order.time, customer.profile.zone):%Y-%m}"
    of_month = bought.months.setdefault(month, MonthOfOrders())
    of_month.orders += 1
    of_month.spent[currency] = of_month.spent.get(currency, Decimal(0)) + total
    _keep_latest_months(bought.months)
    bought.largest[currency] = max(bought.largest.get(currency, total), total)
    bought.counts[currency] = bought.counts.get(currency, 0) + 1
    bought.with_coupon += bool(order.coupon or order.discount)


def adopt(customer: Customer, visitor: Customer) -> None:
    """Add what a visitor bought who turned out to be this customer."""
    mine, theirs = customer.purchases, visitor.purchases
    _merge(mine.products, theirs.products, PRODUCTS_BOUGHT_KEPT)
    _merge(mine.categories, theirs.categories, KINDS_BOUGHT_KEPT)
    _merge(mine.brands, theirs.brands, KINDS_BOUGHT_KEPT)
    _merge(mine.payment_methods, theirs.payment_methods, PAYMENT_METHODS_KEPT)
    for month, other in theirs.months.items():
        own = mine.months.setdefault(month, MonthOfOrders())
        own.orders += other.orders
        for currency, amount in other.spent.items():
            own.spent[currency] = own.spent.get(currency, Decimal(0)) + amount
    _keep_latest_months(mine.months)
    for currency, amount in theirs.largest.items():
        mine.largest[currency] = max(mine.largest.get(currency, amount), amount)
    for currency, orders in theirs.counts.items():
        mine.counts[currency] = mine.counts.get(currency, 0) + orders
    mine.with_coupon += theirs.with_coupon


def _add(kept: dict[str, Bought], names: Iterable[str], order: Order, most: int) -> None:
    for name in sorted({name for name in names if name}):
        bought = kept.setdefault(name, Bought())
        bought.orders += 1
        bought.last = max(bought.last, order.time)
    _keep_latest(kept, most)


def _merge(kept: dict[str, Bought], others: dict[str, Bought], most: int) -> None:
    for name, other in others.items():
        bought = kept.setdefault(name, Bought())
        bought.orders += other.orders
        bought.last = max(bought.last, other.last)
    _keep_latest(kept, most)


def _keep_latest(kept: dict[str, Bought], most: int) -> None:
    while len(kept) > most:
        del kept[min(kept, key=lambda name: (kept[name].last, name))]


def _keep_latest_months(months: dict[str, MonthOfOrders]) -> None:
    while len(months) > MONTHS_KEPT:
        del months[min(months)]
