"""Loyalty: points that customers earn."""

from __future__ import annotations

from agents.context import Context
from schemas.customer import Customer, EarnedPoints

ENTRIES_KEPT = 200
"""The oldest give way: two hundred orders within the programme's span are no private customer."""


def add(customer: Customer, points: int, context: Context, *, order_id: str = "") -> None:
    """Give points, or take them when negative."""
    customer.points.append(EarnedPoints(context.now, points, order_id))
    del customer.points[:-ENTRIES_KEPT]
