"""Products → the feed.

One product of the feed is one of the shop's: the id is the one that lines of orders and carts have;
variants (`product_attribute_id`) are told apart there. Prices with tax come only to who asks for
them by a name of one's own (`PRICES`): the field `price` is the bare one, without tax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from streams.connect.json_fields import Row, amount, flag, inside, rows, text, whole, written
from streams.connect.prestashop.carts import CartProduct
from streams.connect.prestashop.orders import PrestaShopSource, required_id
from streams.connect.prestashop.states import texts_of

NOW, LIST = "ritorno_price", "ritorno_list"
PRICES: Mapping[str, str] = {
    f"price[{NOW}][use_tax]": "1",
    f"price[{NOW}][use_reduction]": "1",
    f"price[{LIST}][use_tax]": "1",
    f"price[{LIST}][use_reduction]": "0",
}
"""Parameters by which each product has these two fields."""

COMPLEMENTS = 50
DEMANDS = 1
"""`out_of_stock` of a stock: orders are taken all the same."""


def fed_product(
    row: Row,
    shop: PrestaShopSource,
    categories: Mapping[int, str],
    stocks: Sequence[Row],
    currency: str,
) -> dict[str, Any]:
    """Return a product as a feed has it. `stocks`: its rows of `stock_availables`; `currency`: the
    shop's own. Raises ValueError."""
    id_ = required_id(row)
    price, before = amount(row, NOW, "price"), amount(row, LIST)
    names = texts_of(row.get("name"))
    product: dict[str, Any] = {
        "sku": text(row, "reference") or str(id_),
        "product_id": str(id_),
        "name": names[0] if names else f"{id_}",
        "brand": text(row, "manufacturer_name"),
        "category": categories.get(whole(row, "id_category_default"), ""),
        "price": written(price if price is not None else Decimal(0)),
        "currency": currency,
        "url": url_of(shop, id_),
        "image_url": image_of(shop, whole(row, "id_default_image")),
        "availability": _availability(row, stocks),
    }
    if before is not None and price is not None and before > price:
        product["list_price"] = written(before)
    accessories = rows(inside(row, "associations"), "accessories")[:COMPLEMENTS]
    if accessories:
        product["complements"] = [
            str(other) for each in accessories if (other := whole(each, "id"))
        ]
    if (stock := _stock(stocks)) is not None:
        product["stock"] = stock
    return {name: value for name, value in product.items() if value not in ("", None)}


def cart_product(row: Row, shop: PrestaShopSource) -> CartProduct:
    """Return what a cart's mail shows of a product."""
    names = texts_of(row.get("name"))
    return CartProduct(
        name=names[0] if names else "",
        sku=text(row, "reference"),
        price=written(amount(row, NOW)) or "",
        url=url_of(shop, whole(row, "id")),
        image_url=image_of(shop, whole(row, "id_default_image")),
    )


def url_of(shop: PrestaShopSource, id_: int) -> str:
    """Return the product's page: this form leads to the friendly address where there is one."""
    return f"{shop.url}/index.php?controller=product&id_product={id_}" if id_ else ""


def image_of(shop: PrestaShopSource, image: int) -> str:
    """Return where an image lies: in a directory for each digit of its id."""
    if not image:
        return ""
    return f"{shop.url}/img/p/{'/'.join(str(image))}/{image}.jpg"


def _stock(stocks: Sequence[Row]) -> int | None:
    """Return how many pieces there are: the row without an attribute is the sum of the others."""
    total = [whole(each, "quantity") for each in stocks if not whole(each, "id_product_attribute")]
    if total:
        return total[0]
    return sum(whole(each, "quantity") for each in stocks) if stocks else None


def _availability(row: Row, stocks: Sequence[Row]) -> str:
    if not flag(row, "active") or (
        "available_for_order" in row and not flag(row, "available_for_order")
    ):
        return "out_of_stock"
    stock = _stock(stocks)
    if stock is None or stock > 0:
        return "in_stock"
    taken = any(whole(each, "out_of_stock") == DEMANDS for each in stocks)
    return "preorder" if taken else "out_of_stock"
