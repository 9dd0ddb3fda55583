"""Products → the feed, by SKU."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from schemas.time_units import DAY_MS
from streams.connect.json_fields import Row, amount, flag, inside, rows, text, whole, written
from streams.connect.magento.orders import MagentoSource, instant

LINKS: Mapping[str, str] = {
    "crosssell": "complements",
    "related": "accessories",
    "upsell": "upgrades",
}
MOST_LINKS = 50
ENABLED = 1
CHILDREN = 200_000
"""Of configurables, whose prices are remembered while all products are read."""


class Prices:
    """What the parts of configurable products cost: these themselves have no price."""

    def __init__(self) -> None:
        self._known: dict[int, Decimal] = {}

    def note(self, row: Row, price: Decimal) -> None:
        """A product has been read."""
        if len(self._known) < CHILDREN:
            self._known[whole(row, "id")] = price

    def lowest(self, row: Row) -> Decimal | None:
        """Return the lowest price of a product's parts that were read; None where none was."""
        parts = inside(row, "extension_attributes").get("configurable_product_links")
        ids = parts if isinstance(parts, list) else []
        known = [self._known[int(str(each))] for each in ids if _is_known(each, self._known)]
        return min(known) if known else None


def fed_product(
    row: Row, shop: MagentoSource, categories: Mapping[int, str], prices: Prices, *, now: int
) -> dict[str, Any] | None:
    """Return a product as a feed has it; None for one whose price isn't known. `now`: ms, by which
    a special price holds or not. Raises ValueError."""
    sku = text(row, "sku")
    if not sku:
        raise ValueError(f"sku: none (got {row.get('sku')!r})"[:100])
    said = _attributes(row)
    before = amount(row, "price")
    price = _special(said, now, before) or before
    if not price:
        price = before = prices.lowest(row)
    if price is None:
        return None
    prices.note(row, price)
    product: dict[str, Any] = {
        "sku": sku,
        "product_id": sku,
        "name": text(row, "name") or sku,
        "category": _category(row, categories),
        "price": written(price),
        "currency": shop.currency,
        "url": _url(said, shop),
        "image_url": _image(said, shop),
        "availability": _availability(row),
    }
    if before is not None and before > price:
        product["list_price"] = written(before)
    stock = inside(row, "extension_attributes", "stock_item")
    if "qty" in stock and text(row, "type_id") in ("simple", "virtual", "downloadable"):
        product["stock"] = whole(stock, "qty")
    for link in rows(row, "product_links"):
        kind, other = LINKS.get(text(link, "link_type")), text(link, "linked_product_sku")
        if kind and other and len(linked := product.setdefault(kind, [])) < MOST_LINKS:
            linked.append(other)
    return {name: value for name, value in product.items() if value not in ("", None)}


def category_ids(row: Row) -> list[int]:
    """Return a product's categories, the deepest last."""
    links = rows(inside(row, "extension_attributes"), "category_links")
    return [whole(each, "category_id") for each in links]


def _attributes(row: Row) -> dict[str, Any]:
    found = rows(row, "custom_attributes")
    return {text(each, "attribute_code"): each.get("value") for each in found}


def _special(said: Row, now: int, before: Decimal | None) -> Decimal | None:
    special = amount(said, "special_price")
    if special is None or before is None or special >= before:
        return None
    for name, is_over in (("special_from_date", now.__lt__), ("special_to_date", now.__gt__)):
        if not text(said, name):
            continue
        try:
            last_day = DAY_MS if name == "special_to_date" else 0  # on which it holds still
            if is_over(instant(said, name) + last_day):
                return None
        except ValueError:
            return None
    return special


def _category(row: Row, categories: Mapping[int, str]) -> str:
    named = (categories.get(each, "") for each in reversed(category_ids(row)))
    return next((each for each in named if each), "")


def _url(said: Row, shop: MagentoSource) -> str:
    key = text(said, "url_key")
    return f"{shop.url}/{key}{shop.url_suffix}" if key else ""


def _image(said: Row, shop: MagentoSource) -> str:
    image = text(said, "image")
    if not image or image == "no_selection":
        return ""
    return f"{shop.media or shop.url + '/media'}/catalog/product/{image.lstrip('/')}"


def _availability(row: Row) -> str:
    if whole(row, "status") not in (0, ENABLED):
        return "out_of_stock"
    stock = inside(row, "extension_attributes", "stock_item")
    if "is_in_stock" in stock and not flag(stock, "is_in_stock"):
        return "out_of_stock"
    return "in_stock"


def _is_known(id_: Any, known: Mapping[int, Decimal]) -> bool:
    try:
        return int(str(id_)) in known
    except ValueError:
        return False
