"""Rows of a feed that are one product: its sizes and colours, each with a price and a stock.

What customers look at, put into a cart and wish for is the product; so a price, a stock and an
availability are said of all its rows together. A size that comes back while others are there is no
news.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.products import Product

_ENDS = " \t-–—,/|:;(["
"""What stands between a product's name and its variant's."""
SHORTEST_NAME = 3
"""Characters that several names must begin with to be one product's."""


def folded(rows: Sequence[Product]) -> Product:
    """Return the product that rows with the same id are: the cheapest that can be bought, and
    whether any can; in whichever order they come it is the same."""
    if len(rows) == 1:
        return rows[0]
    ordered = sorted(rows, key=lambda row: row.sku)
    shown = min(
        [row for row in ordered if row.available] or ordered, key=lambda row: (row.price, row.sku)
    )
    stocks = [row.stock for row in ordered if row.available]
    return shown.model_copy(
        update={
            "sku": shown.id,
            "product_id": shown.id,
            "name": _common_name([row.name for row in ordered]),
            "stock": sum(filter(None, stocks)) if None not in stocks else None,
            "availability": _availability(ordered),
            "popularity": max(row.popularity for row in ordered),
            "announce": any(row.announce for row in ordered),
            **{
                name: next((getattr(row, name) for row in ordered if getattr(row, name)), default)
                for name, default in _OF_ANY
            },
        }
    )


_OF_ANY: Sequence[tuple[str, Any]] = (
    ("brand", None), ("category", None), ("url", None), ("image_url", None), ("guide_url", None),
    ("review_url", None), ("complements", []), ("accessories", []), ("upgrades", []),
    ("replaces", None), ("lasts", None), ("rating", None), ("reviews", []),
)  # fmt: skip
"""What the first row that says it says of all."""


def _availability(rows: Sequence[Product]) -> str:
    buyable = {row.availability for row in rows if row.available}
    return next((each for each in ("in_stock", "preorder") if each in buyable), "out_of_stock")


def _common_name(names: Sequence[str]) -> str:
    """Return what names of variants begin with, up to a word's end."""
    first, last = min(names), max(names)
    length = next(
        (at for at, (one, two) in enumerate(zip(first, last, strict=False)) if one != two),
        min(len(first), len(last)),
    )
    common = first[:length]
    if any(len(name) > len(common) and name[len(common)] not in _ENDS for name in names):
        cut = max(common.rfind(end) for end in _ENDS)
        common = common[: max(cut, 0)]
    common = common.rstrip(_ENDS)
    return common if len(common) >= SHORTEST_NAME else names[0]
