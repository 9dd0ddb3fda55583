"""The template variables of a cart, an order and the products in them.

What the shop's events have said comes first; what they have left out, the feed says. A picture, a
price or a link is therefore there when either of them knows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from pydantic import JsonValue

from agents.products.catalogue import Catalogue
from agents.products.prices import price_of
from agents.products.recommendations import WORDS_BYTES, describe, url_of
from schemas.bounds import cut, kept_bytes
from schemas.commands import MailClass
from schemas.customer.shopping import Cart, LineItem, Order
from schemas.instant import to_rfc3339
from schemas.money import amount_text
from schemas.products import Product
from schemas.quantity import as_number

SHOWN_TOTAL_BYTES = 200_000
"""Bytes of all lines of a cart or an order in one mail: 300 lines of six hundred. No mail program
shows more, and a command has to fit into a record of the log; what comes last is left out."""
_FEW = 20
"""Lines that never take more, whatever shop and feed say of them."""

PROGRESS = (
    "carrier", "tracking_number", "tracking_url", "order_url", "order_number",
    "estimated_delivery",
)  # fmt: skip
"""Properties by which an event tells how far an order is."""


def cart(shown: Cart, catalogue: Catalogue) -> JsonValue:
    """Return the cart with what is left of its products; no total while a price is not known, or
    is in another currency than the cart."""
    prices = [
        price_of(line, shown.currency, catalogue.get(line.product_id)) for line in shown.lines
    ]
    total: Decimal | None = Decimal(0)
    for line, price in zip(shown.lines, prices, strict=True):
        if total is not None and price is not None and line.currency in ("", shown.currency):
            total += price * line.quantity
        else:
            total = None
    return {
        "id": shown.id,
        "url": shown.url,
        "currency": shown.currency,
        "total": _amount(total),
        "lines": _as_far_as_they_fit(
            _line(line, shown.currency, catalogue) | _for_sale(catalogue.get(line.product_id))
            for line in shown.lines
        ),
    }


def lines_shown(shown: Order, mail_class: MailClass) -> list[LineItem]:
    """Return the lines of an order that a mail is about. What was given back, or has never been
    sent, is nothing to give advice on or to ask about; a confirmation has all of it, and so has
    what is said of an order that was undone."""
    undone = shown.status in ("cancelled", "refunded")
    return shown.lines if mail_class == "transactional" or undone else shown.received()


def order(shown: Order, lines: Iterable[LineItem], catalogue: Catalogue) -> JsonValue:
    """Return the order, of whose lines these are shown."""
    return {
        "id": shown.id,
        "number": shown.number or shown.id,
        "time": to_rfc3339(shown.time),
        "url": shown.url,
        "currency": shown.currency,
        "total": amount_text(shown.total),
        "subtotal": _amount(shown.subtotal),
        "shipping": _amount(shown.shipping),
        "discount": _amount(shown.discount),
        "tax": _amount(shown.tax),
        "estimated_delivery": shown.estimated_delivery,
        "carrier": shown.carrier,
        "tracking_number": shown.tracking_number,
        "tracking_url": shown.tracking_url,
        "lines": _as_far_as_they_fit(_line(line, shown.currency, catalogue) for line in lines),
    }


def unknown_order(order_id: str, event: Mapping[str, JsonValue]) -> JsonValue:
    """Return what an event has said of an order that was placed before we were told of orders."""
    said = {name: event.get(name) for name in PROGRESS}
    number = said.pop("order_number") or order_id
    return {"id": order_id, "number": number, "url": said.pop("order_url"), **said}


def favourite(lines: Sequence[LineItem], currency: str, catalogue: Catalogue) -> JsonValue:
    """Return the product that a mail names when it can name only one of an order's: the dearest,
    the first of equals."""
    if not lines:
        return None
    line = max(lines, key=lambda line: line.price if line.price is not None else 0)
    product = catalogue.get(line.product_id)
    known = {} if product is None else describe(product)
    return {**known, **_line(line, currency, catalogue), "currency": currency}


def _as_far_as_they_fit(lines: Iterable[dict[str, JsonValue]]) -> JsonValue:
    shown: list[JsonValue] = []
    taken = 0
    for line in lines:
        if len(shown) >= _FEW:
            taken += kept_bytes(line) if taken else kept_bytes([*shown, line])
            if taken > SHOWN_TOTAL_BYTES:
                break
        shown.append(line)
    return shown


def _line(line: LineItem, currency: str, catalogue: Catalogue) -> dict[str, JsonValue]:
    product = catalogue.get(line.product_id)
    own: dict[str, JsonValue] = {"currency": line.currency} if line.currency else {}
    return own | {
        "product_id": line.product_id,
        "name": line.name or (cut(product.name, WORDS_BYTES) if product else line.product_id),
        "price": _amount(price_of(line, currency, product)),
        "quantity": as_number(line.quantity),
        "url": line.url or url_of(product.url if product else None),
        "image_url": line.image_url or url_of(product.image_url if product else None),
        "guide_url": url_of(product.guide_url if product else None),
        "review_url": url_of(product.review_url if product else None),
    }


def _for_sale(product: Product | None) -> dict[str, JsonValue]:
    """What matters of a product that is not bought yet."""
    if product is None:
        return {}
    return {"stock": product.stock if product.available else 0, "rating": product.rating}


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else amount_text(amount)
