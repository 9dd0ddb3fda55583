"""Orders: counted once each, for ever; the last ones are kept in detail.

An order is known by its shop and number, on whichever way and under whichever id its events come.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from agents import digests
from agents.commerce import cart, coupons, line_items, loyalty, purchases
from agents.context import Context, DomainEvent, Handler
from agents.products import replenishment
from agents.refusals import EventRefused, Repeated
from schemas.bounds import fits, kept_bytes, largest
from schemas.customer import ORDER_IDS_BYTES, SEEN_BYTES, Customer
from schemas.customer.shopping import (
    ORDER_LINES_KEPT,
    ORDERS_KEPT,
    ORDERS_TOTAL_BYTES,
    TRACKING_BYTES,
    LineItem,
    Order,
    OrderStatistics,
    OrderStatus,
)
from schemas.events import Event
from schemas.events.shopping import OrderCompleted, OrderProgress, OrderReversed, ProductReviewed
from schemas.instant import to_rfc3339

STOCKED = "product.stocked"

_RANK: dict[str, int] = {
    "completed": 0,
    "shipped": 1,
    "delivered": 2,
    "cancelled": 3,
    "refunded": 3,
}
"""A status that arrives late doesn't overwrite a later one."""

_LARGEST_LINE = largest(LineItem)
_LARGEST_HEAD = largest(Order) - ORDER_LINES_KEPT * _LARGEST_LINE


def completed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take in a purchase. The same order again is nothing, whatever its event id."""
    data: OrderCompleted = event.data
    shop = _shop(event, context)
    if not _note(customer, "order", data.order_id, shop):
        raise Repeated
    time, amount = context.when(event.time), data.amount()
    order = _to_order(data, time, amount, shop)
    _count(customer, order)
    _keep(customer, order)
    _look_ahead(customer, order, context)
    occurred = [_about("order.completed", order, time)]
    if _is_noted(customer, "reversed", data.order_id, shop):  # the refund overtook its order
        order.status = "refunded"
        if _is_noted(customer, "unpriced", data.order_id, shop):
            _refund(customer, amount, data.currency, time, context)
        occurred = [occurred[0]._replace(begins=False)]
    occurred += coupons.redeem(customer, event, context)
    if order.status == "completed" and context.listens(customer, STOCKED):
        occurred += _stocked(customer, order, context)
    loyalty.spent(customer, amount, data.currency, time, context)
    return occurred + cart.ordered(customer.cart, order.lines, time, data.cart_id)


def updated(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take in where it is."""
    data: OrderProgress = event.data
    order = customer.order(data.order_id, _shop(event, context))
    if order is not None:
        order.carrier = line_items.name_text(data.carrier) or order.carrier
        order.url = line_items.url_text(data.order_url) or order.url
        order.tracking_number = line_items.name_text(data.tracking_number) or order.tracking_number
        order.tracking_url = _tracking_url(data.tracking_url) or order.tracking_url
        order.estimated_delivery = (
            line_items.name_text(data.estimated_delivery) or order.estimated_delivery
        )
        _fit(customer, _lines(customer))
    return []


def shipped(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """The order is on its way."""
    updated(customer, event, context)
    return _progress(customer, event, context, "shipped")


def delivered(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """The order has arrived."""
    updated(customer, event, context)
    occurred = _progress(customer, event, context, "delivered")
    order = customer.order(event.data.order_id, _shop(event, context))
    if order is not None and occurred:
        order.delivered = occurred[0].time
    return occurred


def cancelled(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """The order will not be."""
    return _reverse(customer, event, context, "cancelled")


def refunded(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Money went back, for the whole order or a part."""
    return _reverse(customer, event, context, "refunded")


def reviewed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """A review was written; it concerns the orders that contain the product."""
    data: ProductReviewed = event.data
    return [
        DomainEvent(
            "product.reviewed",
            context.when(event.time),
            order_id=data.order_id or "",
            product_ids=(data.product_id,),
            shop=_shop(event, context) if data.order_id else "",
        )
    ]


def adopt(customer: Customer, other: Customer) -> None:
    """Add the orders of a visitor who turned out to be this customer.

    One that the shop has reported under both ids counts once.
    """
    mine, theirs = customer.statistics, other.statistics
    for order in other.orders:
        if _is_noted(customer, "order", order.id, order.shop):
            _discount(theirs, order)
            purchases.uncount(other.purchases, order, customer.profile.zone)
        else:
            _keep(customer, order)
    customer.order_ids += b"".join(_unknown(customer, other))
    purchases.adopt(customer.purchases, other.purchases)
    mine.count += theirs.count
    mine.items += theirs.items
    mine.refunds += theirs.refunds
    for currency, amount in theirs.spent.items():
        purchases.add_amount(mine.spent, currency, amount)
    for currency, amount in theirs.refunded.items():
        purchases.add_amount(mine.refunded, currency, amount)
    if theirs.count:
        mine.first = min(mine.first or theirs.first, theirs.first)
        mine.last = max(mine.last, theirs.last)


def require_room_for(customer: Customer, other: Customer) -> None:
    """Raise EventRefused when the orders of both cannot be remembered together."""
    require_room(customer, len(_unknown(customer, other)))


def _unknown(customer: Customer, other: Customer) -> list[bytes]:
    """Return what only the other one remembers of orders."""
    theirs = other.order_ids
    each = (theirs[index : index + SEEN_BYTES] for index in range(0, len(theirs), SEEN_BYTES))
    return [digest for digest in each if not digests.contains(customer.order_ids, digest)]


def _to_order(data: OrderCompleted, time: int, amount: Decimal, shop: str) -> Order:
    return Order(
        id=data.order_id,
        time=time,
        total=amount,
        currency=data.currency,
        lines=[line_items.to_line(product) for product in data.products],
        subtotal=data.subtotal,
        shipping=data.shipping,
        discount=data.discount,
        tax=data.tax,
        estimated_delivery=line_items.name_text(data.estimated_delivery),
        tracking_number=line_items.name_text(data.tracking_number),
        tracking_url=_tracking_url(data.tracking_url),
        payment_method=line_items.name_text(data.payment_method),
        coupon=line_items.name_text(data.coupon),
        carrier=line_items.name_text(data.carrier),
        url=line_items.url_text(data.order_url),
        shop=shop,
        email=data.address(),
    )


def _look_ahead(customer: Customer, order: Order, context: Context) -> None:
    """Note what the feed says of an order: when it runs out, what there is to go with it."""
    order.runs_out = replenishment.runs_out(customer, order, context.catalogue) or 0
    known = [context.catalogue.get(line.product_id) for line in order.lines]
    offered = {each for one in known if one for each in (*one.accessories, *one.upgrades)}
    found = (context.catalogue.get(each) for each in offered)
    order.accessories = sum(product is not None and product.available for product in found)


def _stocked(customer: Customer, order: Order, context: Context) -> list[DomainEvent]:
    """What the order holds that will be used up, one for all that runs out together."""
    return [
        DomainEvent(
            STOCKED,
            order.time,
            order_id=order.id,
            product_ids=(product_id,),
            data={"product_id": product_id, "runs_out": to_rfc3339(end)},
            shop=order.shop,
        )
        for product_id, end in replenishment.first_ones(customer, order, context.catalogue)
    ]


def _count(customer: Customer, order: Order) -> None:
    numbers = customer.statistics
    numbers.count += 1
    purchases.add_amount(numbers.spent, order.currency, order.total)
    numbers.items += sum(line.quantity for line in order.lines)
    numbers.first = min(numbers.first or order.time, order.time)
    numbers.last = max(numbers.last, order.time)
    purchases.count(customer.purchases, order, customer.profile.zone)


def _discount(numbers: OrderStatistics, order: Order) -> None:
    numbers.count -= 1
    if order.currency in numbers.spent:
        numbers.spent[order.currency] -= order.total
    numbers.items -= sum(line.quantity for line in order.lines)


def _keep(customer: Customer, order: Order) -> None:
    """Keep the last orders in detail; the oldest go first, and of a huge one its last lines."""
    del order.lines[ORDER_LINES_KEPT:]
    customer.orders.append(order)
    customer.orders.sort(key=lambda kept: (kept.time, kept.id))
    del customer.orders[:-ORDERS_KEPT]
    lines = _lines(customer)
    while lines > ORDER_LINES_KEPT:
        lines -= len(customer.orders.pop(0).lines)
    _fit(customer, lines)


def _lines(customer: Customer) -> int:
    lines = 0
    for kept in customer.orders:  # not a generator: this runs at each order
        lines += len(kept.lines)
    return lines


def _fit(customer: Customer, lines: int) -> None:
    """Let the oldest orders give way as far as there is no room; the last one its last lines.
    `lines`: how many all of them have."""
    if len(customer.orders) * _LARGEST_HEAD + lines * _LARGEST_LINE <= ORDERS_TOTAL_BYTES:
        return  # nothing to measure, as for nearly everybody
    while (surplus := kept_bytes(customer.orders) - ORDERS_TOTAL_BYTES) > 0:
        oldest = customer.orders[0]
        if len(customer.orders) > 1:
            del customer.orders[0]
        else:
            oldest.lines = oldest.lines[: -(surplus // _LARGEST_LINE + 1)]


def _tracking_url(text: str | None) -> str:
    return text if text and fits(text, TRACKING_BYTES) else ""


def _progress(
    customer: Customer, event: Event, context: Context, status: OrderStatus
) -> list[DomainEvent]:
    time = context.when(event.time)
    shop = _shop(event, context)
    order = customer.order(event.data.order_id, shop)
    if order is None:
        return [DomainEvent(f"order.{status}", time, order_id=event.data.order_id, shop=shop)]
    if _RANK[order.status] >= _RANK[status]:
        return []
    order.status = status
    return [_about(f"order.{status}", order, time)]


def _reverse(
    customer: Customer, event: Event, context: Context, status: OrderStatus
) -> list[DomainEvent]:
    data: OrderReversed = event.data
    shop = _shop(event, context)
    if not _note(customer, "reversal", data.refund_id or data.order_id, shop, besides=2):
        raise Repeated
    order = customer.order(data.order_id, shop)
    amount = data.total if data.total is not None else (order.total if order else None)
    whole = order is None or amount is None or amount >= order.total
    if amount is not None and (status == "refunded" or order is not None):  # else: with its order
        currency = data.currency or (order.currency if order else "EUR")
        _refund(customer, amount, currency, context.when(event.time), context)
    if order is not None and whole:
        order.status = status
    if order is None and (data.total is None or status == "cancelled"):
        _note(customer, "unpriced", data.order_id, shop)
    if whole:
        _note(customer, "reversed", data.order_id, shop)
    time = context.when(event.time)
    return [DomainEvent(f"order.{status}", time, order_id=data.order_id, shop=shop)]


def _refund(
    customer: Customer, amount: Decimal, currency: str, time: int, context: Context
) -> None:
    numbers = customer.statistics
    numbers.refunds += 1
    purchases.add_amount(numbers.refunded, currency, amount)
    loyalty.spent(customer, -amount, currency, time, context)


def _about(name: str, order: Order, time: int) -> DomainEvent:
    product_ids = tuple(line.product_id for line in order.lines)
    return DomainEvent(name, time, order_id=order.id, product_ids=product_ids, shop=order.shop)


def note(customer: Customer, token: str) -> bool:
    """Remember something of an order for ever; return whether it was new.

    Raises EventRefused when it is and there is no room for it.
    """
    digest = digests.digest(token)
    if digests.contains(customer.order_ids, digest):
        return False
    require_room(customer, 1)
    customer.order_ids += digest
    return True


def require_room(customer: Customer, more: int) -> None:
    """Raise EventRefused when `more` cannot be remembered besides what is: nothing is ever
    forgotten."""
    if len(customer.order_ids) + more * SEEN_BYTES > ORDER_IDS_BYTES:
        known = len(customer.order_ids) // SEEN_BYTES
        detail = f"order_id: {known} orders and the like of this customer are remembered for ever, "
        raise EventRefused("orders_full", detail + "and no more fit")


def has_room(customer: Customer) -> bool:
    """Return whether one more can be remembered."""
    return len(customer.order_ids) + SEEN_BYTES <= ORDER_IDS_BYTES


def _note(customer: Customer, what: str, id_: str, shop: str, *, besides: int = 0) -> bool:
    """Remember something of a shop's order; there is room for so many `besides`. See `note`."""
    digest = digests.digest(_token(what, id_, shop))
    if digests.contains(customer.order_ids, digest) or _is_noted_of_all(customer, what, id_, shop):
        return False
    require_room(customer, 1 + besides)
    customer.order_ids += digest
    return True


def _is_noted(customer: Customer, what: str, id_: str, shop: str) -> bool:
    """Whether it was noted."""
    token = _token(what, id_, shop)
    return is_noted(customer, token) or _is_noted_of_all(customer, what, id_, shop)


def _is_noted_of_all(customer: Customer, what: str, id_: str, shop: str) -> bool:
    """Whether it was noted before the shops were told apart."""
    return shop != "" and is_noted(customer, _token(what, id_, ""))


def _token(what: str, id_: str, shop: str) -> str:
    return f"{what}:{shop}\0{id_}" if shop else f"{what}:{id_}"


def _shop(event: Event, context: Context) -> str:
    """Return whose order numbers an event names."""
    return context.live.definitions.deduplication_rules.sources.shop(event.source)


def is_noted(customer: Customer, token: str) -> bool:
    """Return whether `note` was told this before."""
    return digests.contains(customer.order_ids, digests.digest(token))


HANDLERS: Mapping[str, Handler] = {
    "order.updated": updated,
    "order.shipped": shipped,
    "order.delivered": delivered,
    "order.cancelled": cancelled,
    "order.refunded": refunded,
    "product.reviewed": reviewed,
}
