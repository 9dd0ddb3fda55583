"""The cart: what lies in it, since when, and which cart of the customer's it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.context import Context, Occurred
from schemas.customer import Customer
from schemas.customer.shopping import Cart, Line
from schemas.events import Event
from schemas.events.fields import is_address
from schemas.events.shopping import CartChange, CheckoutProgress, Product

LINES_KEPT = 120
"""Whoever puts more into a cart is no person. With the lines of the orders, what was bought and
looked at, and the lengths below, a record stays under 950 kB, which a log still takes."""
NAME_LENGTH = 200
BRAND_LENGTH = 60
URL_LENGTH = 500
"""Characters of a name or a category that are kept; a longer URL is left out, as a cut one is
none."""


def product_added(customer: Customer, event: Event, context: Context) -> list[Occurred]:
    """Put a product into the cart."""
    data: CartChange = event.data
    cart, time = customer.cart, context.when(event.time)
    if time < cart.cleared or not data.quantity:
        return []
    present = _find(cart.lines, data.product_id)
    if present is None:
        cart.lines.append(to_line(data))
        del cart.lines[:-LINES_KEPT]
    else:
        _refresh(present, data)
        present.quantity += data.quantity
    _describe(cart, data.cart_id, data.cart_url, data.currency)
    return _changed(cart, time)


def product_removed(customer: Customer, event: Event, context: Context) -> list[Occurred]:
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


def checkout(customer: Customer, event: Event, context: Context) -> list[Occurred]:
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
    lines = [to_line(product) for product in data.products if product.quantity][:LINES_KEPT]
    if _contents(lines) == before:
        return []
    cart.lines = lines
    return _changed(cart, time)


def ordered(cart: Cart, lines: Sequence[Line], time: int) -> list[Occurred]:
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
    return [Occurred("cart.changed", cart.changed, cart=cart.number)] if cart.lines else []


def adopt(cart: Cart, other: Cart) -> list[Occurred]:
    """Add the cart of a visitor who turned out to be this customer."""
    if not other.lines or other.changed < cart.cleared:
        return []
    for line in other.lines:
        present = _find(cart.lines, line.product_id)
        if present is None:
            cart.lines.append(line)
        else:
            present.quantity = max(present.quantity, line.quantity)
    _describe(cart, other.id or None, other.url or None, other.currency)
    return _changed(cart, other.changed)


def to_line(product: Product) -> Line:
    """Return what is kept of a product in a cart or an order."""
    return Line(
        product_id=product.product_id,
        quantity=product.quantity,
        price=product.price,
        name=name_text(product.name),
        category=name_text(product.category),
        url=url_text(product.url),
        image_url=url_text(product.image_url),
        brand=name_text(product.brand)[:BRAND_LENGTH],
    )


def _changed(cart: Cart, time: int) -> list[Occurred]:
    cart.changed = max(cart.changed, time)
    if cart.lines:
        return [Occurred("cart.changed", cart.changed, cart=cart.number)]
    emptied = Occurred("cart.emptied", cart.changed, cart=cart.number)
    cart.number += 1
    cart.id = cart.step = ""
    return [emptied]


def _find(lines: Iterable[Line], product_id: str) -> Line | None:
    return next((line for line in lines if line.product_id == product_id), None)


def _refresh(line: Line, product: Product) -> None:
    """The latest price, name and picture count; what isn't said stays."""
    line.price = line.price if product.price is None else product.price
    line.name = name_text(product.name) or line.name
    line.category = name_text(product.category) or line.category
    line.brand = name_text(product.brand)[:BRAND_LENGTH] or line.brand
    line.url = url_text(product.url) or line.url
    line.image_url = url_text(product.image_url) or line.image_url


def name_text(text: str | None) -> str:
    """Return a name as far as it is kept."""
    return (text or "")[:NAME_LENGTH]


def url_text(text: str | None) -> str:
    """Return an address as far as it is kept: whole, or not at all."""
    return text if text and len(text) <= URL_LENGTH else ""


def _describe(cart: Cart, id_: str | None, url: str | None, currency: str | None) -> None:
    cart.id = id_ or cart.id
    cart.url = url or cart.url
    cart.currency = currency or cart.currency


def _contents(lines: Iterable[Line]) -> list[tuple[str, int]]:
    return sorted((line.product_id, line.quantity) for line in lines)
