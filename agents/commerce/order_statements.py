"""Statements about an order, and how they become one order whatever order they arrive in.

A statement is an order of which only some fields are known: a purchase knows most of them, a parcel
its tracking number. Joining two of them takes each field from the statement that was made last, by
its own time; parcels and refunds are gathered. So it is the same whichever was heard first, and
what comes before its order is a statement like any other (`agents/commerce/early_orders.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec
import xxhash

from agents.commerce import line_items, order_words
from agents.commerce.line_items import name_text, url_text
from agents.commerce.order_words import Meaning
from schemas.bounds import fits
from schemas.customer.shopping import (
    NUMBER_BYTES,
    ORDER_LINES_KEPT,
    REFUNDS_KEPT,
    TRACKING_BYTES,
    LineItem,
    Order,
    Refund,
)
from schemas.events import Event
from schemas.events.shopping import OrderCompleted, OrderedProduct, OrderProgress, OrderReversed

FIELDS = (
    "total",
    "currency",
    "lines",
    "subtotal",
    "shipping",
    "discount",
    "tax",
    "estimated_delivery",
    "tracking_number",
    "tracking_url",
    "payment_method",
    "coupon",
    "carrier",
    "url",
    "email",
    "number",
)
"""What the latest statement says that has it. Kept records know them by their place, so none is
ever moved or taken away."""
_BITS = {name: 1 << place for place, name in enumerate(FIELDS)}
_ABSENT_IF_EMPTY = {name: bit for name, bit in _BITS.items() if name != "total"}
_TOTAL, _CURRENCY, _LINES = _BITS["total"], _BITS["currency"], _BITS["lines"]
_NUMBER, _URL = _BITS["tracking_number"], _BITS["tracking_url"]

_TIE_BITS = 20
"""Of a statement, below its time: of two at the same instant an update comes after the purchase,
and else a hash decides."""
_UPDATE = 1 << (_TIE_BITS - 1)

_ZERO = Decimal(0)

CANCELLED, REFUNDED = b"\0" * 7 + b"\1", b"\0" * 7 + b"\2"
"""Digests of what concerns the whole order and names no refund: there is one of each."""


def name_of(event: Event, time: int) -> int:
    """Return what a statement is known by, so that the later one is greater."""
    tie = xxhash.xxh3_64_intdigest(f"{event.source}\0{event.id}".encode()) % _UPDATE
    return (time << _TIE_BITS) + tie + (0 if event.type == "order.completed" else _UPDATE)


def of_purchase(event: Event, time: int, shop: str) -> Order:
    """Return the order that a purchase describes."""
    data: OrderCompleted = event.data
    said = _described(data, data.products, shop)
    said.time, said.total, said.currency = time, data.amount(), data.currency
    said.beside_lines = _beside_lines(said.total, said.lines)
    stated = _named(said) & ~_CURRENCY | _TOTAL
    if "currency" in data.model_fields_set:
        stated |= _CURRENCY
    said.stated = {name_of(event, time): stated}
    said.purchase = xxhash.xxh3_64_digest(
        _ENCODER.encode((data.order_id, said.total, said.currency, said.lines, said.discount,
                         said.shipping, said.coupon, said.email))
    )  # fmt: skip
    return said


def of_update(event: Event, time: int, shop: str) -> Order:
    """Return what an update says of its order."""
    data: OrderProgress = event.data
    said = _described(data, data.products, shop)
    total = data.total if data.total is not None else data.revenue
    stated = _named(said)
    if total is not None:
        said.total = total
        said.beside_lines = _beside_lines(total, said.lines)
        stated |= _TOTAL
    said.stated = {name_of(event, time): stated} if stated else {}
    return said


def of_parcel(event: Event, time: int, shop: str) -> Order:
    """Return what is said of an order that was sent or has arrived; the lines named are those that
    the parcel holds."""
    data: OrderProgress = event.data
    said = _of_tracking(data, shop)
    stated = _named(said)
    said.stated = {name_of(event, time): stated} if stated else {}
    said.shipped = [
        LineItem(line.product_id, 1, sku=line.sku, variant=line.variant)
        for line in map(line_items.to_line, data.products[:ORDER_LINES_KEPT])
    ]
    _note_progress(said, "shipped" if event.type == "order.shipped" else "delivered", time)
    return said


def of_reversal(event: Event, time: int, shop: str) -> Order:
    """Return what a refund or a cancellation says of its order."""
    data: OrderReversed = event.data
    refund = Refund(
        digest=b"",
        time=time,
        amount=data.sum(),
        currency=data.currency or "",
        lines=[_returned(each) for each in data.products[:ORDER_LINES_KEPT]],
        cancels=event.type == "order.cancelled",
    )
    if data.refund_id:
        refund.digest = xxhash.xxh3_64_digest(data.refund_id.encode())
    elif is_of_all(refund):
        refund.digest = CANCELLED if refund.cancels else REFUNDED
    else:
        refund.digest = xxhash.xxh3_64_digest(f"\0{event.source}\0{event.id}".encode())
    return Order(id=data.order_id, time=0, total=_ZERO, currency="", shop=shop, refunds=[refund])


def with_status(said: Order, word: str, time: int) -> Meaning | None:
    """Add what a status says, by the shop's word for it; return what it means, None when the word
    is not known."""
    found = order_words.meaning(word)
    match found:
        case "cancelled":
            said.refunds = [Refund(CANCELLED, time, cancels=True)]
        case "refunded":
            said.refunds = [Refund(REFUNDED, time)]
        case "shipped" | "delivered":
            _note_progress(said, found, time)
            said.revived = time
        case "alive":
            said.revived = time
        case _:
            pass
    return found


def name_before(order: Order) -> None:
    """Give an order of a record of before the name of a statement: it is one that was made when it
    was placed."""
    if order.stated or not order.time:
        return
    order.stated = {order.time << _TIE_BITS: _named(order) | _TOTAL}
    order.beside_lines = _beside_lines(order.total, order.lines)
    if order.status == "shipped":
        order.sent_off = order.time
    elif order.status in ("cancelled", "refunded") and not order.refunds:
        cancels = order.status == "cancelled"
        digest = CANCELLED if cancels else REFUNDED
        order.refunds = [Refund(digest, order.time, cancels=cancels)]


def join(order: Order, said: Order) -> None:
    """Add to an order what another statement says of it."""
    for name, stated in said.stated.items():
        taken = stated
        for other, theirs in order.stated.items():
            if other >= name:
                taken &= ~theirs
        if taken:
            _take(order, said, name, taken)
    if said.time and (not order.time or said.time < order.time):
        order.time = said.time
    order.purchase = order.purchase or said.purchase
    order.sent_off = _earlier(order.sent_off, said.sent_off)
    order.delivered = _earlier(order.delivered, said.delivered)
    order.revived = max(order.revived, said.revived)
    if said.refunds:
        order.refunds = _gathered(order.refunds, said.refunds)
    if said.shipped:
        order.shipped = _gathered_lines(order.shipped, said.shipped)


def follow_lines(order: Order) -> None:
    """Bring the total up to date where the lines are news to it: it is their sum, and what the
    total that was stated last had beside them."""
    if _latest(order, _LINES) > _latest(order, _TOTAL) and order.beside_lines is not None:
        sum_ = sum_of(order.lines)
        if sum_ is not None:
            order.total = max(_ZERO, sum_ + order.beside_lines)


def is_of_all(refund: Refund) -> bool:
    """Whether it is for the whole order, as it names neither an amount nor lines."""
    return refund.amount is None and not refund.lines


def sum_of(lines: Sequence[LineItem]) -> Decimal | None:
    """Return what lines come to; None without lines, or when a price is not known."""
    if not lines or any(line.price is None for line in lines):
        return None
    return sum((line.price * line.quantity for line in lines if line.price is not None), _ZERO)


def _described(
    data: OrderCompleted | OrderProgress, products: Sequence[OrderedProduct], shop: str
) -> Order:
    said = _of_tracking(data, shop)
    said.currency = data.currency or ""
    said.lines = [line_items.to_line(product) for product in products]
    said.subtotal, said.shipping = data.subtotal, data.shipping
    said.discount, said.tax = data.discount, data.tax
    said.payment_method = name_text(data.payment_method)
    said.coupon = name_text(data.coupon)
    said.email = data.address()
    return said


def _of_tracking(data: OrderCompleted | OrderProgress, shop: str) -> Order:
    tracking_url = data.tracking_url
    return Order(
        id=data.order_id,
        time=0,
        total=_ZERO,
        currency="",
        estimated_delivery=name_text(data.estimated_delivery),
        tracking_number=name_text(data.tracking_number),
        tracking_url=tracking_url if tracking_url and fits(tracking_url, TRACKING_BYTES) else "",
        carrier=name_text(data.carrier),
        url=url_text(data.order_url),
        shop=shop,
        number=_number(data),
    )


def _number(data: OrderCompleted | OrderProgress) -> str:
    """Return the number by which the customer knows an order, empty where that is its id."""
    number = data.order_number or ""
    return number if number != data.order_id and fits(number, NUMBER_BYTES) else ""


def _named(said: Order) -> int:
    """Return the fields that have a value, as bits, but for the total."""
    stated = 0
    for name, bit in _ABSENT_IF_EMPTY.items():
        value = getattr(said, name)
        if value is not None and value not in ("", []):
            stated |= bit
    return stated


def _beside_lines(total: Decimal, lines: Sequence[LineItem]) -> Decimal | None:
    sum_ = sum_of(lines)
    return None if sum_ is None else total - sum_


def _returned(product: OrderedProduct) -> LineItem:
    """Return a line that comes back; a quantity of 0 is all of it."""
    line = line_items.to_line(product)
    quantity: int | Decimal = 0
    if "quantity" in product.model_fields_set:
        quantity = line.quantity if line.quantity > 0 else -line.quantity
    price = None if line.price is None else abs(line.price)
    return LineItem(line.product_id, quantity, price, sku=line.sku, variant=line.variant)


def _note_progress(said: Order, status: Meaning, time: int) -> None:
    if status == "shipped":
        said.sent_off = time
    else:
        said.delivered = time


def _take(order: Order, said: Order, name: int, taken: int) -> None:
    """Take those fields from a statement."""
    number, url = order.tracking_number, order.tracking_url
    for field, bit in _BITS.items():
        if taken & bit:
            setattr(order, field, getattr(said, field))
    if taken & _TOTAL:
        order.beside_lines = said.beside_lines
        if not said.lines:
            order.beside_lines = _beside_lines(order.total, order.lines)
    if taken & _NUMBER and not taken & _URL and url and number not in ("", order.tracking_number):
        order.tracking_url = ""  # another parcel's
        taken |= _URL
    stated = {other: left for other, theirs in order.stated.items() if (left := theirs & ~taken)}
    stated[name] = stated.get(name, 0) | taken
    order.stated = stated


def _latest(order: Order, field: int) -> int:
    return next((name for name, stated in order.stated.items() if stated & field), 0)


def _earlier(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


def _gathered(known: Sequence[Refund], said: Iterable[Refund]) -> list[Refund]:
    """Join refunds; of two statements of the same one the later counts."""
    found = {refund.digest: refund for refund in known}
    for refund in said:
        before = found.get(refund.digest)
        if before is None or _rank(before) < _rank(refund):
            found[refund.digest] = refund
    refunds = sorted(found.values(), key=_rank)
    while len(refunds) > REFUNDS_KEPT:
        refunds[:2] = [_both(refunds[0], refunds[1])]
    return refunds


def _rank(refund: Refund) -> tuple[int, bytes]:
    return refund.time, refund.digest + _ENCODER.encode(refund)


def _both(first: Refund, second: Refund) -> Refund:
    """Return one refund in place of two; a whole one is all there is."""
    if is_of_all(first) or is_of_all(second):
        return first if is_of_all(first) else second
    amounts = (first.amount or sum_of(first.lines), second.amount or sum_of(second.lines))
    return Refund(
        digest=second.digest,
        time=second.time,
        amount=sum((each for each in amounts if each is not None), _ZERO) or None,
        currency=second.currency,
        lines=(first.lines + second.lines)[:ORDER_LINES_KEPT],
    )


def _gathered_lines(known: Sequence[LineItem], said: Iterable[LineItem]) -> list[LineItem]:
    found = {(line.product_id, line.sku, line.variant): line for line in (*known, *said)}
    return [found[name] for name in sorted(found)][:ORDER_LINES_KEPT]


_ENCODER = msgspec.msgpack.Encoder()
