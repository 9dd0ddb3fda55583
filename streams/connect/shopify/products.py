"""Products of Shopify's for the feed: one product with all its variants, under the id that order
lines name."""

from __future__ import annotations

from typing import Any

from schemas.products import Product
from schemas.wire import checked_product
from streams.connect.resources import Resource, amount, id_of, objects, plain_sum, text
from streams.connect.shopify.settings import ShopifyConnection

ON_SALE = "active"
"""`status` of a product that is sold; drafts and archived ones are not."""


def product_of(product: Resource, connection: ShopifyConnection) -> Product | None:
    """Return a product; None for one without a variant or a price. Raises Unreadable."""
    variants = objects(product, "variants")
    prices = [price for each in variants if (price := amount(each.get("price"))) is not None]
    if not prices:
        return None
    cheapest = min(prices)
    before = [
        was
        for each in variants
        if (was := amount(each.get("compare_at_price"))) is not None
        and amount(each.get("price")) == cheapest
    ]
    id_, handle = id_of(product), text(product, "handle")
    image = product.get("image")
    images = [image] if isinstance(image, dict) else objects(product, "images")
    is_sold = text(product, "status") in ("", ON_SALE)
    said: dict[str, Any] = {
        "sku": id_,
        "product_id": id_,
        "name": text(product, "title") or id_,
        "brand": text(product, "vendor") or None,
        "category": text(product, "product_type") or None,
        "price": plain_sum(cheapest),
        "list_price": plain_sum(max(before)) if before and max(before) > cheapest else None,
        "currency": connection.currency,
        "url": f"https://{connection.host}/products/{handle}" if handle else None,
        "image_url": text(images[0], "src") or None if images else None,
        "stock": _stock(variants),
        "availability": (
            "in_stock" if is_sold and any(map(_is_available, variants)) else "out_of_stock"
        ),
    }
    said = {name: value for name, value in said.items() if value is not None}
    return checked_product(said, source=f"shopify:{connection.host}")[0]


def _is_available(variant: Resource) -> bool:
    """Whether a variant can be bought: the shop counts no pieces of it, sells it beyond them, or
    has some."""
    if isinstance(variant.get("available"), bool):
        return bool(variant["available"])
    if not text(variant, "inventory_management") or text(variant, "inventory_policy") == "continue":
        return True
    quantity = variant.get("inventory_quantity")
    return isinstance(quantity, int) and quantity > 0


def _stock(variants: list[Resource]) -> int | None:
    """Return how many pieces there are of all variants; None where one is not counted, or is sold
    beyond its pieces."""
    pieces = 0
    for each in variants:
        quantity = each.get("inventory_quantity")
        counted = text(each, "inventory_management") and isinstance(quantity, int)
        if not counted or text(each, "inventory_policy") == "continue":
            return None
        pieces += max(0, quantity or 0)
    return pieces
