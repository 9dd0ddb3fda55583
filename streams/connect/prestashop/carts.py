"""Carts of known customers that are no order yet → checkouts.

A cart has a customer once somebody has signed in, or has given name and address in the checkout. It
has no restoring link: PrestaShop makes one only with a secret of its own, so the link leads to the
cart page, which shows the cart in the browser in which it was filled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.events import Event
from schemas.instant import LATEST, to_rfc3339
from streams.connect.facts import content_digest, fact
from streams.connect.json_fields import Row, inside, quantity, rows, text, whole, without_nothing
from streams.connect.local_windows import instant_of
from streams.connect.prestashop.orders import PrestaShopSource, required_id, subject_of

ROWS = 500
"""Of a cart, as events have at most."""


class CartProduct(NamedTuple):
    """What a cart's row doesn't say of its product."""

    name: str = ""
    sku: str = ""
    price: str = ""
    url: str = ""
    image_url: str = ""


def facts_of_cart(
    cart: Row,
    customer: Row,
    products: Mapping[int, CartProduct],
    shop: PrestaShopSource,
    *,
    ordered: bool = False,
    now: int = LATEST,
) -> list[Event]:
    """Return that a checkout has begun, or what it holds now; nothing of a cart that has become an
    order (`ordered`) or whose owner isn't known. Raises ValueError."""
    id_ = required_id(cart)
    subject = subject_of(whole(cart, "id_customer"), customer, shop)
    if subject is None or ordered:
        return []
    time = instant_of(text(cart, "date_upd") or text(cart, "date_add"), shop.zone, not_after=now)
    found = rows(inside(cart, "associations"), "cart_rows")[:ROWS]
    lines = [without_nothing(_line(row, products)) for row in found]
    data = without_nothing(
        {
            "checkout_id": str(id_),
            "cart_id": str(id_),
            "cart_url": f"{shop.url}/index.php?controller=cart&action=show",
            "email": text(customer, "email"),
            "currency": shop.currencies.get(whole(cart, "id_currency"), ""),
        }
    )
    data["products"] = lines  # an empty cart is one, too
    fact_id = fact("cart", id_, to_rfc3339(time), content_digest(data))
    return [shop.event("checkout.started", fact_id, time, subject, data)]


def _line(row: Row, products: Mapping[int, CartProduct]) -> dict[str, Any]:
    id_, attribute = whole(row, "id_product"), whole(row, "id_product_attribute")
    known = products.get(id_, CartProduct())
    return {
        "product_id": str(id_),
        "variant": str(attribute) if attribute else "",
        "quantity": quantity(row, "quantity"),
        **known._asdict(),
    }
