"""Carts and checkouts of Shopify's.

A checkout's webhook has the whole cart, so each is told as it is. A cart's has no customer: it is a
visitor's under the cart's token, until a checkout or an order names the token. What has changed in
a cart is found by the webhook before it, which this process remembers; a cart that is not known is
told as if each line had been taken out and put in, so that quantities are right.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from schemas.events import Event
from schemas.instant import to_rfc3339
from schemas.public_speech import CART, CHECKOUT
from streams.connect.facts import (
    Subject,
    browser_id,
    content_digest,
    event_of,
    fact,
    source_of,
)
from streams.connect.resources import Resource, an_object, id_of, needed_time, objects, text
from streams.connect.shopify.orders import subject
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.shopify.values import attribute, hints_of, product_line, product_lines

CARTS_REMEMBERED = 20_000
"""Of each shop: some 10 MB. A cart that was pushed out is told as one that is not known."""
ALL = 1_000_000
"""Pieces, more than any cart has: as many as there are."""
MOST_LINES = 200
"""Of a cart; Shopify allows 500, and nobody has them."""


def checkout_events(
    checkout: Resource, connection: ShopifyConnection, *, is_new: bool
) -> list[Event]:
    """Return what a checkout tells; nothing once it is an order. Raises Unreadable."""
    if checkout.get("completed_at") or checkout.get("order_id"):
        return []
    token = text(checkout, "token") or id_of(checkout)
    visitor = CHECKOUT + token
    whose = subject(checkout, connection) or Subject(visitor, visitor)
    currency = text(checkout, "currency")
    data: dict[str, Any] = {
        "checkout_id": token,
        "cart_id": text(checkout, "cart_token") or None,
        "cart_url": text(checkout, "abandoned_checkout_url") or None,
        "email": text(checkout, "email") or None,
        "currency": currency or None,
        "products": product_lines(objects(checkout, "line_items"), currency)[:500],
    }
    if is_new:
        type_, id_ = "checkout.started", fact("checkout", token, "started")
        time = needed_time(checkout, "created_at", "updated_at")
    else:
        data["step"] = _step(checkout)
        type_, time = "checkout.step_completed", needed_time(checkout, "updated_at", "created_at")
        id_ = fact("checkout", token, data["step"], to_rfc3339(time), content_digest(data))
    source = source_of("shopify", connection.host)
    return [
        event_of(
            type_, id_, source=source, time=time, subject=whose, data=data, hints=hints_of(checkout)
        )
    ]


def _step(checkout: Resource) -> str:
    """Return how far a checkout is, by what is filled in."""
    if objects(checkout, "shipping_lines"):
        return "shipping_method"
    if an_object(checkout, "shipping_address"):
        return "shipping_address"
    return "contact" if text(checkout, "email") else "started"


class Carts:
    """The carts of one shop as the last webhooks had them."""

    def __init__(self, connection: ShopifyConnection) -> None:
        self._connection = connection
        self._known: OrderedDict[str, tuple[int, dict[str, int]]] = OrderedDict()

    def events(self, cart: Resource, *, is_new: bool) -> list[Event]:
        """Return what has changed in a cart; nothing for one that is older than what is known of
        it. Raises Unreadable."""
        token = text(cart, "token") or id_of(cart)
        time = needed_time(cart, "updated_at", "created_at")
        before = self._known.get(token)
        if before is not None and time < before[0]:
            return []
        lines = _by_variant(cart)
        now = {name: _quantity(line) for name, line in lines.items()}
        known = {} if is_new and before is None else before[1] if before is not None else None
        changes = self._changes(token, time, lines, now, known)
        self._known[token] = (time, now)
        self._known.move_to_end(token)
        if len(self._known) > CARTS_REMEMBERED:
            self._known.popitem(last=False)
        said = attribute(cart, self._connection.anonymous_attribute)
        visitor = browser_id(said) or CART + token
        return [
            event_of(
                f"cart.product_{what}",
                fact("cart", token, what, to_rfc3339(at), content_digest(data)),
                source=source_of("shopify", self._connection.host),
                time=at,
                subject=Subject(visitor, visitor),
                data=data,
            )
            for what, at, data in changes
        ]

    def _changes(
        self,
        token: str,
        time: int,
        lines: Mapping[str, dict[str, Any]],
        now: Mapping[str, int],
        known: Mapping[str, int] | None,
    ) -> list[tuple[str, int, dict[str, Any]]]:
        found: list[tuple[str, int, dict[str, Any]]] = []
        for name, line in lines.items():
            said = {**line, "cart_id": token}
            if known is None:  # all of the line is taken out, and put in a moment later
                found.append(("removed", time, {**said, "quantity": ALL}))
                found.append(("added", time + 1, {**said, "quantity": now[name]}))
                continue
            more = now[name] - known.get(name, 0)
            if more:
                what = "added" if more > 0 else "removed"
                found.append((what, time, {**said, "quantity": abs(more)}))
        for name in (known or {}).keys() - lines.keys():
            product_id, _, variant = name.partition("\0")
            taken = {"product_id": product_id, "cart_id": token, "quantity": (known or {})[name]}
            if variant:
                taken["variant"] = variant
            found.append(("removed", time, taken))
        return found


def _by_variant(cart: Resource) -> dict[str, dict[str, Any]]:
    """Return the lines by product and variant; what is there twice is one line."""
    found: dict[str, dict[str, Any]] = {}
    for each in objects(cart, "line_items")[:MOST_LINES]:
        line = product_line(each)
        if line is None:
            continue
        name = f"{line['product_id']}\0{line['variant'] or ''}"
        if name in found:
            line["quantity"] = _quantity(found[name]) + _quantity(line)
        found[name] = {key: value for key, value in line.items() if value is not None}
    return found


def _quantity(line: Mapping[str, Any]) -> int:
    quantity = line.get("quantity")
    return quantity if isinstance(quantity, int) and 0 <= quantity <= ALL else 1
