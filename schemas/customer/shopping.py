"""What was looked at, put into the cart and bought, and what it brought."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from schemas.stored import NEVER

INTERESTS_KEPT = 50
"""Products looked at that are remembered: more than a month's window-shopping of most people."""
VIEWS_KEPT = 10
"""Views of each of them."""
ORDERS_KEPT = 20
"""Orders kept in detail, for review requests and status mails; older ones stay as hashed ids."""
ORDER_LINES_KEPT = 300
"""Lines in all of them together, so that no wholesaler's record outgrows what a log takes."""
PRODUCTS_BOUGHT_KEPT = 100
"""Products bought that are remembered one by one, the latest; with the orders' lines it is more."""
KINDS_BOUGHT_KEPT = 40
"""Categories, and as many brands."""
PAYMENT_METHODS_KEPT = 10
MONTHS_KEPT = 24
"""Months with orders that are remembered: each season twice."""
COUPONS_KEPT = 50


class Interest(msgspec.Struct, array_like=True):
    """How much a customer has looked at one product."""

    times: list[int] = []
    """The last views, up to VIEWS_KEPT."""
    category: str = ""
    wished: int = 0
    """When it was put on the wish list, 0 if it was not."""


class Line(msgspec.Struct, array_like=True):
    """One product in a cart or an order."""

    product_id: str
    quantity: int
    price: Decimal | None = None
    name: str = ""
    category: str = ""
    url: str = ""
    image_url: str = ""
    brand: str = ""


class Cart(msgspec.Struct, array_like=True):
    """What lies in the cart. An empty one keeps `number` and `changed`, to date what comes late."""

    number: int = 0
    """Counts the customer's carts; a cart ends when it is ordered or emptied."""
    id: str = ""
    """The shop's id of it, where the shop has one."""
    lines: list[Line] = []
    currency: str = "EUR"
    changed: int = 0
    url: str = ""
    cleared: int = 0
    """When the last cart was ordered: changes from before then, arriving late, are history."""
    step: str = ""
    """How far its checkout has come: `started`, or the step that the shop named last."""

    def total(self) -> Decimal:
        """Return the value of the lines whose price is known."""
        return sum(
            (line.price * line.quantity for line in self.lines if line.price is not None),
            Decimal(0),
        )


OrderStatus = Literal["completed", "shipped", "delivered", "cancelled", "refunded"]


class Order(msgspec.Struct, array_like=True):
    """One of the last orders."""

    id: str
    time: int
    total: Decimal
    currency: str
    status: OrderStatus = "completed"
    lines: list[Line] = []
    subtotal: Decimal | None = None
    shipping: Decimal | None = None
    discount: Decimal | None = None
    tax: Decimal | None = None
    estimated_delivery: str = ""
    tracking_number: str = ""
    tracking_url: str = ""
    delivered: int = 0
    payment_method: str = ""
    coupon: str = ""
    runs_out: int = 0
    """When the first of its products runs out (ms), 0 when none does."""
    accessories: int = 0
    """How many accessories and dearer versions of its products could be bought at the time."""
    carrier: str = ""
    url: str = ""
    """Where the customer sees it in the shop."""


class OrderStatistics(msgspec.Struct, array_like=True):
    """All orders ever, in numbers."""

    count: int = 0
    spent: dict[str, Decimal] = {}
    """By currency, before refunds."""
    refunded: dict[str, Decimal] = {}
    refunds: int = 0
    items: int = 0
    first: int = 0
    last: int = 0


class Bought(msgspec.Struct, array_like=True):
    """How often something was bought, in how many orders, and when last."""

    orders: int = 0
    last: int = 0


class MonthOfOrders(msgspec.Struct, array_like=True):
    """The orders of one month."""

    orders: int = 0
    spent: dict[str, Decimal] = {}
    """By currency, before refunds."""


class Purchases(msgspec.Struct, array_like=True):
    """What was bought and how, of all orders ever, as far as there is room."""

    products: dict[str, Bought] = {}
    categories: dict[str, Bought] = {}
    brands: dict[str, Bought] = {}
    payment_methods: dict[str, Bought] = {}
    months: dict[str, MonthOfOrders] = {}
    """By month in the customer's zone, `2026-03`."""
    largest: dict[str, Decimal] = {}
    """The largest order, by currency."""
    with_coupon: int = 0
    """Orders with a code or a discount."""
    counts: dict[str, int] = {}
    """Orders by currency."""


class Coupon(msgspec.Struct, array_like=True):
    """A code that was issued to the customer."""

    code: str
    campaign: str
    issued: int
    expires: int = NEVER
    redeemed: int = 0
    order_id: str = ""
    """The order that it was redeemed with."""


class EarnedPoints(msgspec.Struct, array_like=True):
    """Loyalty points of one order or step; what a refund takes is negative."""

    time: int
    points: int
    order_id: str = ""
