"""Which products of the feed a mail shows.

The sources are the simplest honest ones: what the shop has set, what the customer has looked at,
what sells. Whatever knows better later has the same signature.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain

from pydantic import JsonValue

from agents.products import replenishment
from agents.products.catalogue import Catalogue
from schemas.bounds import cut, fits
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.customer.shopping import LineItem, Order
from schemas.definitions.products import Products, ProductSource
from schemas.money import amount_text
from schemas.products import Product


def choose(
    wanted: Products, customer: Customer, run: Run, catalogue: Catalogue
) -> list[Product] | None:
    """Return the products for a mail, best first; None when there are fewer than it needs."""
    chosen: dict[str, Product] = {}
    found = (_from(source, wanted, customer, run, catalogue) for source in wanted.sources)
    for product in chain.from_iterable(found):
        if wanted.reviewed and not product.reviews:
            continue
        chosen.setdefault(product.id, product)
        if len(chosen) == wanted.at_most:
            break
    return list(chosen.values()) if len(chosen) >= wanted.at_least else None


WORDS_BYTES = 1_000
"""Of each text of a product that a mail is told; a feed's have a thousand characters."""
URL_BYTES = 2_048


def url_of(text: str | None) -> str:
    """Return an address that a feed gives, as far as a mail may take it: whole, or not at all."""
    return text if text and fits(text, URL_BYTES) else ""


def describe(product: Product) -> dict[str, JsonValue]:
    """Return what a template knows of a product."""
    return {
        "product_id": product.id,
        "sku": product.sku,
        "name": cut(product.name, WORDS_BYTES),
        "description": cut(product.description or "", WORDS_BYTES),
        "brand": cut(product.brand or "", WORDS_BYTES),
        "category": cut(product.category or "", WORDS_BYTES),
        "price": amount_text(product.price),
        "old_price": None if product.list_price is None else amount_text(product.list_price),
        "currency": product.currency,
        "url": url_of(product.url),
        "image_url": url_of(product.image_url),
        "guide_url": url_of(product.guide_url),
        "review_url": url_of(product.review_url),
        "stock": product.stock,
        "rating": product.rating,
        "reviews": [
            {
                "author": cut(each.author, WORDS_BYTES),
                "rating": each.stars,
                "text": cut(each.text, WORDS_BYTES),
            }
            for each in product.reviews
        ],
    }


def _from(
    source: ProductSource, wanted: Products, customer: Customer, run: Run, catalogue: Catalogue
) -> Iterator[Product]:
    if source == "trigger":  # sold out it is still what the mail is about, if the mail can say so
        about = _known([run.product], catalogue)
        yield from (each for each in about if each.available or not wanted.at_least)
        return
    if source == "owned":
        order = _order(customer, run)
        received = order.received() if order else ()
        yield from _known((line.product_id for line in received), catalogue)
        return
    if source == "cart":
        yield from _known((line.product_id for line in _dearest(customer.cart.lines)), catalogue)
        return
    if source == "running_out":
        order = _order(customer, run)
        if order is not None:
            together = replenishment.together(customer, order, run.product, catalogue)
            yield from _known(together, catalogue)
        return
    there = _just_bought(customer, run)
    if source in ("complements", "accessories", "upgrades"):
        there.update(line.product_id for line in customer.cart.lines)
    for product in _candidates(source, customer, run, catalogue):
        if product.available and product.id not in there:
            yield product


def _candidates(
    source: ProductSource, customer: Customer, run: Run, catalogue: Catalogue
) -> Iterator[Product]:
    if source == "bestsellers":
        yield from catalogue.ranking.products
    elif source == "bestselling_categories":
        yield from catalogue.ranking.of_each_category()
    elif source == "interests":
        looked = sorted(
            customer.interests.items(),
            key=lambda item: (
                item[1].wished == 0,
                -len(item[1].times),
                -max(item[1].times, default=0),
            ),
        )
        yield from _known((product_id for product_id, _ in looked), catalogue)
    elif source == "categories":
        for category in _liked_categories(customer):
            yield from catalogue.ranking.of(category)
    else:
        for product in _known(_products_of_run(customer, run), catalogue):
            yield from _known(getattr(product, source), catalogue)


def _just_bought(customer: Customer, run: Run) -> set[str]:
    """What the run's order holds (else the last one), and what was bought since."""
    order = _order(customer, run) or next(reversed(customer.orders), None)
    since = [each for each in customer.orders if order is not None and each.time >= order.time]
    return {line.product_id for each in since for line in each.lines}


def _liked_categories(customer: Customer) -> list[str]:
    """The categories that the customer has bought most often, then those looked at most."""
    bought = customer.purchases.categories
    looked: Counter[str] = Counter()
    for interest in customer.interests.values():
        looked[interest.category] += len(interest.times)
    names = {name for name in (*bought, *looked) if name}
    orders = {name: bought[name].orders if name in bought else 0 for name in names}
    return sorted(names, key=lambda name: (-orders[name], -looked[name], name))


def _products_of_run(customer: Customer, run: Run) -> list[str]:
    """What the run is about, dearest first: its product or order, the cart, the last order."""
    if run.product:
        return [run.product]
    if run.cart >= 0 and not run.order_id:
        lines = customer.cart.lines
    else:
        order = _order(customer, run)
        lines = order.kept() if order else customer.cart.lines
    return [line.product_id for line in _dearest(lines)]


def _dearest(lines: Iterable[LineItem]) -> list[LineItem]:
    return sorted(lines, key=lambda line: -(line.price if line.price is not None else Decimal(0)))


def _order(customer: Customer, run: Run) -> Order | None:
    if run.order_id:
        return customer.order(run.order_id, run.shop or None)
    return customer.orders[-1] if customer.orders else None


def _known(product_ids: Iterable[str], catalogue: Catalogue) -> Iterator[Product]:
    for product_id in product_ids:
        product = catalogue.get(product_id)
        if product is not None:
            yield product
