"""Shopify: `products.json` of the storefront or the Admin API, and the CSV of its export.

An order's lines name the product's number, which the CSV does not have: there a product is known
by its handle, unless a column is named (`--map product_id=COLUMN`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from streams.feeds.source_rows import SourceRow
from streams.feeds.words import ProductRow, ReadingRules

_OF_A_PRODUCT = ("handle", "title", "bodyhtml", "vendor", "type", "productcategory", "tags",
                 "published", "status", "imagesrc")  # fmt: skip
"""Columns that only the first row of a product has."""
USED = frozenset(
    (*_OF_A_PRODUCT, "variantsku", "variantprice", "variantcompareatprice", "variantinventoryqty",
     "variantinventorypolicy", "variantinventorytracker", "variantimage", "option1value",
     "option2value", "option3value", "imageposition")
)  # fmt: skip

USED_OF_JSON = frozenset(
    ("id", "title", "handle", "vendor", "producttype", "images", "status", "variants", "sku",
     "price", "compareatprice", "available", "inventorymanagement", "inventorypolicy",
     "inventoryquantity", "featuredimage")
)  # fmt: skip

MAX_VARIANTS = 2_000
"""Of one product, as Shopify allows."""


def products(rows: Iterable[SourceRow], how: ReadingRules) -> Iterator[ProductRow]:
    """Yield what each object says of a product: a row for each of its variants."""
    for row in rows:
        variants = row.fields.get("variants")
        if not isinstance(variants, list) or not variants:
            yield ProductRow(row.place, {}, row.fields, problem="variants: none")
            continue
        for variant in variants[:MAX_VARIANTS]:
            if isinstance(variant, dict):
                yield _variant(row, variant, how)


def _variant(row: SourceRow, variant: Mapping[str, Any], how: ReadingRules) -> ProductRow:
    product = row.fields
    fields: dict[str, Any] = {
        "sku": variant.get("sku") or variant.get("id"),
        "product_id": variant.get("id") if how.each_variant else product.get("id"),
        "name": _name(product.get("title"), variant.get("title"), how),
        "brand": product.get("vendor"),
        "category": product.get("product_type"),
        "url": _link(product.get("handle"), how),
        "image_url": _image(product, variant),
        "availability": "in_stock" if _is_available(product, variant) else "out_of_stock",
    }
    if variant.get("inventory_management") and variant.get("inventory_policy") != "continue":
        fields["stock"] = variant.get("inventory_quantity")
    _prices(fields, variant.get("price"), variant.get("compare_at_price"), how)
    return ProductRow(row.place, fields, {**product, **variant})


def _is_available(product: Mapping[str, Any], variant: Mapping[str, Any]) -> bool:
    if product.get("status") in ("draft", "archived"):
        return False
    if "available" in variant:  # of the storefront, which tells no stock
        return bool(variant["available"])
    if not variant.get("inventory_management") or variant.get("inventory_policy") == "continue":
        return True
    quantity = variant.get("inventory_quantity")
    return not isinstance(quantity, int) or quantity > 0


def _image(product: Mapping[str, Any], variant: Mapping[str, Any]) -> Any:
    featured, images = variant.get("featured_image"), product.get("images")
    own = featured.get("src") if isinstance(featured, dict) else None
    of_all = images[0] if isinstance(images, list) and images else None
    return own or (of_all.get("src") if isinstance(of_all, dict) else of_all)


def _name(title: Any, variant: Any, how: ReadingRules) -> Any:
    return f"{title} - {variant}" if how.each_variant and variant != "Default Title" else title


def _link(handle: Any, how: ReadingRules) -> str | None:
    base = how.notation.shop_url
    return urljoin(f"{base.rstrip('/')}/", f"products/{handle}") if base and handle else None


def _prices(fields: dict[str, Any], price: Any, before: Any, how: ReadingRules) -> None:
    how.price(fields, "price", price)
    how.price(fields, "list_price", before)
    if fields.get("list_price") in (fields.get("price"), 0):
        del fields["list_price"]  # as many shops fill it in


def exported(rows: Iterable[SourceRow], how: ReadingRules) -> Iterator[ProductRow]:
    """Yield what the rows of the CSV say: one for each variant; rows that only add a picture are
    none."""
    product: dict[str, Any] = {}
    for row in rows:
        given = row.fields
        if given.get("handle") != product.get("handle") or given.get("title"):
            product = {name: given[name] for name in _OF_A_PRODUCT if name in given}
        if not given.get("variantprice"):
            if given.get("title"):
                yield ProductRow(row.place, {}, given, problem="Variant Price: missing")
            continue
        yield _exported(row, {**product, **given}, how)


def _exported(row: SourceRow, given: Mapping[str, Any], how: ReadingRules) -> ProductRow:
    options = [given.get(f"option{number}value") for number in (1, 2, 3)]
    variant = " / ".join(each for each in options if each) or "Default Title"
    handle = given.get("handle")
    key = given.get("variantsku") or f"{handle}:{variant}"
    fields: dict[str, Any] = {
        "sku": key,
        "product_id": key if how.each_variant else handle,
        "name": _name(given.get("title"), variant, how),
        "brand": given.get("vendor"),
        "category": given.get("type"),
        "url": _link(handle, how),
        "image_url": given.get("variantimage") or given.get("imagesrc"),
    }
    is_hidden = (
        given.get("status", "active").lower() != "active"
        or given.get("published", "true").lower() == "false"
    )
    counted = bool(given.get("variantinventorytracker"))
    if counted and given.get("variantinventorypolicy") != "continue":
        fields["stock"] = given.get("variantinventoryqty")
    if is_hidden:
        fields["availability"] = "out_of_stock"
    _prices(fields, given.get("variantprice"), given.get("variantcompareatprice"), how)
    return ProductRow(row.place, fields, given)
