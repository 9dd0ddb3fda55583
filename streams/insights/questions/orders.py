"""Orders and who placed them: K04 to K07 and K09 of the catalogue.

An order counts on the day it was placed, and a refund takes off it there. Persons are pseudonyms;
whoever was erased counts no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from agents.insights.kpi_formulas import lifetime_value, ratio, retention
from schemas.figures import Basis, Figure
from streams.insights.errors import QuestionError
from streams.insights.questions.inquiry import Inquiry, share
from streams.insights.tables import GROSS, NET

GROUPS: Mapping[str, str] = {
    "month": "strftime(day, '%Y-%m')",
    "source": "source",
    "segment": "unnest(segments)",
}
"""By what orders can be grouped, and the SQL of the group. An order of several segments counts in
each of them."""

YEAR_DAYS = Decimal("365.25")
LEAST_DAYS = 365
"""Of which orders have to be known before it is said how many a year has."""


def orders(ask: Inquiry) -> list[Figure]:
    """Orders, revenue, average order, customers, who came back, simple lifetime value."""
    by = ask.scope.by or ""
    if by and by not in GROUPS:
        return []
    currency = ask.currency()
    found = ask.rows(
        f"""WITH {ask.orders()}, scoped AS (
            SELECT {GROUPS.get(by, "''")} AS key, person, value FROM orders
            WHERE {ask.within()} AND currency = $currency
        )
        SELECT key, sum(n), sum(value), count(*), count(*) FILTER (n >= 2) FROM (
            SELECT key, person, count(*) AS n, sum(value) AS value FROM scoped GROUP BY ALL
        ) GROUP BY key ORDER BY key""",
        {"currency": currency},
    )
    aged = _aged(ask, currency) if by in ("", "month", "source") else {}
    keys = sorted({row[0] for row in found} | aged.keys()) if by else [""]
    known = {row[0]: row[1:] for row in found}
    figures: list[Figure] = []
    for key in keys:
        count, revenue, customers, repeats = known.get(key, (0, Decimal(0), 0, 0))
        more, amount = aged.get(key, (0, Decimal(0)))
        basis: Basis = "facts" if key not in aged else "facts+sums" if count else "sums"
        count, revenue = int(count) + more, revenue + amount
        about: dict[str, Any] = {**ask.span, "by": by, "key": key}
        figures += [
            Figure(kpi="orders", value=count, unit="orders", basis=basis, **about),
            Figure(kpi="revenue", value=revenue, unit=currency, basis=basis, **about),
            Figure(
                kpi="aov", value=ratio(revenue, count), unit=currency, numerator=revenue,
                denominator=count, of="orders", basis=basis, **about,
            ),
            Figure(kpi="customers", value=customers, unit="customers", **about),
            share("repurchase_rate", repeats, customers, of="customers", **about),
        ]  # fmt: skip
        if customers and key not in aged:
            figures.append(_simple_value(ask, revenue, count, customers, about))
    return figures


def _aged(ask: Inquiry, currency: str) -> dict[str, tuple[int, Decimal]]:
    """Return orders and revenue of the months of which only sums are left, by group; off them what
    was paid back since, of which the facts are still there. Raises QuestionError where a part of
    such a month is asked about."""
    _refuse_parts(ask)
    key = {"month": "strftime(month, '%Y-%m')", "source": "source"}.get(ask.scope.by or "", "''")
    kind = NET if ask.scope.refunds == "after" else GROSS
    rows = ask.rows(
        f"""WITH late AS (
            SELECT order_id, date_trunc('month', any_value(day))::DATE AS month,
                any_value(source) AS source, any_value(currency) AS currency,
                -bool_or(whole)::INTEGER AS facts, -sum(amount) AS amount
            FROM purchases WHERE fact IN ('order.refunded', 'order.cancelled') AND order_id NOT IN
                (SELECT order_id FROM purchases WHERE fact IN ('order.placed', 'order.repeated')
                 AND order_id IS NOT NULL)
            GROUP BY order_id
        )
        SELECT {key} AS key, sum(facts), sum(amount) FROM (
            SELECT month, source, currency, facts, amount FROM sums WHERE fact = '{kind}'
            UNION ALL SELECT month, source, currency, facts, amount FROM late
            WHERE '{kind}' = '{NET}'
        ) WHERE currency = $currency AND {ask.within("month")}
            AND month IN (SELECT month FROM sums WHERE fact = '{GROSS}')
        GROUP BY 1""",
        {"currency": currency},
    )
    return {key: (int(count), amount) for key, count, amount in rows}


def _refuse_parts(ask: Inquiry) -> None:
    known = ask.last_day()
    for name, day in (("from", ask.scope.first), ("to", ask.scope.last)):
        if day is None or (name == "to" and known and day >= known):
            continue
        begins, next_ = day.replace(day=1), _next_month(day.replace(day=1))
        ends = next_ - timedelta(days=1)
        if day != (begins if name == "from" else ends) and ask.rows(
            f"SELECT 1 FROM sums WHERE fact = '{GROSS}' AND month = DATE '{begins}' LIMIT 1"
        ):
            whole = begins if name == "from" else ends
            raise QuestionError(
                f"{name}: of {begins:%Y-%m} only the sum of the whole month is left; "
                f"ask {name} {whole} (got {day})"
            )


def _simple_value(
    ask: Inquiry, revenue: Decimal, count: int, customers: int, about: Mapping[str, Any]
) -> Figure:
    """K07: average order × orders a year of a customer × years.

    Of a span under a year it can't be known: in it only those count who have ordered, so one order
    in a month would become twelve in a year.
    """
    days = Decimal(0) if ask.scope.by == "month" else _days_known(ask)
    order_value = ratio(revenue, count) or Decimal(0)
    value = None
    if days >= LEAST_DAYS:
        orders_a_year = Decimal(count) / customers * YEAR_DAYS / days
        value = lifetime_value(order_value, orders_a_year, ask.scope.years)
    return Figure(
        kpi="clv.simple", value=value, unit=ask.currency(), numerator=order_value,
        denominator=customers,
        of="customers" if value is not None else "customers; cannot be known of under a year",
        window_days=int(ask.scope.years * YEAR_DAYS), **about,
    )  # fmt: skip


def _days_known(ask: Inquiry) -> Decimal:
    """Return of how many days of the span orders are known."""
    first = ask.one("SELECT min(day) FROM purchases WHERE fact = 'order.placed'")[0]
    last = ask.last_day()
    if first is None or last is None:
        return Decimal(0)
    first, last = max(first, ask.scope.first or first), min(last, ask.scope.last or last)
    return Decimal((last - first).days + 1)


def second_order(ask: Inquiry) -> list[Figure]:
    """K09: who has ordered again within the window of the first order; orders of the same instant
    are one that was split.

    `second_order` has only customers whose window has passed in its denominator; with all of them,
    `second_order.all`, each month that isn't over long enough looks bad.
    """
    by = ask.scope.by or ""
    keys = {"": "''", "month": "strftime(first_day, '%Y-%m')", "source": "source"}
    if by not in keys:
        return []
    window = ask.scope.window_days
    rows = ask.rows(
        f"""WITH {ask.orders()}, {ask.firsts()}, counted AS (
            SELECT f.person, f.first_at, f.first_day, f.source,
                bool_or(o.placed_at > f.first_at
                    AND o.placed_at <= f.first_at + INTERVAL {window} DAY) AS again
            FROM firsts f JOIN orders o ON o.person = f.person
            WHERE {ask.within("f.first_day")}
            GROUP BY ALL
        )
        SELECT {keys[by]} AS key, count(*), count(*) FILTER (again),
            count(*) FILTER (passed), count(*) FILTER (passed AND again)
        FROM (SELECT *, first_at + INTERVAL {window} DAY <= {ask.known_until()} AS passed
              FROM counted)
        GROUP BY 1 ORDER BY 1"""
    )
    figures = []
    for key, everybody, again, passed, again_passed in rows:
        about: dict[str, Any] = {**ask.span, "by": by, "key": key, "window_days": window}
        figures += [
            share("second_order", again_passed, passed, of="customers whose window has passed",
                  **about),
            share("second_order.all", again, everybody, of="customers", partial=passed < everybody,
                  **about),
        ]  # fmt: skip
    return figures


def kept(ask: Inquiry) -> list[Figure]:
    """K06: customers of the span before who ordered in this one, and the article's formula, which
    counts those who come back from earlier as kept."""
    first, last = ask.scope.first, ask.scope.last
    if ask.scope.by not in (None, "month"):
        return []
    if ask.scope.by == "month":
        months = ask.rows(
            f"SELECT DISTINCT date_trunc('month', day)::DATE FROM purchases "
            f"WHERE fact = 'order.placed' AND {ask.within()} ORDER BY 1"
        )
        spans = [(month, _next_month(month) - timedelta(days=1)) for (month,) in months]
    elif first is None or last is None:
        return []
    else:
        spans = [(first, last)]
    figures = []
    for start, end in spans[-240:]:
        before, until = span_before(start, end)
        at_start, at_end, new, stayed = ask.one(
            f"""WITH {ask.orders()}, persons AS (
                SELECT person, min(day) AS first_day,
                    bool_or(day BETWEEN DATE '{before}' AND DATE '{until}') AS was,
                    bool_or(day BETWEEN DATE '{start}' AND DATE '{end}') AS "is"
                FROM orders GROUP BY person
            )
            SELECT count(*) FILTER (was), count(*) FILTER ("is"),
                count(*) FILTER ("is" AND first_day >= DATE '{start}'),
                count(*) FILTER (was AND "is") FROM persons"""
        )
        known = ask.last_day()
        about: dict[str, Any] = {
            "first_day": str(start), "last_day": str(end), "by": ask.scope.by or "",
            "key": f"{start:%Y-%m}" if ask.scope.by else "",
            "partial": known is None or end >= known, "basis": ask.basis(str(before), str(end)),
        }  # fmt: skip
        figures += [
            Figure(
                kpi="retention.formula", value=retention(at_end, new, at_start), unit="%",
                numerator=at_end - new, denominator=at_start, of="customers of the span before",
                **about,
            ),
            share("retention.kept", stayed, at_start, of="customers of the span before", **about),
        ]  # fmt: skip
    return figures


def span_before(first: date, last: date) -> tuple[date, date]:
    """Return the span before: as many whole months where it is whole months, else as many days."""
    after = last + timedelta(days=1)
    if first.day == 1 and after.day == 1:
        months = (after.year - first.year) * 12 + after.month - first.month
        number = first.year * 12 + first.month - 1 - months
        return date(number // 12, number % 12 + 1, 1), first - timedelta(days=1)
    return first - (after - first), first - timedelta(days=1)


def _next_month(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)
