"""What actors make of a shop's events."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from schemas.events import Event
from schemas.reference import of_visitor
from schemas.wire import to_record
from tests.harness import Harness


class OrderKept(NamedTuple):
    """An order as its customer's record has it."""

    status: str
    total: Decimal
    lines: list[tuple[str, object]]
    returned: dict[int, object]


def hear(harness: Harness, events: Iterable[Event]) -> Harness:
    """Let a partition read events as they would lie in the log."""
    for event in events:
        harness.append(to_record(event))
    return harness


def order_kept(harness: Harness, customer: str, order_id: str) -> OrderKept | None:
    """Return an order of a customer's, or of a visitor's."""
    record = harness.customer(customer)
    order = next((each for each in record.orders if each.id == order_id), None)
    if order is None:
        return None
    lines = [(line.product_id, line.quantity) for line in order.lines]
    return OrderKept(order.status, order.total, lines, dict(order.returned))


def became(harness: Harness, visitor: str) -> str:
    """Return whom a visitor turned out to be."""
    return harness.customer(of_visitor(visitor)).became
