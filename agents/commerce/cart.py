"""The cart: what lies in it, since when, and which cart of the customer's it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from agents.commerce import line_items
from agents.context import Context, DomainEvent, Handler
from schemas.bounds import fits, largest, shed
from schemas.customer import Customer
from schemas.customer.shopping import (
    CART_LINES_KEPT,
    CART_TOTAL_BYTES,
    CART_URL_BYTES,
    Cart,
    LineItem,
)
from schemas.events import Event
from schemas.events.shopping import CartChange, CheckoutProgress, ProductProperties
from schemas.quantity import exact

_LARGEST_LINE = largest(LineItem)
_FIT_ANYWAY = min(CART_LINES_KEPT, CART_TOTAL_BYTES // _LARGEST_LINE - 1)
"""Lines, however large, for which there is room: as in nearly every cart."""


def product_added(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Put a product into the cart."""
    data: CartChange = event.data
    cart, time = customer.cart, context.when(event.time)
    if time < cart.cleared or not data.quantity:
        return []
    added = line_items.to_line(data)
    present = line_items.same(cart.lines, added)
    if present is None:
        cart.lines.append(added)
    else:
        line_items.refresh(present, data)
        present.quantity = exact(present.quantity + added.quantity)
    _fit(cart)
    _describe(cart, data.cart_id, data.cart_url, data.currency)
    return _changed(cart, time)


def product_removed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take a product out of the cart; all of a line when no quantity was given."""
    data: CartChange = event.data
    cart, time = customer.cart, context.when(event.time)
    present = line_items.meant(cart.lines, line_items.to_line(data))
    if time < cart.cleared or present is None:
        return []
    if "quantity" in data.model_fields_set:
        present.quantity = exact(present.quantity - data.quantity)
    if "quantity" not in data.model_fields_set or present.quantity <= 0:
        cart.lines.remove(present)
    return _changed(cart, time)


def checkout(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take over the cart as the checkout sees it; moving through the checkout doesn't change it."""
    data: CheckoutProgress = event.data
    cart, time = customer.cart, context.when(event.time)
    if time < cart.cleared:
        return []
    cart.step = line_items.name_text(data.step) or "started"
    _describe(cart, data.cart_id, data.cart_url, data.currency)
    if data.products is None:
        return []
    before = _contents(cart.lines)
    seen = Cart(lines=_merged(data.products))
    _fit(seen)
    if _contents(seen.lines) == before:
        return []
    cart.lines = seen.lines
    return _changed(cart, time)


def ordered(cart: Cart, lines: Sequence[LineItem], time: int) -> list[DomainEvent]:
    """End the cart that became an order at `time`.

    What was put in after that time (the order's event came late) lies in the next cart.
    """
    cart.cleared = max(cart.cleared, time)
    cart.step = ""
    if not cart.lines:
        return []
    if cart.changed > time:
        bought = {line.product_id for line in lines}
        cart.lines = [line for line in cart.lines if line.product_id not in bought]
    else:
        cart.lines = []
    cart.number += 1
    cart.id = ""
    return [DomainEvent("cart.changed", cart.changed, cart=cart.number)] if cart.lines else []


def adopt(cart: Cart, other: Cart) -> list[DomainEvent]:
    """Add the cart of a visitor who turned out to be this customer."""
    if not other.lines or other.changed < cart.cleared:
        return []
    for line in other.lines:
        present = line_items.same(cart.lines, line)
        if present is None:
            cart.lines.append(line)
        else:
            present.quantity = max(present.quantity, line.quantity)
    _fit(cart)
    _describe(cart, other.id or None, other.url or None, other.currency)
    return _changed(cart, other.changed)


def _merged(products: Sequence[ProductProperties]) -> list[LineItem]:
    """Return a line for each product and variant; what a shop lists twice is one line."""
    lines: list[LineItem] = []
    for product in products:
        line = line_items.to_line(product)
        present = line_items.same(lines, line)
        if present is not None:
            present.quantity = exact(present.quantity + line.quantity)
        elif line.quantity and len(lines) < CART_LINES_KEPT:
            lines.append(line)
    return lines


def _fit(cart: Cart) -> None:
    """Let those give way that were put in first, as far as there are too many."""
    if len(cart.lines) <= _FIT_ANYWAY:
        return
    del cart.lines[:-CART_LINES_KEPT]
    shed(cart.lines, CART_TOTAL_BYTES, _LARGEST_LINE)


def _changed(cart: Cart, time: int) -> list[DomainEvent]:
    cart.changed = max(cart.changed, time)
    if cart.lines:
        return [DomainEvent("cart.changed", cart.changed, cart=cart.number)]
    emptied = DomainEvent("cart.emptied", cart.changed, cart=cart.number)
    cart.number += 1
    cart.id = cart.step = ""
    return [emptied]


def _describe(cart: Cart, id_: str | None, url: str | None, currency: str | None) -> None:
    cart.id = id_ or cart.id
    if url and fits(url, CART_URL_BYTES):
        cart.url = url
    cart.currency = currency or cart.currency


def _contents(lines: Iterable[LineItem]) -> list[tuple[str, str, str, int | Decimal]]:
    return sorted((line.product_id, line.sku, line.variant, line.quantity) for line in lines)


HANDLERS: Mapping[str, Handler] = {
    "cart.product_added": product_added,
    "cart.product_removed": product_removed,
}
