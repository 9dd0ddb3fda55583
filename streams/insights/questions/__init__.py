"""The key figures, one module for each family of questions.

A question is a function of an `Inquiry`: SQL that counts, then the formulas of `agents/insights`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from schemas.figures import Figure
from streams.insights.questions import carts, cohorts, mails, orders, workflows
from streams.insights.questions.inquiry import Inquiry

Answer = Callable[[Inquiry], list[Figure]]

KPI: tuple[Answer, ...] = (
    orders.orders,
    orders.second_order,
    orders.kept,
    mails.mails,
    carts.carts,
    carts.checkouts,
    carts.reviews,
    workflows.conversions,
    workflows.attribution,
    workflows.reactivations,
)


OF_THE_SHOP: frozenset[Answer] = frozenset(
    {orders.orders, orders.second_order, orders.kept, carts.checkouts}
)
"""Figures that are of no workflow."""


def kpi(ask: Inquiry) -> list[Figure]:
    """All key figures that can be grouped as asked; of one workflow only those that are its."""
    ask.know_workflow()
    return [figure for answer in _grouped_as(ask) for figure in answer(ask)]


def _grouped_as(ask: Inquiry) -> tuple[Answer, ...]:
    # Credits and conversions are by workflow where nothing else is asked, and are of no segment.
    left_out: set[Answer] = {workflows.attribution} if ask.scope.by == "segment" else set()
    if ask.scope.workflow:
        left_out |= OF_THE_SHOP
    return tuple(each for each in KPI if each not in left_out)


QUESTIONS: Mapping[str, Answer] = {
    "kpi": kpi,
    "cohorts": cohorts.cohorts,
    "attribution": workflows.attribution,
    "roi": workflows.roi,
    "funnel": workflows.funnel,
}
"""By the name under which it is asked."""
