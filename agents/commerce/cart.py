"""The cart: what lies in it, since when, and which cart of the customer's it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agents.context import Context, DomainEvent, Handler
from schemas.bounds import cut, fits, largest, shed
from schemas.customer import Customer
from schemas.customer.shopping import (
    BRAND_BYTES,
    CART_LINES_KEPT,
    CART_TOTAL_BYTES,
    CART_URL_BYTES,
    NAME_BYTES,
    URL_BYTES,
    Cart,
    LineItem,
)
from schemas.events import Event
from schemas.events.fields import is_address
from schemas.events.shopping import CartChange, CheckoutProgress, ProductProperties

_LARGEST_LINE = largest(LineItem)
_FIT_ANYWAY = min(CART_LINES_KEPT, CART_TOTAL_BYTES // _LARGEST_LINE - 1)
"""Lines, however large, for which there is room: as in nearly every cart."""


def product_added(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Put a product into the cart."""
    data: CartChange = event.data
    cart, time = customer.cart, context.when(event.time)
    if time < cart.cleared or not data.quantity:
        return []
    present = _find(cart.lines, data.product_id)
    if present is None:
        cart.lines.append(to_line(data))
    else:
        _refresh(present, data)
        present.quantity += data.quantity
    _fit(cart)
    _describe(cart, data.cart_id, data.cart_url, data.currency)
    return _changed(cart, time)


def product_removed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take a product out of the cart; all of it when no quantity was given."""
    data: CartChange = event.data
    cart, time = customer.cart, context.when(event.time)
    present = _find(cart.lines, data.product_id)
    if time < cart.cleared or present is None:
        return []
    if "quantity" in data.model_fields_set:
        present.quantity -= data.quantity
    if "quantity" not in data.model_fields_set or present.quantity <= 0:
        cart.lines.remove(present)
    return _changed(cart, time)


def checkout(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take over the cart as the checkout sees it; moving through the checkout doesn't change it."""
    data: CheckoutProgress = event.data
    cart, time = customer.cart, context.when(event.time)
    if data.email and not customer.profile.email and is_address(data.email):
        customer.profile.email = data.email
    if time < cart.cleared:
        return []
    cart.step = name_text(data.step) or "started"
    _describe(cart, data.cart_id, data.cart_url, data.currency)
    if data.products is None:
        return []
    before = _contents(cart.lines)
    lines = [to_line(product) for product in data.products if product.quantity]
    seen = Cart(lines=lines[:CART_LINES_KEPT])
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
        present = _find(cart.lines, line.product_id)
        if present is None:
            cart.lines.append(line)
        else:
            present.quantity = max(present.quantity, line.quantity)
    _fit(cart)
    _describe(cart, other.id or None, other.url or None, other.currency)
    return _changed(cart, other.changed)


def to_line(product: ProductProperties) -> LineItem:
    """Return what is kept of a product in a cart or an order."""
    return LineItem(
        product_id=product.product_id,
        quantity=product.quantity,
        price=product.price,
        name=name_text(product.name),
        category=name_text(product.category),
        url=url_text(product.url),
        image_url=url_text(product.image_url),
        brand=cut(product.brand or "", BRAND_BYTES),
    )


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


def _find(lines: Iterable[LineItem], product_id: str) -> LineItem | None:
    return next((line for line in lines if line.product_id == product_id), None)


def _refresh(line: LineItem, product: ProductProperties) -> None:
    """The latest price, name and picture count; what isn't said stays."""
    line.price = line.price if product.price is None else product.price
    line.name = name_text(product.name) or line.name
    line.category = name_text(product.category) or line.category
    line.brand = cut(product.brand or "", BRAND_BYTES) or line.brand
    line.url = url_text(product.url) or line.url
    line.image_url = url_text(product.image_url) or line.image_url


def name_text(text: str | None) -> str:
    """Return a name as far as it is kept."""
    return cut(text, NAME_BYTES) if text else ""


def url_text(text: str | None) -> str:
    """Return an address as far as it is kept: whole, or not at all."""
    return text if text and fits(text, URL_BYTES) else ""


def _describe(cart: Cart, id_: str | None, url: str | None, currency: str | None) -> None:
    cart.id = id_ or cart.id
    if url and fits(url, CART_URL_BYTES):
        cart.url = url
    cart.currency = currency or cart.currency


def _contents(lines: Iterable[LineItem]) -> list[tuple[str, int]]:
    return sorted((line.product_id, line.quantity) for line in lines)


HANDLERS: Mapping[str, Handler] = {
    "cart.product_added": product_added,
    "cart.product_removed": product_removed,
    "checkout.started": checkout,
    "checkout.step_completed": checkout,
}
