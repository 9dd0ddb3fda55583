"""Amounts in the shop's currency, in which thresholds are given.

Without a rate that was valid at the time an amount of another currency isn't known: nobody compares
yen with euros. Whoever asks is told of it (`missing`).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from agents.rules.evaluation import EvaluationContext, Rules

ASSUMED = "EUR"
"""The currency of a shop that names none, as of an event that names none."""


def shops_currency(rules: Rules) -> str:
    """Return the shop's currency: that of its rates, else of its loyalty programme."""
    if rules.rates is not None:
        return rules.rates.currency
    return rules.loyalty.currency if rules.loyalty is not None else ASSUMED


def exchanged(amount: Decimal, currency: str, to: str, time: int, rules: Rules) -> Decimal | None:
    """Return an amount in another currency at the rates of `time`; None without a rate."""
    if currency == to:
        return amount
    if rules.rates is None:
        return None
    worth, others = rules.rates.worth(currency, time), rules.rates.worth(to, time)
    return None if worth is None or others is None else amount * worth / others


def in_shops(
    amount: Decimal | None, currency: str, time: int, evaluation: EvaluationContext
) -> Decimal | None:
    """Return an amount in the shop's currency; None when it isn't known, or without a rate, which
    is then said."""
    if amount is None:
        return None
    own = shops_currency(evaluation.rules)
    if not currency or currency == own:
        return amount
    found = exchanged(amount, currency, own, time, evaluation.rules)
    if found is None and evaluation.missing_rates is not None:
        evaluation.missing_rates.add(currency)
    return found


def sum_in_shops(
    amounts: Iterable[tuple[Decimal, str, int]], evaluation: EvaluationContext
) -> Decimal | None:
    """Return the sum of amounts, each with its currency and time, in the shop's currency.

    What there is no rate for is left out, and said; None when nothing is left.
    """
    total, known, unknown = Decimal(0), False, False
    for amount, currency, time in amounts:
        if not amount:
            continue
        worth = in_shops(amount, currency, time, evaluation)
        if worth is None:
            unknown = True
        else:
            total, known = total + worth, True
    return total if known or not unknown else None
