"""Cohorts: K12. Rows are months (or sources) of first orders, columns months since.

Values: customers who ordered, orders, revenue, and the revenue of a customer so far, which is the
lifetime value as it was seen. The column of the month that isn't over is partial.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from agents.insights.kpi_formulas import ratio
from schemas.figures import Figure
from streams.insights.errors import QuestionError
from streams.insights.questions.inquiry import Inquiry

GROUPS = ("month", "source")


def cohorts(ask: Inquiry) -> list[Figure]:
    """Return four figures for each row and column. Spans are those of the first orders."""
    by = ask.scope.by or "month"
    if by not in GROUPS:
        raise QuestionError(f"by: cohorts are by {' or '.join(GROUPS)} (got {by!r})")
    currency = ask.currency()
    key = "strftime(first_day, '%Y-%m')" if by == "month" else "f.source"
    rows = ask.rows(
        f"""WITH {ask.orders()}, {ask.firsts("currency = $currency")}, placed AS (
            SELECT {key} AS key, o.person, value,
                date_diff('month', date_trunc('month', first_day), date_trunc('month', day))
                AS period, strftime(day, '%Y-%m') AS month
            FROM orders o JOIN firsts f ON f.person = o.person
            WHERE currency = $currency AND {ask.within("first_day")}
        )
        SELECT key, period, count(DISTINCT person), count(*), sum(value), max(month)
        FROM placed GROUP BY ALL ORDER BY key, period""",
        {"currency": currency},
    )
    last = ask.last_day()
    figures: list[Figure] = []
    size, so_far, row = 0, Decimal(0), None
    for key_, period, customers, orders, revenue, month in rows:
        if key_ != row:
            row, size, so_far = key_, customers, Decimal(0)
        so_far += revenue
        about: dict[str, Any] = {
            **ask.span, "by": by, "key": key_, "period": int(period),
            "partial": last is None or month >= f"{last:%Y-%m}",
        }  # fmt: skip
        figures += [
            Figure(kpi="cohort.customers", value=customers, unit="customers", numerator=customers,
                   denominator=size, of="customers of the cohort", **about),
            Figure(kpi="cohort.orders", value=orders, unit="orders", **about),
            Figure(kpi="cohort.revenue", value=revenue, unit=currency, **about),
            Figure(kpi="cohort.revenue_per_customer", value=ratio(so_far, size), unit=currency,
                   numerator=so_far, denominator=size, of="customers of the cohort", **about),
        ]  # fmt: skip
    return figures
