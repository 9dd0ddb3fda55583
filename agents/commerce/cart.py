"""The cart: what lies in it, since when, and which cart of the customer's it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from agents.commerce import cart_history as history
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
from schemas.events.shopping import (
    CartChange,
    CheckoutProgress,
    OrderHinted,
    ProductProperties,
)
from schemas.quantity import exact
from schemas.time_units import DAY_MS

HINT_LASTS = DAY_MS
"""ms of the log's time for which the shop's own word is waited for. Webhooks and pollers take
minutes; of whom the shop says nothing by the next day has not bought."""

_LARGEST_LINE = largest(LineItem)
_FIT_ANYWAY = min(CART_LINES_KEPT, CART_TOTAL_BYTES // _LARGEST_LINE - 1)
"""Lines, however large, for which there is room: as in nearly every cart."""


def product_added(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Put a product into the cart."""
    data: CartChange = event.data
    cart, time = customer.cart, context.when(event.time)
    if not data.quantity:
        return []
    if _is_history(customer, data.product_id, time):
        if time > cart.cleared:
            _describe_line(cart, data)
        return []
    _price(cart, data.currency, time)
    line = _line(cart, data, data.currency)
    before = None
    if history.is_late_addition(cart, time):
        before = _contents(cart.lines)
        history.insert(cart, history.change(time, line, line.quantity), line)
    else:
        history.add(cart, line, time)
    _fit(cart)
    history.forget_old(cart, context.now)
    _describe(cart, data.cart_id, data.cart_url, time)
    return [] if before == _contents(cart.lines) else _changed(cart, time)


def product_removed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take a product out of the cart; all of a line when no quantity was given."""
    data: CartChange = event.data
    cart, time = customer.cart, context.when(event.time)
    if _is_history(customer, data.product_id, time):
        return []
    sought = line_items.to_line(data)
    quantity = exact(data.quantity) if "quantity" in data.model_fields_set else None
    if quantity == 0:
        return []
    if history.is_late(cart, time):
        before = _contents(cart.lines)
        removal = history.change(time, sought, None if quantity is None else -quantity)
        history.insert(cart, removal, sought)
        _fit(cart)
        taken = _contents(cart.lines) != before
    else:
        taken = history.take(cart, sought, quantity, time)
    history.forget_old(cart, context.now)
    return _changed(cart, time) if taken else []


def checkout(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take over the cart as the checkout sees it; moving through the checkout doesn't change it."""
    data: CheckoutProgress = event.data
    cart, time = customer.cart, context.when(event.time)
    if time < cart.cleared or (time == cart.cleared and not cart.lines and not data.products):
        return []
    listed = _listed(customer, data, time)
    if data.products and not listed:
        return []
    before = _contents(cart.lines)
    _price(cart, data.currency, time)
    _describe(cart, data.cart_id, data.cart_url, time)
    if data.products is not None and time >= cart.checked:
        seen = Cart(lines=_merged(cart, listed, data.currency))
        _fit(seen)
        history.begin_from(cart, seen.lines, time)
        cart.checked = time
        history.forget_old(cart, context.now)
    if time >= cart.stepped and (cart.lines or time >= cart.changed):
        cart.step, cart.stepped = line_items.name_text(data.step) or "started", time
    return [] if _contents(cart.lines) == before else _changed(cart, time)


def hinted(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """A page says that the cart is ordered: until the shop does, its reminders wait for as long as
    HINT_LASTS."""
    data: OrderHinted = event.data
    cart = customer.cart
    is_another = data.cart_id and cart.id and data.cart_id != cart.id
    is_known = any(order.id == data.order_id for order in customer.orders)
    if cart.lines and not is_another and not is_known and context.when(event.time) > cart.cleared:
        cart.hinted = max(cart.hinted, context.now)
    return []


def hint_ends(cart: Cart) -> int:
    """Return until when (ms) a hint holds reminders of the cart back, 0 without one."""
    return cart.hinted + HINT_LASTS if cart.hinted else 0


def ordered(
    cart: Cart, lines: Sequence[LineItem], time: int, cart_id: str | None = None
) -> list[DomainEvent]:
    """End the cart that became an order at `time`.

    What was put in after that time (the order's event came late) lies in the next cart.
    """
    if time <= cart.cleared:
        return []
    latest = max(cart.changed, cart.checked)
    if cart_id and cart_id == cart.id and time < latest <= time + history.CLOCKS_DIFFER:
        time = latest  # the shop's clocks differ: this very cart was ordered
    cart.cleared, cart.hinted = time, 0
    if cart.stepped <= time:
        cart.step = ""
    if cart.described <= time:
        cart.id = ""
    had_lines = bool(cart.lines)
    history.end(cart, {line.product_id for line in lines}, time)
    if not had_lines:
        return []
    cart.number += 1
    return [DomainEvent("cart.changed", cart.changed, cart=cart.number)] if cart.lines else []


def take_out(cart: Cart, lines: Iterable[LineItem]) -> list[DomainEvent]:
    """Take lines out of the cart that turn out to be somebody else's."""
    taken = [
        history.take(cart, line, line.quantity, cart.changed)
        for line in lines
        if line_items.same(cart.lines, line) is not None
    ]
    history.forget_old(cart, cart.changed)
    return _changed(cart, cart.changed) if any(taken) else []


def adopt(cart: Cart, other: Cart, time: int) -> list[DomainEvent]:
    """Add the cart of a visitor who turned out at `time` to be this customer."""
    if other.lines and other.changed < cart.cleared:
        return []
    cart.hinted = max(cart.hinted, other.hinted)
    were_there = bool(cart.lines)
    adopted = history.adopt(cart, other, time)
    if not were_there:
        cart.checked = max(cart.checked, other.checked)
    _fit(cart)
    history.forget_old(cart, max(cart.changed, other.changed))
    if not adopted:
        return []
    _price(cart, other.currency if other.priced else None, other.priced)
    _describe(cart, other.id or None, other.url or None, other.described)
    if other.stepped > cart.stepped:
        cart.step, cart.stepped = other.step, other.stepped
    return _changed(cart, other.changed)


def _is_history(customer: Customer, product_id: str, time: int) -> bool:
    """Whether an order or a checkout's list came after a change at `time`."""
    cart = customer.cart
    if time <= cart.checked or time < cart.cleared:
        return True
    return time == cart.cleared and product_id in _just_bought(customer, time)


def _just_bought(customer: Customer, time: int) -> set[str]:
    """Return the products of orders that were placed just before `time`: by a shop whose clocks
    differ perhaps after it."""
    since = time - history.CLOCKS_DIFFER
    orders = (order for order in customer.orders if since <= order.time <= time)
    return {line.product_id for order in orders for line in order.lines}


def _describe_line(cart: Cart, product: ProductProperties) -> None:
    """A checkout has listed since what was put in: of its line only what isn't known is news."""
    line = _line(cart, product, product.currency)
    present = line_items.same(cart.lines, line)
    if present is not None:
        line_items.describe(present, line, newest=False)


def _line(cart: Cart, product: ProductProperties, currency: str | None) -> LineItem:
    line = line_items.to_line(product)
    if line.price is not None and currency and currency != cart.currency:
        line.currency = currency
    return line


def _listed(customer: Customer, data: CheckoutProgress, time: int) -> Sequence[ProductProperties]:
    """Return what a checkout lists, without what was just bought and not put in again: its order
    is said to be older than it."""
    products = data.products or ()
    bought = _just_bought(customer, time) if products and customer.orders else ()
    if not bought:
        return products
    there = {line.product_id for line in customer.cart.lines}
    return [each for each in products if each.product_id in there or each.product_id not in bought]


def _merged(
    cart: Cart, products: Sequence[ProductProperties], currency: str | None
) -> list[LineItem]:
    """Return a line for each product and variant; what a shop lists twice is one line."""
    lines: list[LineItem] = []
    of_product: dict[str, list[LineItem]] = {}
    for product in products:
        line = _line(cart, product, product.currency or currency)
        variants = of_product.setdefault(line.product_id, [])
        present = line_items.same(variants, line)
        if present is not None:
            present.quantity = exact(present.quantity + line.quantity)
        elif line.quantity and len(lines) < CART_LINES_KEPT:
            lines.append(line)
            variants.append(line)
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
    cart.id, cart.step, cart.hinted = "", "", 0
    return [emptied]


def _describe(cart: Cart, id_: str | None, url: str | None, time: int) -> None:
    """The latest id and address count."""
    if url and fits(url, CART_URL_BYTES) and (not cart.url or time >= cart.described):
        cart.url = url
    if id_ and (time >= cart.described or not cart.id):
        cart.id, cart.described = id_, time


def _price(cart: Cart, currency: str | None, time: int) -> None:
    """Take over what the cart's currency is said to be. What was put in at prices of another one
    keeps that; as long as none was said, it was only assumed."""
    if not currency or time < cart.priced:
        return
    if cart.priced and currency != cart.currency:
        for line in cart.lines:
            if line.price is not None:
                line.currency = line.currency or cart.currency
    cart.currency, cart.priced = currency, time
    for line in cart.lines:
        if line.currency == currency:
            line.currency = ""


def _contents(lines: Iterable[LineItem]) -> list[tuple[str, str, str, int | Decimal]]:
    return sorted((line.product_id, line.sku, line.variant, line.quantity) for line in lines)


HANDLERS: Mapping[str, Handler] = {
    "cart.product_added": product_added,
    "cart.product_removed": product_removed,
    "order.hinted": hinted,
}
