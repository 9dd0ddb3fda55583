"""A shop's life around real orders: what was bought, when and by whom is real; that they signed up,
looked at it before, left carts behind, got parcels and had birthdays is made up, the same each
time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any
from zlib import crc32

from schemas.instant import to_rfc3339
from schemas.wire import PRODUCT_UPDATED
from tests.histories.orders import Item, Order, Shopper
from tests.sending.mails import DAY, HOUR, MINUTE

NEIGHBOURS = 3
"""Complements of each product: what was on the same orders first."""
MOST_ITEMS = 12
"""Of an order; the gift shop has resellers who buy hundreds."""

Told = tuple[int, str, str, dict[str, Any]]
"""Time, customer, event type, properties."""


def lines(shoppers: Mapping[str, Shopper]) -> Iterator[bytes]:
    """Yield the whole shop's life as a file for `ritorno replay`, in order of time."""
    told = [each for shopper in shoppers.values() for each in _life(shopper)]
    feed = list(_feed(shoppers))
    everything = [(time, 0, n, data) for n, (time, data) in enumerate(feed)]
    for number, (time, who, type_, data) in enumerate(sorted(told, key=lambda each: each[0])):
        event = {"specversion": "1.0", "id": f"e{number}", "type": type_, "subject": who,
                 "time": to_rfc3339(time), "data": data}  # fmt: skip
        everything.append((time, 1, number, event))
    for *_, line in sorted(everything, key=lambda each: each[:3]):
        yield json.dumps(line).encode()


def _chance(*parts: object) -> float:
    """Return a number from 0 to 1 that depends on these alone."""
    return crc32("/".join(map(str, parts)).encode()) / 2**32


def _life(shopper: Shopper) -> Iterator[Told]:
    who, orders = shopper.id, sorted(shopper.orders.values())
    began = orders[0].time - 9 * DAY
    birthday = date(1960, 1, 1) + timedelta(days=int(_chance(who, "born") * 15_000))
    traits = {"email": f"c{who}@posta.example", "first_name": f"N{who}", "zone": shopper.zone,
              "locale": "it" if int(who) % 2 else "en", "birthday": f"{birthday}"}  # fmt: skip
    yield began, who, "customer.created", traits
    if _chance(who, "list") < 0.7:
        yield began, who, "list.subscribed", {"list": "newsletter", "confirmed": True}
    elif _chance(who, "consent") < 0.5:
        yield began, who, "consent.given", {"purpose": "marketing", "source": "checkout"}
    if _chance(who, "leaves") < 0.05:
        yield orders[-1].time + 40 * DAY, who, "list.unsubscribed", {"list": "newsletter"}
    if _chance(who, "asks") < 0.05:
        yield orders[0].time + 2 * HOUR, who, "support.requested", {"topic": "shipping"}
    for order in orders:
        yield from _order(who, order)
    for number, (time, order_id) in enumerate(dict.fromkeys(shopper.refunds)):
        refund = {"order_id": order_id, "refund_id": f"{order_id}-{number}", "total": "1.00"}
        yield time, who, "order.refunded", refund


def _order(who: str, order: Order) -> Iterator[Told]:
    items = [_properties(item) for item in order.items[:MOST_ITEMS]]
    cart = {"cart_id": f"cart-{order.id}", "cart_url": f"https://shop.example/cart/{order.id}"}
    time = order.time
    if _chance(order.id, "left") < 0.5:  # a cart was left behind some days before
        left = time - (4 * DAY + 5 * HOUR)
        before = {"cart_id": f"left-{order.id}", "cart_url": "https://shop.example/cart"}
        yield left, who, "product.viewed", items[0]
        yield left + HOUR // 2, who, "cart.product_added", items[0] | before
    if _chance(order.id, "looks") < 0.3:
        for again in range(3):
            yield time - 2 * DAY + again * HOUR, who, "product.viewed", items[-1]
    if _chance(order.id, "wish") < 0.1:
        yield time - DAY, who, "wishlist.added", items[-1]
    yield time - HOUR, who, "page.viewed", {"url": "https://shop.example/", "path": "/"}
    for number, each in enumerate(items):
        yield time - 10 * MINUTE + number, who, "cart.product_added", each | cart
    total = sum(float(item.price) * item.quantity for item in order.items)
    bought: dict[str, Any] = {"order_id": order.id, "total": f"{total:.2f}", "products": items}
    if order.coupon:
        bought["coupon"] = "CARTACEO"
    yield time, who, "order.completed", bought
    parcel = {"order_id": order.id, "tracking_number": f"T{order.id}"}
    yield time + DAY, who, "order.shipped", parcel
    yield time + 3 * DAY, who, "order.delivered", parcel
    if _chance(order.id, "review") < 0.1:
        review = {"product_id": items[0]["product_id"], "order_id": order.id, "rating": 4}
        yield time + 9 * DAY, who, "product.reviewed", review


def _properties(item: Item) -> dict[str, Any]:
    return {"product_id": item.product, "name": item.name, "category": item.category,
            "price": item.price, "quantity": item.quantity}  # fmt: skip


def _feed(shoppers: Mapping[str, Shopper]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the shop's feed: each product as of its first order, with what was bought beside it;
    some get cheaper, and some are away for a while."""
    orders = sorted(order for each in shoppers.values() for order in each.orders.values())
    first: dict[str, tuple[int, Item]] = {}
    beside: dict[str, dict[str, None]] = {}
    for order in orders:
        ids = [item.product for item in order.items[:MOST_ITEMS]]
        for item in order.items[:MOST_ITEMS]:
            first.setdefault(item.product, (order.time, item))
            others = beside.setdefault(item.product, {})
            others.update(dict.fromkeys(id_ for id_ in ids if id_ != item.product))
    for id_, (time, item) in first.items():
        product = {"sku": id_, "name": item.name or id_, "category": item.category,
                   "price": item.price, "url": f"https://shop.example/p/{id_}", "stock": 50,
                   "complements": list(beside[id_])[:NEIGHBOURS]}  # fmt: skip
        if _chance(id_, "lasts") < 0.1:
            product["lasts"] = "30d"
        yield time - 10 * DAY, _update(product, time - 10 * DAY)
        if _chance(id_, "cheaper") < 0.1:
            cheaper = product | {"price": f"{float(item.price) * 0.7:.2f}",
                                 "list_price": item.price}  # fmt: skip
            yield time + 30 * DAY, _update(cheaper, time + 30 * DAY)
        elif _chance(id_, "away") < 0.1:
            yield time + 20 * DAY, _update(product | {"stock": 0}, time + 20 * DAY)
            yield time + 35 * DAY, _update(product, time + 35 * DAY)


def _update(product: dict[str, Any], time: int) -> dict[str, Any]:
    return {"type": PRODUCT_UPDATED, "time": to_rfc3339(time), "data": product}
