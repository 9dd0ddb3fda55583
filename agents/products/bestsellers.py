"""Which products sell best, in all and of each category: worked out once per change of the feed.

A mail that shows bestsellers looks at the first few; sorting a catalogue of 20,000 products for
each mail took 34 ms. The lists are sorted when they are first asked for, and kept sorted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from schemas.products import Product


class Ranking:
    """The products of a catalogue, those that sell best first."""

    def __init__(self, products: Iterable[Product]) -> None:
        self._products = sorted(products, key=_rank)
        self._by_category: dict[str, list[Product]] = {}
        for product in self._products:
            if product.category:
                self._by_category.setdefault(product.category, []).append(product)
        self._of_each_category: list[Product] | None = None

    @property
    def products(self) -> Sequence[Product]:
        """All of them."""
        return self._products

    def of(self, category: str) -> Sequence[Product]:
        """Those of a category."""
        return self._by_category.get(category, ())

    def of_each_category(self) -> Sequence[Product]:
        """The bestseller of each category that can be bought; a category sells what its products
        sell together."""
        if self._of_each_category is None:
            self._of_each_category = self._find_of_each_category()
        return self._of_each_category

    def replace(self, before: Product | None, after: Product) -> None:
        """A product has changed, or is new."""
        self._of_each_category = None
        if before is not None:
            _take_out(self._products, before)
            if before.category:
                _take_out(self._by_category[before.category], before)
        _put_in(self._products, after)
        if after.category:
            _put_in(self._by_category.setdefault(after.category, []), after)

    def _find_of_each_category(self) -> list[Product]:
        sold: dict[str, float] = {}
        best: dict[str, Product] = {}
        for category, products in self._by_category.items():
            for product in products:
                if product.available:
                    best.setdefault(category, product)
                    # Not by `sum`, which rounds in another way.
                    sold[category] = sold.get(category, 0) + product.popularity
        return [best[each] for each in sorted(best, key=lambda each: (-sold[each], each))]


def _rank(product: Product) -> tuple[float, str]:
    return -product.popularity, product.id


def _take_out(products: list[Product], product: Product) -> None:
    del products[bisect_left(products, _rank(product), key=_rank)]


def _put_in(products: list[Product], product: Product) -> None:
    products.insert(bisect_left(products, _rank(product), key=_rank), product)
