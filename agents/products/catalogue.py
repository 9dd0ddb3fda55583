"""The catalogue: the shop's products as one partition knows them, and what a change of one means.

Products come into the log as control records, so that a price in a mail and a "back in stock" are
decided at the same point in live and in replay. What is kept of them lies beside the customers'
records under keys of its own and is written after them: when a batch was written in part, either no
product of it is there, or every customer is already ahead of the log and decides nothing again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from weakref import WeakValueDictionary

import xxhash

from agents.products.bestsellers import Ranking
from schemas.customer import Customer
from schemas.definitions.triggers import ProductChange, ProductConcern
from schemas.pending_work import CatalogueChange
from schemas.products import Product
from schemas.stored import NEVER, PRODUCT_PREFIX, FutureFormat, body, head, pack

SMALLEST_DROP = 5
"""Per cent. A price that falls by less is no news: half of a shop's prices move by cents."""
LOW_STOCK = 3
"""Pieces: "the last ones" is to be true when the mail is read, hours later."""
INTERESTED_VIEWS = 2
"""Who has looked at a product twice is interested; once is a slip."""


_PRODUCTS: WeakValueDictionary[bytes, Product] = WeakValueDictionary()
"""By the hash of its content, each product that a catalogue of this process holds: partitions may
be at different places of the feed, yet most of what they know is the same, and never changes."""


class UnreadableProduct(ValueError):
    """What is kept of a product can't be read."""

    def __init__(self, product_id: str) -> None:
        super().__init__(product_id)
        self.product_id = product_id


class Catalogue:
    """The products of one partition."""

    def __init__(
        self, kept: Iterable[tuple[bytes, bytes]] = (), without: Container[str] = ()
    ) -> None:
        """`kept`: what the store holds under keys that begin with PRODUCT_PREFIX; products whose
        id is among `without` are left out. Raises UnreadableProduct."""
        self._products: dict[str, Product] = {}
        self._offsets: dict[str, int] = {}
        self._ranking: Ranking | None = None
        for key, stored in kept:
            id_ = key.removeprefix(PRODUCT_PREFIX).decode()
            if id_ in without:
                continue
            try:
                self.restore(stored)
            except FutureFormat:
                raise
            except Exception as error:
                raise UnreadableProduct(id_) from error

    def __len__(self) -> int:
        return len(self._products)

    @property
    def ranking(self) -> Ranking:
        """The products in the order in which they sell."""
        if self._ranking is None:
            self._ranking = Ranking(self._products.values())
        return self._ranking

    def get(self, product_id: str) -> Product | None:
        """Return a product by the id that events name it by."""
        return self._products.get(product_id)

    def update(self, product: Product, offset: int) -> list[CatalogueChange]:
        """Take in what the record at `offset` says of a product; return what has changed.

        One that is in it already changes nothing.
        """
        if offset <= self._offsets.get(product.id, -1):
            return []
        before = self._products.get(product.id)
        product = _read(_content(product))
        self._products[product.id] = product
        self._offsets[product.id] = offset
        if self._ranking is not None:
            self._ranking.replace(before, product)
        return list(_changes(before, product))

    def remove(self, product_id: str) -> bytes | None:
        """Know a product no more; return its kept form, None when it isn't known."""
        _, stored = self.kept(product_id)
        self._products.pop(product_id, None)
        self._offsets.pop(product_id, None)
        self._ranking = None
        return stored

    def restore(self, stored: bytes, offset: int = -1) -> str | None:
        """Know what was kept of a product; return its id, None when newer is known.

        `offset`: of the record that has it known again, if there is one.
        """
        product, told = _read(bytes(body(stored))), head(stored).applied
        if told <= self._offsets.get(product.id, -1):
            return None
        self._products[product.id] = product
        self._offsets[product.id] = max(told, offset)
        self._ranking = None
        return product.id

    def kept(self, product_id: str) -> tuple[bytes, bytes | None]:
        """Return key and kept form of a product; None when it isn't known any more."""
        key, product = PRODUCT_PREFIX + product_id.encode(), self._products.get(product_id)
        if product is None:
            return key, None
        return key, pack(self._offsets[product_id], NEVER, _content(product))


def _content(product: Product) -> bytes:
    return product.model_dump_json(exclude_defaults=True).encode()


def _read(content: bytes) -> Product:
    """Return the product of this content that is there already, or else a new one."""
    key = xxhash.xxh3_128_digest(content)
    product = _PRODUCTS.get(key)
    if product is None:
        product = _PRODUCTS[key] = Product.model_validate_json(content)
    return product


def _changes(before: Product | None, after: Product) -> Iterator[CatalogueChange]:
    if after.price <= 0:
        return  # not priced yet, or by mistake: whatever became of it, nobody is told
    if after.replaces and (before is None or before.replaces != after.replaces):
        yield _change("new_version", after, after.replaces)
    if after.announce and (before is None or not before.announce):
        yield _change("launch", after, "")
    if before is None:
        return
    if not before.available and after.available:
        yield _change("back_in_stock", after, after.id)
    if after.available and before.currency == after.currency and _fell(before, after):
        yield _change("price_drop", after, after.id)
    if _runs_low(before, after):
        yield _change("low_stock", after, after.id)


def _change(kind: ProductChange, product: Product, about: str) -> CatalogueChange:
    return CatalogueChange(kind, product.id, product.name, product.category or "", about)


def _fell(before: Product, after: Product) -> bool:
    return (before.price - after.price) * 100 >= before.price * SMALLEST_DROP and before.price > 0


def _runs_low(before: Product, after: Product) -> bool:
    if after.stock is None or not after.available or after.stock > LOW_STOCK:
        return False
    return before.stock is None or before.stock > LOW_STOCK  # none before: that is back in stock


def mentioned(change: CatalogueChange) -> str:
    """Return the name that is in the record of every customer whom a change concerns; empty when it
    concerns nobody."""
    return change.about or change.category


def concerns(customer: Customer, about: str, category: str, concern: ProductConcern) -> bool:
    """Whether a change of a product is this customer's business.

    `about` is the product's id, empty for a launch, which is about its category.
    """
    if concern == "in_cart":
        return any(line.product_id == about for line in customer.cart.lines)
    if concern == "owned":
        return _owns(customer, about)
    if not about:
        return _interested_in_category(customer, category)
    seen = customer.interests.get(about)
    tagged = f"interest:{about}" in customer.tags
    return tagged or (seen is not None and (seen.wished > 0 or len(seen.times) >= INTERESTED_VIEWS))


def _owns(customer: Customer, product_id: str) -> bool:
    """Whether it was bought and kept; of orders that are no longer kept only the first is known."""
    held = [o for o in customer.orders if any(ln.product_id == product_id for ln in o.lines)]
    if not held:
        return product_id in customer.purchases.products
    return any(ln.product_id == product_id for order in held for ln in order.kept())


def _interested_in_category(customer: Customer, category: str) -> bool:
    if not category:
        return False
    if f"interest:{category}" in customer.tags:
        return True
    views = sum(
        len(each.times) for each in customer.interests.values() if each.category == category
    )
    return views >= INTERESTED_VIEWS
