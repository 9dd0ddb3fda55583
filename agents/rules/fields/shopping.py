"""Fields that say what the customer has looked at, put into the cart and bought."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from operator import attrgetter
from typing import Any

from agents.rules.evaluation import EvaluationContext
from agents.rules.exchange import sum_in_shops
from agents.rules.fields import sums
from agents.rules.fields.field import Field, FieldType, Part, Read
from agents.rules.threshold import early, exact
from schemas.customer import Customer
from schemas.customer.shopping import Bought, LineItem, Order
from schemas.quantity import as_number
from schemas.stored import NEVER
from schemas.time_units import DAY_MS

MONTH = 30.4375 * DAY_MS
"""Of a year of 365.25 days the twelfth part."""
_SPENT_SPAN = 30 * DAY_MS


def fields() -> Iterator[Field]:
    """Yield the fields of this module."""
    yield from _cart()
    yield from _orders_in_numbers()
    yield from _orders_per_month()
    yield from _latest_order()
    yield from _bought()
    yield from _interests()


def _cart() -> Iterator[Field]:
    def of(name: str, type_: FieldType, read: Read, about: str) -> Field:
        return Field(f"cart.{name}", type_, "cart", read, about)

    yield of(
        "items",
        "number",
        lambda s: pieces(s.customer.cart.lines),
        "pieces in the cart",
    )
    yield amount(
        "cart.total",
        "cart",
        lambda s: s.customer.cart.total(),
        _cart_total,
        lambda s: s.customer.cart.currency,
        "value of what lies in it",
    )
    yield of("currency", "text", lambda s: s.customer.cart.currency, "its currency: EUR")
    yield of("products", "texts", _of_cart("product_id"), "ids of the products in it")
    yield of("categories", "texts", _of_cart("category"), "their categories")
    yield of("brands", "texts", _of_cart("brand"), "their brands")
    yield of(
        "changed",
        "instant",
        lambda s: s.customer.cart.changed or None,
        "when it was changed last; with `cart.items` above 0: since when it is left",
    )
    yield of(
        "number",
        "number",
        lambda s: s.customer.cart.number,
        "carts that the customer has had before this one",
    )
    yield of(
        "step",
        "text",
        lambda s: s.customer.cart.step,
        "how far its checkout has come: `started`, or the step that the shop named last",
    )


def _orders_in_numbers() -> Iterator[Field]:
    def of(name: str, type_: FieldType, read: Read, about: str) -> Field:
        return Field(f"orders.{name}", type_, "orders", read, about)

    yield of("count", "number", lambda s: s.customer.statistics.count, "orders ever")
    yield of(
        "items", "number", lambda s: as_number(s.customer.statistics.items), "pieces bought ever"
    )
    yield of(
        "currency",
        "text",
        lambda s: _currency(s.customer),
        "currency of the last order; texts name sums of the orders in it, conditions compare those "
        "of all orders in the shop's",
    )
    yield _sum(
        "spent", lambda s: spent(s.customer), sums.spent, "sum of all orders, before refunds"
    )
    yield _sum("refunded", lambda s: _refunded(s.customer), sums.refunded, "sum of all refunds")
    yield _sum(
        "net",
        lambda s: spent(s.customer) - _refunded(s.customer),
        sums.net,
        "spent less refunded",
    )
    yield of(
        "refund_share",
        "number",
        _refund_share,
        "share of what was spent that was refunded, 0 to 1",
    )
    yield _sum("average", _average, sums.average, "average order value")
    yield _sum("largest", _largest, sums.largest, "value of the largest order")
    yield of("refunds", "number", lambda s: s.customer.statistics.refunds, "how many refunds")
    yield of(
        "first",
        "instant",
        lambda s: s.customer.statistics.first or None,
        "when the first order was placed",
    )
    yield of(
        "last",
        "instant",
        lambda s: s.customer.statistics.last or None,
        "when the last order was placed",
    )
    yield of(
        "interval",
        "number",
        _interval,
        "days between two orders, on average; unknown before the second",
    )
    yield of(
        "with_coupon",
        "number",
        lambda s: s.customer.purchases.with_coupon,
        "orders with a code or a discount",
    )
    yield of("coupon_share", "number", _coupon_share, "share of these, 0 to 1")


def _orders_per_month() -> Iterator[Field]:
    yield Field(
        "orders.per_month",
        "number",
        "orders",
        _per_month,
        "orders a month since the first one; in the first month their count",
        changes=_per_month_changes,
        flows=True,
    )
    yield Field(
        "orders.spent_per_month",
        "number",
        "orders",
        _spent_per_month,
        "spent a month since the first order; in the first month the sum",
        changes=_spent_per_month_changes,
        flows=True,
    )
    yield _sum(
        "spent_30d",
        _spent_lately,
        lambda s: sums.of_orders(_since(s), s),
        "spent in the last 30 days, of the last 20 orders",
    )._replace(changes=_spent_lately_changes)
    yield _sum(
        "best_month",
        _best_month,
        sums.best_month,
        "spent in the best calendar month of the last 24 with orders",
    )
    yield Field(
        "orders.months",
        "numbers",
        "orders",
        _months,
        "months of the year (1 to 12) in which the customer has ordered",
    )


def _latest_order() -> Iterator[Field]:
    def of(name: str, type_: FieldType, read: Callable[[Order], Any], about: str) -> Field:
        empty: Any = {"text": "", "texts": ()}.get(type_)
        return Field(f"orders.{name}", type_, "orders", partial(_of_last, read, empty), about)

    yield _sum(
        "last_total",
        partial(_of_last, attrgetter("total"), None),
        lambda s: sums.of_orders(s.customer.orders[-1:], s) if s.customer.orders else None,
        "value of the last order",
    )
    yield of(
        "last_status",
        "text",
        attrgetter("status"),
        "completed, shipped, delivered, cancelled or refunded",
    )
    yield of(
        "last_products", "texts", partial(texts_of, "product_id"), "products of the last order"
    )
    yield of("last_categories", "texts", partial(texts_of, "category"), "their categories")


def _bought() -> Iterator[Field]:
    def of(name: str, type_: FieldType, read: Read, about: str) -> Field:
        return Field(f"orders.{name}", type_, "orders", read, about)

    yield of(
        "products",
        "texts",
        lambda s: s.customer.purchases.products,
        "products bought, the latest 100",
    )
    yield of(
        "categories",
        "texts",
        lambda s: s.customer.purchases.categories,
        "categories bought, the latest 40",
    )
    yield of(
        "brands", "texts", lambda s: s.customer.purchases.brands, "brands bought, the latest 40"
    )
    yield of(
        "payment_methods",
        "texts",
        lambda s: s.customer.purchases.payment_methods,
        "payment methods used",
    )
    yield of(
        "payment_method",
        "text",
        lambda s: _favourite(s.customer.purchases.payment_methods),
        "the one that was used most often, of equals the latest",
    )
    yield of(
        "category",
        "text",
        lambda s: _favourite(s.customer.purchases.categories),
        "the category in most orders, of equals the latest",
    )


def _interests() -> Iterator[Field]:
    def of(name: str, type_: FieldType, read: Read, about: str) -> Field:
        return Field(f"interests.{name}", type_, "interests", read, about)

    yield of(
        "products",
        "texts",
        lambda s: s.customer.interests,
        "products looked at or wished for, the latest 50",
    )
    yield of("categories", "texts", _interesting_categories, "their categories")
    yield of("repeated", "texts", _repeated, "those looked at more than once")
    yield of("most_views", "number", _most_views, "how often one product was looked at, at most 10")
    yield of("wished", "texts", _wished, "products on the wish list")
    # Reads what was bought as well: orders say that they change interests too.
    yield of("not_bought", "texts", _not_bought, "products looked at and never bought")


def amount(name: str, part: Part, read: Read, compared: Read, currency: Read, about: str) -> Field:
    """Return the field of an amount."""
    return Field(name, "money", part, read, about, compared=compared, currency=currency)


def _sum(name: str, read: Read, compared: Read, about: str) -> Field:
    return amount(
        f"orders.{name}", "orders", read, compared, lambda s: _currency(s.customer), about
    )


def pieces(lines: Iterable[LineItem]) -> int | float:
    """Return how many pieces lines are together."""
    return as_number(sum(line.quantity for line in lines))


def texts_of(name: str, about: Order | Iterable[LineItem]) -> list[str]:
    """Return the different texts that the lines have under `name`, without the empty one."""
    lines = about.lines if isinstance(about, Order) else about
    return list(dict.fromkeys(text for line in lines if (text := getattr(line, name))))


def spent(customer: Customer) -> Decimal:
    """Return the sum of all orders in the currency of the last one."""
    return customer.statistics.spent.get(_currency(customer), Decimal(0))


def _cart_total(evaluation: EvaluationContext) -> Decimal | None:
    cart = evaluation.customer.cart
    totals = cart.totals().items()
    return sum_in_shops(((total, code, cart.changed) for code, total in totals), evaluation)


def _of_cart(name: str) -> Read:
    return lambda evaluation: texts_of(name, evaluation.customer.cart.lines)


def _of_last(read: Callable[[Order], Any], empty: Any, evaluation: EvaluationContext) -> Any:
    orders = evaluation.customer.orders
    return read(orders[-1]) if orders else empty


def _currency(customer: Customer) -> str:
    if customer.orders:
        return customer.orders[-1].currency
    return next(iter(customer.statistics.spent), "")


def _refunded(customer: Customer) -> Decimal:
    return customer.statistics.refunded.get(_currency(customer), Decimal(0))


def _refund_share(evaluation: EvaluationContext) -> float | None:
    total = spent(evaluation.customer)
    return min(1.0, float(_refunded(evaluation.customer) / total)) if total > 0 else None


def _average(evaluation: EvaluationContext) -> Decimal | None:
    customer = evaluation.customer
    count = customer.purchases.counts.get(_currency(customer), customer.statistics.count)
    return spent(customer) / count if count > 0 else None


def _largest(evaluation: EvaluationContext) -> Decimal | None:
    return evaluation.customer.purchases.largest.get(_currency(evaluation.customer))


def _interval(evaluation: EvaluationContext) -> float | None:
    numbers = evaluation.customer.statistics
    return (
        (numbers.last - numbers.first) / DAY_MS / (numbers.count - 1) if numbers.count > 1 else None
    )


def _coupon_share(evaluation: EvaluationContext) -> float | None:
    count = evaluation.customer.statistics.count
    return min(1.0, evaluation.customer.purchases.with_coupon / count) if count > 0 else None


def _months_since_first(evaluation: EvaluationContext) -> float:
    return max(1.0, (evaluation.now - evaluation.customer.statistics.first) / MONTH)


def _per_month(evaluation: EvaluationContext) -> float:
    return evaluation.customer.statistics.count / _months_since_first(evaluation)


def _spent_per_month(evaluation: EvaluationContext) -> float | None:
    total = sums.spent(evaluation)
    return None if total is None else float(total) / _months_since_first(evaluation)


def _per_month_changes(evaluation: EvaluationContext, thresholds: Sequence[float]) -> int:
    return _thins_out(evaluation, evaluation.customer.statistics.count, _per_month, thresholds)


def _spent_per_month_changes(evaluation: EvaluationContext, thresholds: Sequence[float]) -> int:
    return _thins_out(evaluation, float(sums.spent(evaluation) or 0), _spent_per_month, thresholds)


def _thins_out(
    evaluation: EvaluationContext,
    total: float,
    read: Callable[[EvaluationContext], float | None],
    thresholds: Sequence[float],
) -> int:
    """Nothing comes, so what there is spreads over ever more months."""
    first, earliest = evaluation.customer.statistics.first, NEVER
    if not first or total <= 0:
        return NEVER
    for threshold in thresholds:
        if 0 < threshold <= total:
            near = first + MONTH * total / threshold
            passed = early(near, evaluation.now)
            if passed is None:
                then = partial(_then, read, evaluation)
                passed = exact(then, evaluation.now, threshold, near)
            earliest = min(earliest, passed)
    return earliest


def _then(
    read: Callable[[EvaluationContext], float | None], evaluation: EvaluationContext, time: int
) -> float:
    return read(evaluation._replace(now=time)) or 0.0


def _since(evaluation: EvaluationContext) -> list[Order]:
    since = evaluation.now - _SPENT_SPAN
    return [order for order in evaluation.customer.orders if order.time > since]


def _lately(evaluation: EvaluationContext) -> list[Order]:
    currency = _currency(evaluation.customer)
    return [order for order in _since(evaluation) if order.currency == currency]


def _spent_lately(evaluation: EvaluationContext) -> Decimal:
    return sum((order.total for order in _lately(evaluation)), Decimal(0))


def _spent_lately_changes(evaluation: EvaluationContext, thresholds: Sequence[float]) -> int:
    return min((order.time + _SPENT_SPAN for order in _since(evaluation)), default=NEVER)


def _best_month(evaluation: EvaluationContext) -> Decimal | None:
    currency = _currency(evaluation.customer)
    months = evaluation.customer.purchases.months.values()
    return max((m.spent[currency] for m in months if currency in m.spent), default=None)


def _months(evaluation: EvaluationContext) -> list[int]:
    return sorted({int(month[5:]) for month in evaluation.customer.purchases.months})


def _favourite(bought: Mapping[str, Bought]) -> str:
    return max(bought, key=lambda name: (bought[name].orders, bought[name].last), default="")


def _interesting_categories(evaluation: EvaluationContext) -> Collection[str]:
    return {each.category for each in evaluation.customer.interests.values() if each.category}


def _repeated(evaluation: EvaluationContext) -> list[str]:
    return [name for name, each in evaluation.customer.interests.items() if len(each.times) > 1]


def _most_views(evaluation: EvaluationContext) -> int:
    return max((len(each.times) for each in evaluation.customer.interests.values()), default=0)


def _wished(evaluation: EvaluationContext) -> list[str]:
    return [name for name, each in evaluation.customer.interests.items() if each.wished]


def _not_bought(evaluation: EvaluationContext) -> list[str]:
    bought = evaluation.customer.purchases.products
    interests = evaluation.customer.interests.items()
    return [name for name, each in interests if each.times and name not in bought]
