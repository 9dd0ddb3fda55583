"""What became of an imported file, line by line."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from schemas.money import amount_text
from streams.feeds.delimited import DelimitedRow
from streams.tools.unusable_values import UnusableValues

EXAMPLES = 100
"""Refusals kept for the report; all of them are handed to the caller as they come."""


class Refusal(NamedTuple):
    """A refused line, untouched."""

    row: DelimitedRow
    reason: str
    """bad_csv, bad_encoding, bad_currency, bad_price, bad_quantity, bad_time, missing_id,
    missing_product, negative_price, other_currency, other_customer or too_large."""
    detail: str
    key: bytes | None = None
    """The id of whose line it is, as far as that can be read."""


@dataclass(slots=True)
class ImportReport:
    """What became of a file. `applied + anonymous + cancelled + unplaced + refused == lines`."""

    lines: int = 0
    applied: int = 0
    anonymous: int = 0
    cancelled: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By reason."""
    examples: list[tuple[int, str, str]] = field(default_factory=list)
    """Line, reason and detail of the first `EXAMPLES` refused ones."""
    orders: int = 0
    items: int = 0
    customers: int = 0
    revenue: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """By currency, before refunds; of customers' orders."""
    refunds: int = 0
    refunded: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    anonymous_orders: int = 0
    """Orders and reversals without a customer; they become no events."""
    unplaced: int = 0
    """Lines of orders that were never paid, or called off: no purchases."""
    unplaced_orders: int = 0
    refunds_left_out: int = 0
    left_out: UnusableValues = field(default_factory=UnusableValues)
    """Values that can't be used (an address that is none), by field; the line counts."""
    shipped: int = 0
    delivered: int = 0
    undated: int = 0
    """Orders that were sent or have arrived, nobody says when: that is left out."""
    events: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return {
            "lines": self.lines,
            "applied": self.applied,
            "anonymous": self.anonymous,
            "cancelled": self.cancelled,
            "dead_lettered": self.refused.total(),
            "dead_lettered_by_reason": dict(sorted(self.refused.items())),
            "orders": self.orders,
            "items": self.items,
            "customers": self.customers,
            "revenue": {code: amount_text(sum_) for code, sum_ in sorted(self.revenue.items())},
            "refunds": self.refunds,
            "refunded": {code: amount_text(sum_) for code, sum_ in sorted(self.refunded.items())},
            "anonymous_orders": self.anonymous_orders,
            "unplaced": self.unplaced,
            "unplaced_orders": self.unplaced_orders,
            "shipped": self.shipped,
            "delivered": self.delivered,
            "sent_without_time": self.undated,
            "ignored_values": self.left_out.counts(),
            "ignored_examples": self.left_out.examples(),
            "events": self.events,
            "examples": [
                {"line": line, "reason": reason, "detail": detail}
                for line, reason, detail in self.examples
            ],
        }
