"""When what was bought runs out (W19): the customer's own rhythm, else how long the product lasts.

The rhythm is the mean interval between the customer's purchases of a product, once there are
RHYTHM_PURCHASES of them among the orders kept: predicted dates come later, behind `runs_out`.
"""

from __future__ import annotations

from agents.catalogue import Catalogue
from schemas.customer import Customer
from schemas.customer.shopping import Line, Order

RHYTHM_PURCHASES = 3
"""Two intervals: the fewest of which there is a mean."""
FARTHEST = 366 * 86_400_000
"""ms. A reseller's hundred pieces don't last a hundred times as long; nobody is told in years."""


def runs_out(customer: Customer, order: Order, catalogue: Catalogue) -> int | None:
    """Return when the first product of the order runs out, ms since the epoch; None if unknown."""
    ends = [end for line in order.lines if (end := _ends(customer, order, line, catalogue))]
    return min((end for end in ends if end - order.time <= FARTHEST), default=None)


def _ends(customer: Customer, order: Order, line: Line, catalogue: Catalogue) -> int | None:
    times = sorted(
        each.time
        for each in customer.orders
        if each.status not in ("cancelled", "refunded")
        and each.time <= order.time
        and any(other.product_id == line.product_id for other in each.lines)
    )
    product = catalogue.get(line.product_id)
    if product is None or product.lasts is None:
        return None  # what isn't used up isn't bought again for that reason
    if len(times) >= RHYTHM_PURCHASES:
        return order.time + (times[-1] - times[0]) // (len(times) - 1)
    return order.time + product.lasts * max(line.quantity, 1)
