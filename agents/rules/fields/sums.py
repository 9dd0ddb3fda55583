"""Sums of a customer's orders in the shop's currency, as conditions compare them.

Each order counts at the rates of its own time; what is no longer kept in detail, at those of the
oldest order that is. What there is no rate for is left out; None when nothing else is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from agents.rules.evaluation import EvaluationContext
from agents.rules.exchange import in_shops, shops_currency, sum_in_shops
from schemas.customer.shopping import Order
from schemas.instant import parse_instant


def spent(evaluation: EvaluationContext) -> Decimal | None:
    """Return the sum of all orders, before refunds."""
    return _of_all(evaluation.customer.statistics.spent, evaluation, detailed=True)


def refunded(evaluation: EvaluationContext) -> Decimal | None:
    """Return the sum of all refunds."""
    return _of_all(evaluation.customer.statistics.refunded, evaluation, detailed=False)


def net(evaluation: EvaluationContext) -> Decimal | None:
    """Return what was spent less what was refunded."""
    total, back = spent(evaluation), refunded(evaluation)
    return None if total is None or back is None else total - back


def average(evaluation: EvaluationContext) -> Decimal | None:
    """Return the value of an order on average, of those whose worth is known."""
    total, numbers = spent(evaluation), evaluation.customer.statistics
    counts = evaluation.customer.purchases.counts
    known = [code for code in counts if _rate_known(code, numbers.last, evaluation)]
    count = sum(counts[code] for code in known) if known else numbers.count
    return None if total is None or count <= 0 else total / count


def largest(evaluation: EvaluationContext) -> Decimal | None:
    """Return the value of the largest order."""
    last = evaluation.customer.statistics.last
    amounts = evaluation.customer.purchases.largest.items()
    found = (in_shops(amount, code, last, evaluation) for code, amount in amounts)
    return max((amount for amount in found if amount is not None), default=None)


def best_month(evaluation: EvaluationContext) -> Decimal | None:
    """Return what was spent in the best calendar month."""
    found = []
    for name, month in evaluation.customer.purchases.months.items():
        begins = parse_instant(f"{name}-01T00:00:00Z")
        amounts = ((amount, code, begins) for code, amount in month.spent.items())
        found.append(sum_in_shops(amounts, evaluation))
    return max((amount for amount in found if amount is not None), default=None)


def of_orders(orders: Iterable[Order], evaluation: EvaluationContext) -> Decimal | None:
    """Return the sum of some orders."""
    return sum_in_shops(((o.total, o.currency, o.time) for o in orders), evaluation)


def _rate_known(currency: str, time: int, evaluation: EvaluationContext) -> bool:
    return in_shops(Decimal(1), currency, time, evaluation) is not None


def _of_all(
    amounts: Mapping[str, Decimal], evaluation: EvaluationContext, *, detailed: bool
) -> Decimal | None:
    return sum_in_shops(_parts(amounts, evaluation, detailed=detailed), evaluation)


def _parts(
    amounts: Mapping[str, Decimal], evaluation: EvaluationContext, *, detailed: bool
) -> Iterator[tuple[Decimal, str, int]]:
    """Yield what a sum consists of; of the shop's own currency it is one part."""
    customer, own = evaluation.customer, shops_currency(evaluation.rules)
    for currency, amount in amounts.items():
        if currency == own:
            yield amount, currency, 0
            continue
        kept = [order for order in customer.orders if order.currency == currency]
        if detailed:
            yield from ((order.total, currency, order.time) for order in kept)
            amount -= sum((order.total for order in kept), Decimal(0))  # noqa: PLW2901  # the rest
        yield amount, currency, kept[0].time if kept else customer.statistics.last
