"""Products for a mail's product block."""

from __future__ import annotations

from collections.abc import Iterable

from agents.context import Context
from schemas.customer import Customer, Line, Run

SHOWN = 4
"""Products in one block: what fits beside each other on a telephone without scrolling for long."""


def products(customer: Customer, run: Run, which: str, context: Context) -> list[Line]:
    """Return up to SHOWN products of a kind (`SendStep.products`), best first."""
    if which == "trigger":
        return _trigger(customer, run)[:SHOWN]
    if which == "owned":
        lines = [line for order in reversed(customer.orders) for line in order.lines]
        return _distinct(lines)[:SHOWN]
    return []


def _trigger(customer: Customer, run: Run) -> list[Line]:
    order = customer.order(run.order_id) if run.order_id else None
    known = (order.lines if order is not None else []) + customer.cart.lines
    if run.product:
        return [line for line in known if line.product_id == run.product][:1]
    return _distinct(known)


def _distinct(lines: Iterable[Line]) -> list[Line]:
    return list({line.product_id: line for line in lines}.values())
