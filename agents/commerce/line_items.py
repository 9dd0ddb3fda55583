"""The lines of carts and orders: what is kept of a product in one, and which line is which.

A line is told apart from others of its product by its variant: by the stock keeping unit where both
descriptions name one, else by the variant's name, else by size and colour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from schemas.bounds import cut, fits
from schemas.customer.shopping import (
    BRAND_BYTES,
    NAME_BYTES,
    SKU_BYTES,
    URL_BYTES,
    VARIANT_BYTES,
    LineItem,
)
from schemas.events.shopping import ProductProperties
from schemas.quantity import exact

_DESCRIBED = ("name", "category", "url", "image_url", "brand", "sku", "variant")


class Named(Protocol):
    """What says which line it is about."""

    @property
    def product_id(self) -> str:
        """Of the product."""

    @property
    def sku(self) -> str:
        """Of the variant, empty where it isn't said."""

    @property
    def variant(self) -> str:
        """What the variant is called, empty where it isn't said."""


def to_line(product: ProductProperties) -> LineItem:
    """Return what is kept of a product in a cart or an order."""
    return LineItem(
        product_id=product.product_id,
        quantity=exact(product.quantity),
        price=product.price,
        name=name_text(product.name),
        category=name_text(product.category),
        url=url_text(product.url),
        image_url=url_text(product.image_url),
        brand=cut(product.brand or "", BRAND_BYTES),
        sku=sku_of(product),
        variant=variant_of(product),
    )


def sku_of(product: ProductProperties) -> str:
    """Return the stock keeping unit as far as it is kept; empty where it is the product's id."""
    sku = product.sku
    return "" if not sku or sku == product.product_id else cut(sku, SKU_BYTES)


def variant_of(product: ProductProperties) -> str:
    """Return what a variant is called as far as it is kept: `S`, or `S / red`."""
    if product.variant:
        return cut(product.variant, VARIANT_BYTES)
    if product.size or product.color:
        return cut(" / ".join(filter(None, (product.size, product.color))), VARIANT_BYTES)
    return ""


def same(lines: Iterable[LineItem], sought: Named) -> LineItem | None:
    """Return the line of the same product and variant; None when there is none.

    A product of which no variant is named is a line of its own.
    """
    unnamed = not sought.sku and not sought.variant
    for line in lines:
        if _is_of(line, sought) and (
            (unnamed and not line.sku and not line.variant) or _agree(line, sought)
        ):
            return line
    return None


def meant(
    lines: Sequence[LineItem], sought: Named, added: Callable[[LineItem], int]
) -> LineItem | None:
    """Return the line that is meant when one is taken out; None when there is none.

    Who names no variant means the product's only line, or of several the one `added` last; so does
    who names the variant in words that the product's lines don't have.
    """
    found = same(lines, sought)
    if found is not None:
        return found
    of_product = [line for line in lines if _is_of(line, sought) and not _differ(line, sought)]
    if len(of_product) > 1:
        numbers = range(len(of_product))
        return of_product[max(numbers, key=lambda number: (added(of_product[number]), number))]
    return of_product[0] if of_product else None


def _is_of(line: LineItem, sought: Named) -> bool:
    """Whether both are of one product, also where one is named by its stock keeping unit only."""
    return (
        line.product_id == sought.product_id
        or (line.sku != "" and line.sku == sought.product_id)
        or (sought.sku != "" and sought.sku == line.product_id)
    )


def _agree(one: LineItem, other: Named) -> bool:
    """Whether what both say of the variant is the same; the unit counts for more than its name."""
    unit, others_unit = one.sku or one.product_id, other.sku or other.product_id
    if unit == others_unit and (one.sku or other.sku):
        return True
    if one.sku and other.sku:
        return False
    return one.variant != "" and one.variant.casefold() == other.variant.casefold()


def _differ(one: LineItem, other: Named) -> bool:
    """Whether they can't be the same variant: both say which, in the same words."""
    if one.sku and other.sku:
        return one.sku != other.sku
    return bool(
        one.variant and other.variant and one.variant.casefold() != other.variant.casefold()
    )


def describe(line: LineItem, said: LineItem, *, newest: bool) -> None:
    """Take over what is said of a line. Of the latest statement, price, name and picture count, and
    what it leaves out stays; an older one says only what isn't known yet."""
    for name in _DESCRIBED:
        if getattr(said, name) and (newest or not getattr(line, name)):
            setattr(line, name, getattr(said, name))
    if said.price is not None and (newest or line.price is None):
        line.price, line.currency = said.price, said.currency


def name_text(text: str | None) -> str:
    """Return a name as far as it is kept."""
    return cut(text, NAME_BYTES) if text else ""


def url_text(text: str | None) -> str:
    """Return an address as far as it is kept: whole, or not at all."""
    return text if text and fits(text, URL_BYTES) else ""
