"""The catalogue's view of a product, as a product feed describes it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas.events import Currency, Id, Text, Url
from schemas.money import Price


class Product(BaseModel):
    """One product of the feed; the key of its record is the SKU."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sku: Id
    product_id: Id | None = None
    name: Text
    description: Text | None = None
    brand: Text | None = None
    category: Text | None = None
    price: Price
    currency: Currency = "EUR"
    url: Url | None = None
    image_url: Url | None = None
    stock: int | None = None
    """Pieces left; None when the shop does not say."""
    availability: Literal["in_stock", "out_of_stock", "preorder"] = "in_stock"
