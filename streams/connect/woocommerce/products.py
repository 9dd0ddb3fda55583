"""Products of WooCommerce's for the feed, under the id that order lines name."""

from __future__ import annotations

from typing import Any

from schemas.products import Product
from schemas.wire import checked_product
from streams.connect.resources import Resource, amount, id_of, objects, plain_sum, text
from streams.connect.woocommerce.settings import WooCommerceConnection

SHOWN = "publish"
_AVAILABILITY = {"instock": "in_stock", "outofstock": "out_of_stock", "onbackorder": "preorder"}
MOST_RELATED = 50


def product_of(product: Resource, connection: WooCommerceConnection) -> Product | None:
    """Return a product; None for one without a price, and for a variation, which its product
    stands for. Raises Unreadable."""
    price = amount(product.get("price"))
    if price is None or text(product, "type") == "variation":
        return None
    id_, regular = id_of(product), amount(product.get("regular_price"))
    categories, images = objects(product, "categories"), objects(product, "images")
    stock = product.get("stock_quantity")
    is_shown = text(product, "status") in ("", SHOWN)
    availability = _AVAILABILITY.get(text(product, "stock_status"), "in_stock")
    said: dict[str, Any] = {
        "sku": text(product, "sku") or id_,
        "product_id": id_,
        "name": text(product, "name") or id_,
        "category": text(categories[0], "name") or None if categories else None,
        "price": plain_sum(price),
        "list_price": plain_sum(regular) if regular is not None and regular > price else None,
        "currency": connection.currency,
        "url": text(product, "permalink") or None,
        "image_url": text(images[0], "src") or None if images else None,
        "stock": stock if isinstance(stock, int) and not isinstance(stock, bool) else None,
        "availability": availability if is_shown else "out_of_stock",
        "complements": _ids(product, "cross_sell_ids"),
        "upgrades": _ids(product, "upsell_ids"),
    }
    if availability == "preorder":
        said["stock"] = None  # it counts pieces below zero, and can be bought all the same
    said = {name: value for name, value in said.items() if value is not None}
    return checked_product(said, source=f"woocommerce:{connection.host}")[0]


def _ids(product: Resource, name: str) -> list[str]:
    found = product.get(name)
    if not isinstance(found, list):
        return []
    return [str(each) for each in found if isinstance(each, int | str) and each][:MOST_RELATED]
