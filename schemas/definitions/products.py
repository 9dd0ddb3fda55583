"""Which products of the feed a mail shows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.definitions.definition import Definition

ProductSource = Literal["complements", "accessories", "upgrades", "trigger", "interests", "owned",
                        "running_out", "cart", "categories", "bestsellers",
                        "bestselling_categories"]  # fmt: skip


class Products(Definition):
    """A selection from the feed. Only what is in stock, never what was just bought.

    complements, accessories, upgrades: of what the run's order, product or the cart is about, as
    the shop has set them; nothing that is in the cart already. trigger: the product that the run
    is about, with `at_least: 1` only while it can be bought. interests: what the customer has
    looked at most. owned: what the run's order (or the last one) holds. running_out: the run's
    product and what was bought with it that runs out with it. cart: what lies in it. categories:
    the bestsellers of the categories that the customer buys and looks at. bestsellers: all.
    bestselling_categories: the bestseller of each category, of the one that sells most first.
    """

    source: ProductSource | Annotated[list[ProductSource], Field(min_length=1)] = Field(
        alias="from"
    )
    """Of several, what the first ones have comes first."""
    reviewed: bool = False
    """Only those of which the feed has reviews."""

    at_least: int = Field(default=0, ge=0)
    """With fewer the mail is left out."""
    at_most: int = Field(default=4, ge=1, le=12)

    @property
    def sources(self) -> list[ProductSource]:
        """All of them."""
        return self.source if isinstance(self.source, list) else [self.source]
