"""Quotes of known customers that are no order yet → checkouts.

A quote has no restoring link; the cart page shows it to who is signed in, or has the browser in
which it was filled.
"""

from __future__ import annotations

from typing import Any

from schemas.events import Event
from schemas.instant import to_rfc3339
from streams.connect.facts import content_digest, fact
from streams.connect.json_fields import (
    Row,
    amount,
    flag,
    inside,
    quantity,
    rows,
    text,
    whole,
    without_nothing,
    written,
)
from streams.connect.magento.orders import MagentoSource, instant, required_id

ROWS = 500
"""Of a cart, as events have at most."""


def facts_of_cart(quote: Row, shop: MagentoSource) -> list[Event]:
    """Return that a checkout has begun, or what it holds now; nothing of a quote that is closed
    (`is_active` is no, as of one that was ordered) or whose owner isn't known. Raises ValueError.
    """
    id_ = required_id(quote, "id")
    customer = inside(quote, "customer")
    address = text(customer, "email") or text(inside(quote, "billing_address"), "email")
    account = 0 if flag(quote, "customer_is_guest") else whole(customer, "id")
    subject = shop.subject(account, address)
    if subject is None or not flag(quote, "is_active"):
        return []
    time = instant(quote, "updated_at", "created_at")
    money = inside(quote, "currency")
    data = without_nothing(
        {
            "checkout_id": str(id_),
            "cart_id": str(id_),
            "cart_url": f"{shop.url}/checkout/cart/",
            "email": address,
            "currency": text(money, "quote_currency_code") or text(money, "base_currency_code"),
        }
    )
    lines = [_line(row) for row in rows(quote, "items")[:ROWS] if text(row, "sku")]
    data["products"] = lines  # an empty cart is one, too
    fact_id = fact("cart", id_, to_rfc3339(time), content_digest(data))
    return [shop.event("checkout.started", fact_id, time, subject, data)]


def _line(row: Row) -> dict[str, Any]:
    return without_nothing(
        {
            "product_id": text(row, "sku"),
            "name": text(row, "name"),
            "price": written(amount(row, "price")),
            "quantity": quantity(row, "qty"),
        }
    )
