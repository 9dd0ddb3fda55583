"""Whether there is anything to remind a customer of: no urging about nothing.

What isn't known is not nothing: a line whose price nobody has said may be worth a mail.
"""

from __future__ import annotations

from typing import Literal

from agents.products.catalogue import Catalogue
from agents.products.prices import price_of
from schemas.customer.shopping import Cart
from schemas.products import Product

Nothing = Literal["empty_cart", "sold_out", "no_value"]
"""Why nobody is reminded: the cart was emptied; the feed says of all of it that it can't be bought;
what can be costs nothing."""


def of_cart(cart: Cart, catalogue: Catalogue, since: int) -> Nothing | None:
    """Return why a cart is not worth a reminder, None when it is.

    `since`: when the conversation about it began (ms); a cart that was ordered since is not empty
    for want of interest, and one of which the shop has never told the lines isn't empty at all.
    """
    if not cart.lines:
        return "empty_cart" if cart.changed >= since > cart.cleared else None
    products = [catalogue.get(line.product_id) for line in cart.lines]
    for_sale = [
        (line, product)
        for line, product in zip(cart.lines, products, strict=True)
        if product is None or product.available
    ]
    if not for_sale:
        return "sold_out"
    prices = [price_of(line, cart.currency, product) for line, product in for_sale]
    return "no_value" if all(price is not None and price <= 0 for price in prices) else None


def of_product(product: Product | None) -> Nothing | None:
    """Return why a product is not worth a mail of its own, None when it is or isn't known."""
    if product is None:
        return None
    if not product.available:
        return "sold_out"
    return "no_value" if product.price <= 0 else None
