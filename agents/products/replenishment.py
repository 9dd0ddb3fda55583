"""When what was bought runs out (W19): the customer's own rhythm, else how long the product lasts.

The rhythm is the mean interval between the customer's purchases of a product, once there are
RHYTHM_PURCHASES of them among the orders kept: predicted dates come later, behind `runs_out`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from agents.products.catalogue import Catalogue
from schemas.customer import Customer
from schemas.customer.shopping import Order
from schemas.time_units import DAY_MS

RHYTHM_PURCHASES = 3
"""Two intervals: the fewest of which there is a mean."""
FARTHEST = 366 * DAY_MS
"""ms. A reseller's hundred pieces don't last a hundred times as long; nobody is told in years."""
TOGETHER = 7 * DAY_MS
"""ms. What runs out within a week of each other is worth one reminder, and one parcel."""


def runs_out(customer: Customer, order: Order, catalogue: Catalogue) -> int | None:
    """Return when the first product of the order runs out, ms since the epoch; None if unknown."""
    return min(_ends(customer, order, catalogue).values(), default=None)


def first_ones(customer: Customer, order: Order, catalogue: Catalogue) -> Iterator[tuple[str, int]]:
    """Yield products of the order with when (ms) they run out: the first, and of what runs out
    later than TOGETHER after it again the first, and so on."""
    until = 0
    ends = _ends(customer, order, catalogue)
    for product_id in sorted(ends, key=lambda each: (ends[each], each)):
        if ends[product_id] > until:
            yield product_id, ends[product_id]
            until = ends[product_id] + TOGETHER


def together(customer: Customer, order: Order, product_id: str, catalogue: Catalogue) -> list[str]:
    """Return the product and what else of the order runs out with it, the first one first; without
    what was bought again since."""
    ends = _ends(customer, order, catalogue)
    first = ends.get(product_id)
    if first is None:
        return []
    again = {
        line.product_id
        for each in customer.orders
        if each.time > order.time
        for line in each.kept()
    }
    found = [each for each in ends if first <= ends[each] <= first + TOGETHER]
    found.sort(key=lambda each: (ends[each], each != product_id, each))
    return [each for each in found if each not in again]


def _ends(customer: Customer, order: Order, catalogue: Catalogue) -> Mapping[str, int]:
    """Return when each of the order's products runs out of which that is known."""
    pieces: dict[str, int | Decimal] = {}
    for line in order.kept():
        pieces[line.product_id] = pieces.get(line.product_id, 0) + max(line.quantity, 1)
    ends = ((each, _end(customer, order, each, pieces[each], catalogue)) for each in pieces)
    return {each: end for each, end in ends if end is not None and end - order.time <= FARTHEST}


def _end(
    customer: Customer, order: Order, product_id: str, pieces: int | Decimal, catalogue: Catalogue
) -> int | None:
    product = catalogue.get(product_id)
    if product is None or product.lasts is None:
        return None  # what isn't used up isn't bought again for that reason
    times = sorted(
        each.time
        for each in customer.orders
        if each.time <= order.time and any(line.product_id == product_id for line in each.kept())
    )
    if len(times) >= RHYTHM_PURCHASES:
        return order.time + (times[-1] - times[0]) // (len(times) - 1)
    return order.time + int(product.lasts * pieces)
