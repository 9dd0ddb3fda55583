"""Interests: which products a customer looks at, and wishes for."""

from __future__ import annotations

from collections.abc import Mapping

from agents.context import Context, DomainEvent, Handler
from schemas.bounds import cut
from schemas.customer import Customer
from schemas.customer.shopping import INTERESTS_KEPT, NAME_BYTES, VIEWS_KEPT, Interest
from schemas.events import Event
from schemas.events.shopping import ProductProperties


def viewed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """A product page was looked at."""
    customer.views += 1
    times, time = _interest(customer, event.data).times, context.when(event.time)
    times.append(time)
    if len(times) > 1:
        times.sort()
        del times[:-VIEWS_KEPT]
    return []


def wished(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """A product was put on the wish list."""
    interest = _interest(customer, event.data)
    interest.wished = max(interest.wished, context.when(event.time))
    return []


def no_longer_wished(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """A product was taken off the wish list, unless it was put there again later."""
    interest = customer.interests.get(event.data.product_id)
    if interest is not None and interest.wished <= context.when(event.time):
        interest.wished = 0
        if not interest.times:  # nothing else is known of it
            del customer.interests[event.data.product_id]
    return []


def adopt(customer: Customer, visitor: Customer) -> None:
    """Add what a visitor looked at who turned out to be this customer."""
    for product_id, other in visitor.interests.items():
        interest = customer.interests.setdefault(product_id, Interest())
        interest.times = sorted([*interest.times, *other.times])[-VIEWS_KEPT:]
        interest.category = interest.category or other.category
        interest.wished = max(interest.wished, other.wished)
    ordered = sorted(customer.interests.items(), key=lambda item: (_latest(item[1]), item[0]))
    customer.interests = dict(ordered[-INTERESTS_KEPT:])


def _interest(customer: Customer, product: ProductProperties) -> Interest:
    """The product's, as the latest one; the one that was met longest ago gives way."""
    interest = customer.interests.pop(product.product_id, None) or Interest()
    customer.interests[product.product_id] = interest
    if product.category:
        interest.category = cut(product.category, NAME_BYTES)
    if len(customer.interests) > INTERESTS_KEPT:
        del customer.interests[next(iter(customer.interests))]
    return interest


def _latest(interest: Interest) -> int:
    return max(interest.times[-1] if interest.times else 0, interest.wished)


HANDLERS: Mapping[str, Handler] = {
    "product.viewed": viewed,
    "wishlist.added": wished,
    "wishlist.removed": no_longer_wished,
}
