"""What a few lines of arithmetic say about the plain customers. Shares no code with the actors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from tests.simulation.shop import ShopEvent


@dataclass
class Naive:
    """One customer."""

    seen: set[tuple[str, str]] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    spent: Decimal = Decimal(0)
    totals: dict[str, Decimal] = field(default_factory=dict)
    back: dict[str, Decimal] = field(default_factory=dict)
    consent: tuple[int, bool] = (0, False)
    lists: set[str] = field(default_factory=set)
    cart: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    cleared: int = 0
    views: int = 0

    def take(self, event: ShopEvent) -> None:
        """Add one event, once."""
        if (event.source, event.id) in self.seen:
            return
        self.seen.add((event.source, event.id))
        data = event.data
        match event.type:
            case "product.viewed":
                self.views += 1
            case "cart.product_added" if event.time >= self.cleared:
                product = data["product_id"]
                self.cart[product] = self.cart.get(product, 0) + data["quantity"]
                self.changed = max(self.changed, event.time)
            case "cart.product_removed" if event.time >= self.cleared:
                if self.cart.pop(data["product_id"], None):
                    self.changed = max(self.changed, event.time)
            case "order.completed" if data["order_id"] not in self.orders:
                self.orders.add(data["order_id"])
                self.spent += Decimal(data["total"])
                self.totals[data["order_id"]] = Decimal(data["total"])
                bought = {line["product_id"] for line in data["products"]}
                later = self.changed > event.time
                left = {p: n for p, n in self.cart.items() if later and p not in bought}
                self.cart, self.cleared = left, max(self.cleared, event.time)
            case "order.refunded":
                order = data["order_id"]
                self.back[order] = self.back.get(order, Decimal(0)) + Decimal(data["total"])
            case "consent.given" | "consent.withdrawn":
                self._say(event.time, event.type == "consent.given")
            case "list.subscribed":
                self._say(event.time, True)

    @property
    def refunded(self) -> Decimal:
        """What was given back: of no order more than it came to."""
        each = (min(sum_, self.totals.get(order, sum_)) for order, sum_ in self.back.items())
        return sum(each, Decimal(0))

    def _say(self, time: int, given: bool) -> None:
        if time >= self.consent[0]:
            self.consent = (time, given)


def fold(events: Iterable[ShopEvent]) -> Naive:
    """Return what one customer's events add up to, in their order."""
    naive = Naive()
    for event in events:
        naive.take(event)
    return naive
