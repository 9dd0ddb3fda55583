"""The catalogue's view of a product, as a product feed describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.durations import Duration
from schemas.events.fields import AnyUrl, Currency, Id, Text, Url
from schemas.money import Price

Ids = Annotated[list[Id], Field(max_length=50)]


class Review(BaseModel):
    """What a buyer has said of a product, as the shop publishes it."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    author: Text = ""
    stars: float | None = Field(default=None, ge=0, le=5)
    text: Text


class Product(BaseModel):
    """One product of the feed; the key of its record is the SKU."""

    model_config = ConfigDict(
        defer_build=True, frozen=True, extra="ignore", coerce_numbers_to_str=True
    )

    sku: Id
    product_id: Id | None = None
    """What events call it; the SKU when it is not said."""
    name: Text
    description: Text | None = None
    brand: Text | None = None
    category: Text | None = None
    price: Price
    list_price: Price | None = None
    """Before a reduction that the shop announces."""
    currency: Currency = "EUR"
    url: AnyUrl | None = None
    image_url: AnyUrl | None = None
    guide_url: AnyUrl | None = None
    """Use and care: a page, a PDF or a video."""
    review_url: AnyUrl | None = None
    stock: int | None = Field(default=None, ge=-1_000_000_000, le=1_000_000_000)
    """Pieces left; None when the shop does not say."""
    availability: Literal["in_stock", "out_of_stock", "preorder"] = "in_stock"
    complements: Ids = []
    """What goes with it, by product id, best first. Set by the shop."""
    accessories: Ids = []
    upgrades: Ids = []
    """Dearer versions of it."""
    replaces: Id | None = None
    """The product whose new version this is."""
    lasts: Duration | None = None
    """How long one piece lasts, for products that are used up."""
    popularity: float = Field(default=0, ge=0)
    """Pieces sold lately, or any number that orders bestsellers."""
    announce: bool = False
    """A novelty: who is interested in its category is told."""
    rating: float | None = Field(default=None, ge=0, le=5)
    reviews: Annotated[list[Review], Field(max_length=5)] = []
    feed: Text | None = None
    """Which of several feeds tells of it, by name; when that one is whole and leaves it out, it is
    gone."""

    @field_validator("complements", "accessories", "upgrades", mode="before")
    @classmethod
    def _split_text(cls, value: Any) -> Any:
        """A CSV feed has them in one cell, separated by blanks, commas or bars."""
        return (
            value.replace(",", " ").replace("|", " ").split() if isinstance(value, str) else value
        )

    @property
    def id(self) -> str:
        """The id by which events name it."""
        return self.product_id or self.sku

    @property
    def available(self) -> bool:
        """Whether it can be bought now."""
        return self.availability != "out_of_stock" and self.stock != 0


class FedProduct(Product):
    """A product as it comes in: its links must be some, else they are mended or left out."""

    url: Url | None = None
    image_url: Url | None = None
    guide_url: Url | None = None
    review_url: Url | None = None

    def kept(self) -> Product:
        """Return it as it is published and kept."""
        return Product.model_construct(_fields_set=self.model_fields_set, **dict(self))
