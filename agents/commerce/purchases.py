"""What was bought, how, and when: counted as orders come in, as far as there is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from agents.rules.local_time import local_date
from schemas.bounds import KEY_BYTES, kept_bytes, largest
from schemas.customer.shopping import (
    CURRENCIES_KEPT,
    KINDS_BOUGHT_KEPT,
    KINDS_BOUGHT_TOTAL_BYTES,
    MONTHS_KEPT,
    PAYMENT_METHODS_KEPT,
    PRODUCTS_BOUGHT_KEPT,
    PRODUCTS_BOUGHT_TOTAL_BYTES,
    Bought,
    MonthOfOrders,
    Order,
    Purchases,
)

_LARGEST = largest(Bought) + KEY_BYTES

_KEPT = {
    "products": (PRODUCTS_BOUGHT_KEPT, PRODUCTS_BOUGHT_TOTAL_BYTES),
    "categories": (KINDS_BOUGHT_KEPT, KINDS_BOUGHT_TOTAL_BYTES),
    "brands": (KINDS_BOUGHT_KEPT, KINDS_BOUGHT_TOTAL_BYTES),
    "payment_methods": (PAYMENT_METHODS_KEPT, PAYMENT_METHODS_KEPT * _LARGEST),
}
"""How many of each, and how many bytes they may take together."""


def count(purchases: Purchases, order: Order, zone: str) -> None:
    """Add an order; the month that it belongs to is the one in `zone`."""
    for kind, names in _of(order).items():
        bought: dict[str, Bought] = getattr(purchases, kind)
        for name in sorted(names):
            _add(bought, name, 1, order.time)
        _fit(bought, *_KEPT[kind])
    _add_month(purchases, _month(order, zone), 1, {order.currency: order.total})
    _fit_months(purchases)
    _add_money(purchases, {order.currency: order.total}, {order.currency: 1})
    purchases.with_coupon += _had_coupon(order)


def uncount(purchases: Purchases, order: Order, zone: str) -> None:
    """Take an order out again: it is another one now, or was counted by two actors who are one."""
    for kind, names in _of(order).items():
        bought: dict[str, Bought] = getattr(purchases, kind)
        for name in names & bought.keys():
            bought[name].orders -= 1
            if bought[name].orders <= 0:
                del bought[name]
    name = _month(order, zone)
    month = purchases.months.get(name)
    if month is not None:
        month.orders -= 1
        add_amount(month.spent, order.currency, -order.total)
        if month.orders <= 0:
            del purchases.months[name]
    if order.currency in purchases.counts:
        purchases.counts[order.currency] -= 1
        if purchases.counts[order.currency] <= 0:
            del purchases.counts[order.currency]
            purchases.largest.pop(order.currency, None)
    purchases.with_coupon -= _had_coupon(order)


def look_again(purchases: Purchases, before: Order, orders: Sequence[Order]) -> None:
    """Find the latest and the largest anew where an order was that was `before`, and is no more.
    Of orders that are not kept in detail nobody knows better than that they are older."""
    for kind, names in _of(before).items():
        bought: dict[str, Bought] = getattr(purchases, kind)
        for name in names & bought.keys():
            if bought[name].last == before.time:
                times = [each.time for each in orders if name in _of(each)[kind]]
                bought[name].last = max(times) if times else min(before.time, orders[0].time)
    if purchases.largest.get(before.currency) == before.total:
        totals = [each.total for each in orders if each.currency == before.currency]
        if totals:
            purchases.largest[before.currency] = max(totals)


def adopt(purchases: Purchases, other: Purchases) -> None:
    """Add what a visitor bought who turned out to be this customer."""
    for kind, limits in _KEPT.items():
        bought: dict[str, Bought] = getattr(purchases, kind)
        for name, theirs in sorted(getattr(other, kind).items()):
            _add(bought, name, theirs.orders, theirs.last)
        _fit(bought, *limits)
    for name, month in other.months.items():
        _add_month(purchases, name, month.orders, month.spent)
    _fit_months(purchases)
    _add_money(purchases, other.largest, other.counts)
    purchases.with_coupon += other.with_coupon


def add_amount(amounts: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    """Add to the sum of a currency; one that comes when there are enough is not summed up."""
    if currency in amounts or len(amounts) < CURRENCIES_KEPT:
        amounts[currency] = amounts.get(currency, Decimal(0)) + amount


def _of(order: Order) -> dict[str, set[str]]:
    """Names by where they are kept; what isn't known has none."""
    lines = order.kept()
    return {
        "products": {line.product_id for line in lines},
        "categories": {line.category for line in lines if line.category},
        "brands": {line.brand for line in lines if line.brand},
        "payment_methods": {order.payment_method} if order.payment_method else set(),
    }


def _had_coupon(order: Order) -> bool:
    return bool(order.coupon or order.discount)


def _month(order: Order, zone: str) -> str:
    day = local_date(order.time, zone)
    return f"{day.year}-{day.month:02}"


def _add(bought: dict[str, Bought], name: str, orders: int, last: int) -> None:
    known = bought.get(name)
    if known is None:
        known = bought[name] = Bought()
    known.orders += orders
    known.last = max(known.last, last)


def _fit(bought: dict[str, Bought], limit: int, most_bytes: int) -> None:
    """Those bought longest ago give way."""
    while len(bought) > limit:
        del bought[_longest_ago(bought)]
    if len(bought) * _LARGEST > most_bytes:
        while kept_bytes(bought) > most_bytes:
            del bought[_longest_ago(bought)]


def _longest_ago(bought: Mapping[str, Bought]) -> str:
    return min(bought, key=lambda name: (bought[name].last, name))


def _add_month(purchases: Purchases, name: str, orders: int, spent: Mapping[str, Decimal]) -> None:
    known = purchases.months.get(name)
    if known is None:
        known = purchases.months[name] = MonthOfOrders()
    known.orders += orders
    for currency, amount in spent.items():
        add_amount(known.spent, currency, amount)


def _fit_months(purchases: Purchases) -> None:
    """The oldest give way."""
    while len(purchases.months) > MONTHS_KEPT:
        del purchases.months[min(purchases.months)]


def _add_money(
    purchases: Purchases, amounts: Mapping[str, Decimal], counts: Mapping[str, int]
) -> None:
    for currency, amount in amounts.items():
        if currency in purchases.largest or len(purchases.largest) < CURRENCIES_KEPT:
            purchases.largest[currency] = max(purchases.largest.get(currency, amount), amount)
    for currency, orders in counts.items():
        if currency in purchases.counts or len(purchases.counts) < CURRENCIES_KEPT:
            purchases.counts[currency] = purchases.counts.get(currency, 0) + orders
