"""Carts, checkouts, reviews: K03, K09 and the measured side of K13."""

from __future__ import annotations

from typing import Any

from schemas.figures import Figure
from streams.insights.questions.inquiry import Inquiry, group_of, share

RECOVERY_DAYS = 7
"""After which an order recovers a cart no more, as the facts have it."""

CHECKOUT_HOURS = 24
REVIEW_DAYS = 30


def carts(ask: Inquiry) -> list[Figure]:
    """Carts that were left behind, those that an order closed, and what those orders brought. A
    share comes back by itself: the holdout's is to be taken off (`ritorno experiments`)."""
    by = ask.scope.by or ""
    key = group_of(by, "a.")
    if key is None:
        return []
    rows = ask.rows(
        f"""WITH {ask.orders()}, a AS (SELECT * FROM visits WHERE fact = 'cart.abandoned'),
        closed AS (
            SELECT cart, arg_min(order_id, happened) AS order_id FROM visits
            WHERE fact = 'cart.recovered' GROUP BY cart
        ), r AS (
            SELECT closed.cart, CASE WHEN row_number() OVER
                (PARTITION BY closed.order_id ORDER BY closed.cart) = 1 THEN o.value END AS brought
            FROM closed LEFT JOIN orders o
                ON o.order_id = closed.order_id AND o.currency = $currency
        )
        SELECT {key} AS key, count(*), sum(a.value) FILTER (a.currency = $currency),
            count(*) FILTER (passed), count(*) FILTER (passed AND back),
            sum(a.brought) FILTER (passed AND back)
        FROM (
            SELECT a.*, a.happened + INTERVAL {RECOVERY_DAYS} DAY <= {ask.known_until()} AS passed,
                r.cart IS NOT NULL AS back, r.brought
            FROM a LEFT JOIN r ON r.cart = a.cart WHERE {ask.within()} AND {ask.of_workflow()}
        ) a GROUP BY 1 ORDER BY 1""",
        {"currency": ask.currency("visits")},
    )
    figures: list[Figure] = []
    for key_, count, value, passed, back, back_value in rows:
        about: dict[str, Any] = {**ask.span, "by": by, "key": key_}
        window: dict[str, Any] = {"window_days": RECOVERY_DAYS}
        figures += [
            Figure(kpi="cart.abandoned", value=count, unit="carts", **about),
            Figure(kpi="cart.abandoned_value", value=value, unit=ask.currency("visits"), **about),
            share("cart.recovery_rate", back, passed, of="carts whose window has passed",
                  **about, **window),
            Figure(kpi="cart.recovered_value", value=back_value, unit=ask.currency("visits"),
                   **about, **window),
        ]  # fmt: skip
    return figures


def checkouts(ask: Inquiry) -> list[Figure]:
    """Checkouts without an order of the same person within a day: the *a* of the calculator."""
    if ask.scope.by not in (None, "month"):
        return []
    by = ask.scope.by or ""
    key = "strftime(c.day, '%Y-%m')" if by else "''"
    rows = ask.rows(
        f"""WITH {ask.orders()}, c AS (
            SELECT v.day, v.happened, coalesce(m.into_person, v.person) AS person, v.cart
            FROM visits v LEFT JOIN merges m ON m.person = v.person
            WHERE v.fact = 'checkout.started' AND {ask.within("v.day")}
                AND v.happened + INTERVAL {CHECKOUT_HOURS} HOUR <= {ask.known_until()}
        ), done AS (
            SELECT DISTINCT c.cart FROM c JOIN orders o ON o.person = c.person
            WHERE o.placed_at BETWEEN c.happened AND c.happened + INTERVAL {CHECKOUT_HOURS} HOUR
        )
        SELECT {key} AS key, count(DISTINCT c.cart),
            count(DISTINCT c.cart) FILTER (c.cart NOT IN (SELECT cart FROM done))
        FROM c GROUP BY 1 ORDER BY 1"""
    )
    return [
        share("checkout.abandoned_rate", left, begun, of="checkouts", **ask.span, by=by, key=key_,
              window_days=1)
        for key_, begun, left in rows if begun
    ]  # fmt: skip


def reviews(ask: Inquiry) -> list[Figure]:
    """Of who was asked for a review, who wrote one within the window."""
    by = ask.scope.by or ""
    key = group_of(by, "q.")
    if key is None:
        return []
    rows = ask.rows(
        f"""WITH q AS (
            SELECT v.* REPLACE (coalesce(m.into_person, v.person) AS person),
                happened + INTERVAL {REVIEW_DAYS} DAY <= {ask.known_until()} AS passed
            FROM visits v LEFT JOIN merges m ON m.person = v.person
            WHERE fact = 'review.requested' AND {ask.within()} AND {ask.of_workflow()}
        ), written AS (
            SELECT coalesce(m.into_person, v.person) AS person, happened
            FROM visits v LEFT JOIN merges m ON m.person = v.person
            WHERE fact = 'review.submitted'
        )
        SELECT {key} AS key, count(*) FILTER (passed), count(*) FILTER (passed AND EXISTS (
            SELECT 1 FROM written s WHERE s.person = q.person
            AND s.happened BETWEEN q.happened AND q.happened + INTERVAL {REVIEW_DAYS} DAY))
        FROM q GROUP BY 1 ORDER BY 1"""
    )
    return [
        share("review_rate", written, asked, of="requests whose window has passed", **ask.span,
              by=by, key=key_, window_days=REVIEW_DAYS)
        for key_, asked, written in rows if asked
    ]  # fmt: skip
