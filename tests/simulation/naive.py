"""What a few lines of arithmetic say about the plain customers. Shares no code with the actors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from tests.simulation.shop import MINUTE, ShopEvent

CLOCKS_DIFFER = 5 * MINUTE


class Change(NamedTuple):
    """Of a line of the cart; at one time it is first put in."""

    time: int
    takes: bool
    product: str
    quantity: int


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
    changes: list[Change] = field(default_factory=list)
    """Of the cart, since it was ordered last."""
    cleared: int = 0
    bought: list[tuple[int, set[str]]] = field(default_factory=list)
    """Time and products of each order."""
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
            case "cart.product_added" | "cart.product_removed":
                quantity = data["quantity"] if event.type == "cart.product_added" else 0
                self._change(Change(event.time, not quantity, data["product_id"], quantity))
            case "order.completed" if data["order_id"] not in self.orders:
                self.orders.add(data["order_id"])
                self.spent += Decimal(data["total"])
                self.totals[data["order_id"]] = Decimal(data["total"])
                self._order(event.time, {line["product_id"] for line in data["products"]})
            case "order.refunded":
                order = data["order_id"]
                self.back[order] = self.back.get(order, Decimal(0)) + Decimal(data["total"])
            case "consent.given" | "consent.withdrawn":
                self._say(event.time, event.type == "consent.given")
            case "list.subscribed":
                self._say(event.time, True)

    @property
    def cart(self) -> dict[str, int]:
        """What lies in the cart: as if all had come in the order in which it happened."""
        cart: dict[str, int] = {}
        for each in sorted(self.changes):
            if each.takes:
                cart.pop(each.product, None)
            else:
                cart[each.product] = cart.get(each.product, 0) + each.quantity
        return cart

    @property
    def refunded(self) -> Decimal:
        """What was given back: of no order more than it came to."""
        each = (min(sum_, self.totals.get(order, sum_)) for order, sum_ in self.back.items())
        return sum(each, Decimal(0))

    def _change(self, change: Change) -> None:
        """Note what was changed in the cart, unless that was ordered since."""
        just_bought = {
            product
            for time, products in self.bought
            if change.time - CLOCKS_DIFFER <= time <= change.time
            for product in products
        }
        at_an_order = change.time == self.cleared and change.product in just_bought
        if change.time >= self.cleared and not at_an_order:
            self.changes.append(change)

    def _order(self, time: int, products: set[str]) -> None:
        """What was put in until then was ordered, and what the shop's other clock says was put in
        just after it."""
        self.bought.append((time, products))
        if time <= self.cleared:
            return
        self.cleared = time
        put_in = [each for each in self.changes if not each.takes]
        last = {each.product: each.time for each in sorted(put_in)}
        known = {each.product for each in put_in if each.time <= time}
        just_after = {
            product
            for product in products & self.cart.keys() - known
            if last[product] <= time + CLOCKS_DIFFER
        }
        self.changes = [
            each
            for each in self.changes
            if each.product not in just_after
            and (each.time > time or (each.time == time and each.product not in products))
        ]

    def _say(self, time: int, given: bool) -> None:
        if time >= self.consent[0]:
            self.consent = (time, given)


def fold(events: Iterable[ShopEvent]) -> Naive:
    """Return what one customer's events add up to, in their order."""
    naive = Naive()
    for event in events:
        naive.take(event)
    return naive
