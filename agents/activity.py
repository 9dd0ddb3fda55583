"""What a customer does in the shop: visits, and the products that are looked at or wished for."""

from __future__ import annotations

from schemas.customer import INTERESTS_KEPT, VIEWS_KEPT, Customer, Interest
from schemas.events import Event

VISIT_ENDS = 30 * 60_000
"""ms of silence that end a visit: what every web analysis counts by."""


def note(customer: Customer, event: Event, time: int) -> None:
    """Note what an event of a person says of visits and interests; before `last_active` moves."""
    if event.type != "mail.clicked" and time - customer.last_active > VISIT_ENDS:
        customer.visits += 1
    if event.type == "product.viewed":
        interest = _interest(customer, event.data.product_id, event.data.category)
        interest.times = sorted([*interest.times, time])[-VIEWS_KEPT:]
    elif event.type == "wishlist.added":
        interest = _interest(customer, event.data.product_id, event.data.category)
        interest.wished = max(interest.wished, time)


def adopt(customer: Customer, visitor: Customer) -> None:
    """Add what a visitor did who turned out to be this customer."""
    customer.visits += visitor.visits
    for product_id, theirs in visitor.interests.items():
        mine = _interest(customer, product_id, theirs.category)
        mine.times = sorted(mine.times + theirs.times)[-VIEWS_KEPT:]
        mine.wished = max(mine.wished, theirs.wished)


def _interest(customer: Customer, product_id: str, category: str | None) -> Interest:
    """Return the interest in a product as the latest one; the oldest gives way."""
    interest = customer.interests.pop(product_id, None) or Interest()
    interest.category = category or interest.category
    customer.interests[product_id] = interest
    while len(customer.interests) > INTERESTS_KEPT:
        del customer.interests[next(iter(customer.interests))]
    return interest
