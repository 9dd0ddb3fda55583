"""What workflows bring: K02, K04, K08, K10, and a workflow's funnel.

Credit is the actor's decision, one order credited once; a refund takes back at the time of the
order. By a code or a click (`attribution.revenue`) is apart from *influenced*, sent within the
window, which is an upper bound. What was really added only a holdout tells (`ritorno experiments`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agents.insights.kpi_formulas import return_on_investment
from schemas.figures import Figure
from streams.insights.errors import QuestionError
from streams.insights.questions.inquiry import Inquiry, group_of, share

REACTIVATION_DAYS = 30
REVENUE_DAYS = 90
SMALLEST = Decimal("0.0001")
"""Part of a unit of a currency, as amounts are kept."""


def attribution(ask: Inquiry) -> list[Figure]:
    """Revenue and orders credited, by workflow unless asked otherwise."""
    by = ask.scope.by or "workflow"
    key = group_of(by)
    if key is None:
        raise QuestionError(f"by: credits can't be grouped by {by}")
    ask.know_workflow()
    currency = ask.currency()
    total = ask.one(
        f"WITH {ask.orders()} SELECT coalesce(sum(value), 0) FROM orders "
        f"WHERE {ask.within()} AND currency = $currency",
        {"currency": currency},
    )[0]
    rows = ask.rows(
        f"""WITH {_CREDITS.format(minus=_minus(ask))}
        SELECT {key} AS key, rule, count(DISTINCT order_id) FILTER ({_LEFT}), sum(amount)
        FROM credits
        WHERE {ask.within()} AND {ask.of_workflow()} AND currency = $currency
        GROUP BY ALL ORDER BY ALL""",
        {"currency": currency},
    )
    figures: list[Figure] = []
    keys = sorted({row[0] for row in rows})
    for each in keys:
        rules = {rule: (count, amount) for key_, rule, count, amount in rows if key_ == each}
        sure = [rules.get(rule, (0, Decimal(0))) for rule in ("coupon", "click")]
        about: dict[str, Any] = {**ask.span, "by": by, "key": each}
        revenue = sum((amount for _, amount in sure), Decimal(0))
        figures += [
            Figure(kpi="attribution.revenue", value=revenue, unit=currency, numerator=revenue,
                   denominator=total, of="revenue", **about),
            Figure(kpi="attribution.orders", value=sum(count for count, _ in sure), unit="orders",
                   **about),
        ]  # fmt: skip
        for rule, (count, amount) in rules.items():
            figures += [
                Figure(kpi=f"attribution.revenue.{rule}", value=amount, unit=currency,
                       numerator=amount, denominator=total, of="revenue", **about),
                Figure(kpi=f"attribution.orders.{rule}", value=count, unit="orders", **about),
            ]  # fmt: skip
    return figures


_CREDITS = """credits AS (
    SELECT c.order_id, c.workflow, c.step, c.variant, c.rule, c.currency,
        any_value(c.source) AS source, min(c.day) FILTER (c.fact = 'order.credited') AS day,
        bool_or(c.fact = 'order.credit_withdrawn') AS withdrawn,
        sum(CASE c.fact WHEN 'order.credited' THEN c.amount ELSE {minus} END) AS amount
    FROM purchases c
    ANTI JOIN (SELECT order_id FROM purchases WHERE fact = 'order.repeated') r
        ON r.order_id = c.order_id
    WHERE c.fact IN ('order.credited', 'order.credit_withdrawn') GROUP BY ALL
    HAVING bool_or(c.fact = 'order.credited')
)"""
"""Each credit as it is by now, on the day of its order. Of one that has aged a withdrawal alone may
be left, which would take off what isn't there."""

_LEFT = "amount > 0 OR NOT withdrawn"
"""Of which credits something is left."""


def _minus(ask: Inquiry) -> str:
    return "-c.amount" if ask.scope.refunds == "after" else "0"


def roi(ask: Inquiry) -> list[Figure]:
    """K08: (revenue − cost) / cost, of each workflow that has a cost, and of all.

    Revenue is what a code or a click credits. A cost without a workflow is of all of them, and of
    a month of which a part is asked about the cost is taken by days.
    """
    costs: dict[str, Decimal] = {}
    for cost in ask.scope.costs:
        if share_ := ask.share_of_month(cost.month):
            part = (cost.amount * share_).quantize(SMALLEST) if share_ < 1 else cost.amount
            costs[cost.workflow] = costs.get(cost.workflow, Decimal(0)) + part
    if not costs:
        raise QuestionError("no cost of the costs file lies in the span")
    currency = ask.currency()
    credited = dict(
        ask.rows(
            f"""WITH {_CREDITS.format(minus=_minus(ask))}
            SELECT workflow, sum(amount) FROM credits WHERE rule IN ('coupon', 'click')
            AND {ask.within()} AND currency = $currency GROUP BY 1""",
            {"currency": currency},
        )
    )
    figures = [
        _return(ask, workflow, credited.get(workflow, Decimal(0)), cost, currency)
        for workflow, cost in sorted(costs.items()) if workflow
    ]  # fmt: skip
    everything = sum(credited.values(), Decimal(0)), sum(costs.values(), Decimal(0))
    return [*figures, _return(ask, "", *everything, currency)]


def _return(ask: Inquiry, workflow: str, revenue: Decimal, cost: Decimal, currency: str) -> Figure:
    return Figure(
        kpi="roi.attributed", value=return_on_investment(revenue, cost), unit="%",
        numerator=revenue - cost, denominator=cost, of=f"cost, {currency}",
        by="workflow" if workflow else "", key=workflow, **ask.span,
    )  # fmt: skip


def conversions(ask: Inquiry) -> list[Figure]:
    """K02: of the runs that were entered in the span and whose window has passed, those that
    reached their goal within it. Who was held out was not reached, and is in neither number."""
    by = ask.scope.by or "workflow"
    key, window = group_of(by), ask.scope.window_days
    if key is None:
        return []
    rows = ask.rows(
        f"""WITH {_ENTERED.format(scope=f"{ask.within()} AND {ask.of_workflow()}")}, goals AS (
            SELECT run, min(happened) AS reached FROM runs WHERE fact = 'goal.reached' GROUP BY run
        )
        SELECT {key} AS key, count(*),
            count(*) FILTER (reached <= e.happened + INTERVAL {window} DAY)
        FROM entered e LEFT JOIN goals g ON g.run = e.run
        WHERE e.happened + INTERVAL {window} DAY <= {ask.known_until()}
        GROUP BY 1 ORDER BY 1"""
    )
    return [
        share("conversion_rate", reached, entered, of="runs whose window has passed", **ask.span,
              by=by, key=key_, window_days=window)
        for key_, entered, reached in rows
    ]  # fmt: skip


_ENTERED = """entered AS (
    SELECT r.* FROM runs r
    ANTI JOIN (SELECT run FROM runs WHERE fact = 'run.held') h ON h.run = r.run
    WHERE r.fact = 'run.entered' AND {scope}
)"""
"""The runs that were entered and not held out."""


def reactivations(ask: Inquiry) -> list[Figure]:
    """K10: of who got a first win-back mail, who ordered within 30 days; what they brought in 90.

    Win-back is the workflow that is asked about, else each one with `win-back` in its name.
    """
    if ask.scope.by not in (None, "workflow"):
        return []
    workflow = ask.of_workflow() if ask.scope.workflow else "workflow LIKE '%win-back%'"
    currency = ask.currency()
    rows = ask.rows(
        f"""WITH {ask.orders()}, mailed AS (
            SELECT workflow, coalesce(m.into_person, f.person) AS person,
                min(happened) AS since, min(day) AS day
            FROM mails f LEFT JOIN merges m ON m.person = f.person
            WHERE fate = 'sent' AND is_first AND {workflow} GROUP BY ALL
        ), joined AS (
            SELECT mailed.workflow, mailed.person, mailed.since, mailed.day,
                bool_or(o.placed_at <= mailed.since + INTERVAL {REACTIVATION_DAYS} DAY) AS back,
                sum(o.value) FILTER (o.currency = $currency
                    AND o.placed_at <= mailed.since + INTERVAL {REVENUE_DAYS} DAY) AS value
            FROM mailed
            LEFT JOIN orders o ON o.person = mailed.person AND o.placed_at > mailed.since
            WHERE {ask.within("mailed.day")} GROUP BY ALL
        )
        SELECT workflow, count(*) FILTER (passed), count(*) FILTER (passed AND back),
            sum(value) FILTER (back)
        FROM (SELECT *, since + INTERVAL {REACTIVATION_DAYS} DAY <= {ask.known_until()} AS passed
              FROM joined)
        GROUP BY 1 ORDER BY 1""",
        {"currency": currency},
    )
    figures: list[Figure] = []
    for workflow_, passed, back, value in rows:
        about: dict[str, Any] = {**ask.span, "by": "workflow", "key": workflow_}
        figures += [
            share("reactivation_rate", back, passed, of="mailed, whose window has passed",
                  window_days=REACTIVATION_DAYS, **about),
            Figure(kpi="reactivation_revenue", value=value or Decimal(0), unit=currency,
                   window_days=REVENUE_DAYS, **about),
        ]  # fmt: skip
    return figures


def funnel(ask: Inquiry) -> list[Figure]:
    """A workflow from entering to orders: the runs that were entered in the span and not held out,
    the mails of the span step by step and what became of them, then goals and credits."""
    workflow = ask.scope.workflow
    if not workflow:
        raise QuestionError("workflow: a funnel is of one workflow")
    ask.know_workflow()
    of_runs = _ENTERED.format(scope=f"{ask.within()} AND {ask.of_workflow()}")
    entered, goals = ask.one(
        f"""WITH {of_runs} SELECT count(*), count(*) FILTER
            (run IN (SELECT run FROM runs WHERE fact = 'goal.reached')) FROM entered"""
    )
    if not entered:
        raise QuestionError(f"no run of {workflow!r} was entered in the span")
    ended = ask.rows(
        f"""WITH {of_runs} SELECT how, count(DISTINCT run) FROM runs
        WHERE fact = 'run.ended' AND run IN (SELECT run FROM entered) GROUP BY 1 ORDER BY 1"""
    )
    steps = ask.rows(
        f"""WITH left_mails AS (
            SELECT mail, step, min(happened) AS since FROM mails
            WHERE fate = 'sent' AND {ask.within()} AND {ask.of_workflow()} AND step <> ''
            GROUP BY ALL
        ), engaged AS (
            SELECT mail, bool_or(fate = 'opened') AS opened, bool_or(fate = 'clicked') AS clicked
            FROM mails WHERE who = 'person' AND mail IN (SELECT mail FROM left_mails) GROUP BY mail
        )
        SELECT step, min(since), count(*), count(*) FILTER (opened), count(*) FILTER (clicked)
        FROM left_mails s LEFT JOIN engaged e ON e.mail = s.mail GROUP BY 1 ORDER BY 2, 1"""
    )
    orders = ask.one(
        f"""WITH {_CREDITS.format(minus=_minus(ask))}
        SELECT count(DISTINCT order_id) FROM credits
        WHERE rule IN ('coupon', 'click') AND {ask.within()} AND {ask.of_workflow()}
            AND ({_LEFT})"""
    )[0]
    figures = [Figure(kpi="funnel.entered", value=entered, unit="runs", **ask.span)]
    for step, _, sent, opened, clicked in steps:
        about: Mapping[str, Any] = {**ask.span, "by": "step", "key": step}
        for kpi, count in (("sent", sent), ("opened", opened), ("clicked", clicked)):
            figures.append(_of_entered(f"funnel.{kpi}", count, entered, "mails", **about))
    figures.append(_of_entered("funnel.goal", goals, entered, "runs", **ask.span))
    figures += [
        _of_entered(f"funnel.{how}", count, entered, "runs", **ask.span) for how, count in ended
    ]
    figures.append(_of_entered("funnel.orders", orders, entered, "orders", **ask.span))
    return figures


def _of_entered(kpi: str, count: int, entered: int, unit: str, **about: Any) -> Figure:
    return Figure(kpi=kpi, value=count, unit=unit, numerator=count, denominator=entered,
                  of="runs", **about)  # fmt: skip
