"""What a line of a cart or an order costs."""

from __future__ import annotations

from decimal import Decimal

from schemas.customer.shopping import LineItem
from schemas.products import Product


def price_of(line: LineItem, currency: str, product: Product | None) -> Decimal | None:
    """Return what one piece costs in the line's currency, else in that of its cart or order: as the
    line says, else the feed. None when neither knows it."""
    if (
        line.price is None
        and product is not None
        and product.currency == (line.currency or currency)
    ):
        return product.price
    return line.price
