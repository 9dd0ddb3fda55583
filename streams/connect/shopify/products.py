"""Products of Shopify's for the feed, a row for each variant as feeds have them: under its sku, of
the product whose id order lines name."""

from __future__ import annotations

from typing import Any

from schemas.products import Product
from schemas.wire import checked_product
from streams.connect.facts import source_of
from streams.connect.resources import Resource, amount, id_of, objects, plain_sum, text
from streams.connect.shopify.settings import ShopifyConnection

ON_SALE = "active"
"""`status` of a product that is sold; drafts and archived ones are not."""
MAX_VARIANTS = 2_000
"""Of one product, as Shopify allows."""


def products_of(product: Resource, connection: ShopifyConnection) -> list[Product]:
    """Return the variants of a product, but for those without a price. Raises Unreadable."""
    found = (
        _variant(product, each, connection) for each in objects(product, "variants")[:MAX_VARIANTS]
    )
    return [each for each in found if each is not None]


def _variant(product: Resource, variant: Resource, connection: ShopifyConnection) -> Product | None:
    price, before = amount(variant.get("price")), amount(variant.get("compare_at_price"))
    if price is None:
        return None
    id_, handle, image = id_of(product), text(product, "handle"), product.get("image")
    images = [image] if isinstance(image, dict) else objects(product, "images")
    stock = variant.get("inventory_quantity")
    is_sold = text(product, "status") in ("", ON_SALE)
    said: dict[str, Any] = {
        "sku": text(variant, "sku") or id_of(variant),
        "product_id": id_,
        "name": text(product, "title") or id_,
        "brand": text(product, "vendor") or None,
        "category": text(product, "product_type") or None,
        "price": plain_sum(price),
        "list_price": plain_sum(before) if before is not None and before > price else None,
        "currency": connection.currency,
        "url": f"https://{connection.host}/products/{handle}" if handle else None,
        "image_url": text(images[0], "src") or None if images else None,
        "stock": stock if _is_counted(variant) and isinstance(stock, int) else None,
        "availability": ("in_stock" if is_sold and _is_available(variant) else "out_of_stock"),
    }
    said = {name: value for name, value in said.items() if value is not None}
    return checked_product(said, source=source_of("shopify", connection.host))[0]


def _is_counted(variant: Resource) -> bool:
    """Whether the shop counts the pieces of a variant, and sells none beyond them."""
    return (
        bool(text(variant, "inventory_management"))
        and text(variant, "inventory_policy") != "continue"
    )


def _is_available(variant: Resource) -> bool:
    """Whether a variant can be bought."""
    if isinstance(variant.get("available"), bool):
        return bool(variant["available"])
    quantity = variant.get("inventory_quantity")
    return not _is_counted(variant) or (isinstance(quantity, int) and quantity > 0)
