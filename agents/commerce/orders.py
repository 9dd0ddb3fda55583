"""Orders: counted once each, for ever; the last ones are kept in detail, as they were stated last.

Whatever is told of an order is a statement about it (`agents/commerce/order_statements.py`). One
that is kept takes it in, and the sums follow (`order_changes`); one that isn't there yet has it
wait (`early_orders`); of one that was before the last ones only the number is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agents.commerce import (
    cart,
    coupons,
    early_orders,
    kept_orders,
    loyalty,
    order_memory,
    order_notices,
    order_statements,
    order_sums,
)
from agents.commerce.order_changes import UNDONE, derive, look_ahead, restate
from agents.context import Context, DomainEvent, Handler
from agents.products import replenishment
from agents.refusals import Repeated
from schemas.customer import Customer
from schemas.customer.shopping import EarlyOrder, Order, Refund
from schemas.events import Event
from schemas.events.shopping import OrderCompleted, OrderProgress, OrderReversed, ProductReviewed
from schemas.instant import to_rfc3339

STOCKED = "product.stocked"
PARTIALLY_REFUNDED = "order.partially_refunded"


def completed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take in a purchase. The same order again is nothing, whatever its event id; with another
    content it is an update."""
    data: OrderCompleted = event.data
    shop, time = _shop(event, context), context.when(event.time)
    said = order_statements.of_purchase(event, time, shop)
    if not order_memory.note_of_shop(customer, "order", data.order_id, shop):
        return _again(customer, said, event, context)
    if data.status:
        _take_status(customer, said, data.status, event, context)
    early = early_orders.take(customer, data.order_id, shop) if customer.early else None
    order, before = said, order_sums.Sums()
    if early is not None:
        order = early.order
        before = order_sums.booked(order, order_sums.of_early(order, context))
        order_statements.join(order, said)
        order.currency = order.currency or data.currency
    if order_memory.is_noted_of_shop(customer, "reversed", data.order_id, shop):
        before = _honour(customer, order, context)
    reckoning = derive(order)
    order.points = loyalty.points_for(order.total, order.currency, order.time, context)
    if loyalty.lacks_rate(order, context):
        order_notices.tell(customer, order.id, "no_rate", event, context, order.currency)
    order_sums.count(customer, order)
    kept_orders.keep(customer, order)
    look_ahead(customer, order, context)
    occurred = [_about("order.completed", order, order.time)]
    if order.status in UNDONE:  # that overtook its order
        occurred = [occurred[0]._replace(undone=f"order.{order.status}")]
    occurred += coupons.redeem(customer, event, order, context)
    if order.status not in UNDONE and context.listens(customer, STOCKED):
        occurred += _stocked(customer, order, context)
    sums = order_sums.of(order, reckoning.refunds, context)
    order_sums.follow(customer, before, order_sums.recorded(order, sums, context), context)
    if reckoning.excess:
        order_notices.tell(customer, order.id, "refund_exceeds_total", event, context)
    if customer.early or early is not None:
        occurred += _overtaken(customer, order, early)
    return occurred + cart.ordered(customer.cart, said.lines, time, data.cart_id)


def updated(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """Take in what an order is now."""
    data: OrderProgress = event.data
    time = context.when(event.time)
    said = order_statements.of_update(event, time, _shop(event, context))
    if data.status:
        _take_status(customer, said, data.status, event, context)
    order = _kept(customer, said)
    if order is None:
        _let_wait(customer, said, event, context)
        return [_unseen(f"order.{each}", said, time) for each in _reversals(said)]
    before = msgspec.structs.replace(order)
    restate(customer, order, said, event, context)
    return (
        _progressed(before, order, time)
        + _reversed(before, order, said, time)
        + _restocked(customer, before, order, context)
    )


def sent(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """The order is on its way, or has arrived."""
    time = context.when(event.time)
    said = order_statements.of_parcel(event, time, _shop(event, context))
    order = _kept(customer, said)
    if order is None:
        _let_wait(customer, said, event, context)
        return [_unseen(event.type, said, time)]
    before = msgspec.structs.replace(order)
    restate(customer, order, said, event, context)
    return _progressed(before, order, time)


def reversed_(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """The order will not be, or money went back, for all of it or a part."""
    data: OrderReversed = event.data
    shop, time = _shop(event, context), context.when(event.time)
    said = order_statements.of_reversal(event, time, shop)
    _remember(customer, said, data.refund_id or f"event:{event.source}\0{event.id}")
    order = _kept(customer, said)
    if order is None:
        _let_wait(customer, said, event, context)
        whole = order_statements.is_of_all(said.refunds[0])
        return [_unseen(event.type if whole else PARTIALLY_REFUNDED, said, time)]
    before = msgspec.structs.replace(order)
    restate(customer, order, said, event, context)
    return _reversed(before, order, said, time)


def reviewed(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """A review was written; it concerns the orders that contain the product."""
    data: ProductReviewed = event.data
    shop, id_ = _shop(event, context), data.order_id or ""
    if id_:
        waits = not order_memory.is_noted_of_shop(customer, "order", id_, shop)
    else:
        lines = (line for order in customer.orders for line in order.lines)
        waits = data.product_id not in customer.purchases.products and not any(
            line.product_id == data.product_id for line in lines
        )
    if waits:
        early_orders.review(customer, data.product_id, id_, shop, event, context)
    return [
        DomainEvent(
            "product.reviewed",
            context.when(event.time),
            order_id=id_,
            product_ids=(data.product_id,),
            shop=shop if id_ else "",
        )
    ]


# What is told of an order that is kept.


def _again(customer: Customer, said: Order, event: Event, context: Context) -> list[DomainEvent]:
    """A purchase that was counted is told of again. Raises Repeated when it says the same."""
    order = customer.order(said.id, said.shop)
    if order is None or order.purchase == said.purchase:
        raise Repeated
    order_statements.name_before(order)
    if event.data.status:
        _take_status(customer, said, event.data.status, event, context)
    before = msgspec.structs.replace(order)
    restate(customer, order, said, event, context)
    time = context.when(event.time)
    return (
        _progressed(before, order, time)
        + _reversed(before, order, said, time)
        + _restocked(customer, before, order, context)
    )


def _take_status(
    customer: Customer, said: Order, word: str, event: Event, context: Context
) -> None:
    meaning = order_statements.with_status(said, word, context.when(event.time))
    if meaning is None:
        order_notices.tell(customer, said.id, "unknown_status", event, context, word)
    elif meaning == "partly_refunded":
        order_notices.tell(customer, said.id, "unknown_amount", event, context)


# What is told of an order that isn't kept.


def _kept(customer: Customer, said: Order) -> Order | None:
    order = customer.order(said.id, said.shop)
    if order is not None:
        order_statements.name_before(order)
    return order


def _let_wait(customer: Customer, said: Order, event: Event, context: Context) -> None:
    """Have a statement wait for its order. What was given back counts at once, as far as it is
    known; an order that was counted and isn't kept in detail any more stays as it was."""
    nothing = order_sums.Sums()
    if order_memory.is_noted_of_shop(customer, "order", said.id, said.shop):
        if event.type not in ("order.shipped", "order.delivered"):
            order_notices.tell(customer, said.id, "not_kept", event, context)
        if said.refunds:
            order_sums.follow(customer, nothing, order_sums.of_early(said, context), context)
        return
    early = early_orders.find(customer, said.id, said.shop)
    before = nothing
    if early is not None and early.order.refunds:
        before = order_sums.booked(early.order, order_sums.of_early(early.order, context))
    order = early_orders.hear(customer, said, event, context).order
    if order.refunds:
        sums = order_sums.of_early(order, context)
        order_sums.follow(customer, before, order_sums.recorded(order, sums, context), context)


def _remember(customer: Customer, said: Order, token: str) -> None:
    """Remember for ever that a refund was told of. Raises Repeated when it was, and isn't among
    those of its order, where a later statement of the same one may correct it."""
    digest = said.refunds[0].digest
    if digest in (order_statements.CANCELLED, order_statements.REFUNDED):
        return  # an order has one of each
    known = customer.order(said.id, said.shop)
    if known is None:
        early = early_orders.find(customer, said.id, said.shop)
        known = None if early is None else early.order
    if known is not None and any(refund.digest == digest for refund in known.refunds):
        return
    if not order_memory.note_of_shop(customer, "reversal", token, said.shop):
        raise Repeated


def _honour(customer: Customer, order: Order, context: Context) -> order_sums.Sums:
    """A record of before has noted that the order was given back before it came; return what of
    that is in the sums already."""
    refund = Refund(order_statements.REFUNDED, order.time)
    order_statements.join(order, msgspec.structs.replace(order, refunds=[refund]))
    reckoning = derive(order)
    if order_memory.is_noted_of_shop(customer, "unpriced", order.id, order.shop):
        return order_sums.Sums()
    return order_sums.of(msgspec.structs.replace(order, points=0), reckoning.refunds, context)


# What of it has occurred.


def _about(name: str, order: Order, time: int) -> DomainEvent:
    product_ids = tuple(line.product_id for line in order.lines)
    return DomainEvent(name, time, order_id=order.id, product_ids=product_ids, shop=order.shop)


def _unseen(name: str, said: Order, time: int) -> DomainEvent:
    """What is told of an order that isn't kept, to the runs that are about it."""
    return DomainEvent(name, time, order_id=said.id, shop=said.shop)


def _reversals(said: Order) -> list[str]:
    return ["cancelled" if refund.cancels else "refunded" for refund in said.refunds]


def _progressed(before: Order, order: Order, time: int) -> list[DomainEvent]:
    if order.status == before.status or order.status not in ("shipped", "delivered"):
        return []
    if before.status == "delivered":
        return []
    return [_about(f"order.{order.status}", order, time)]


def _reversed(before: Order, order: Order, said: Order, time: int) -> list[DomainEvent]:
    """What a refund or a cancellation has made of the order: only a whole one undoes it."""
    if before.refunds == order.refunds or not said.refunds:
        return []
    refund = said.refunds[0]
    kind = "cancelled" if refund.cancels else "refunded"
    if order.status in UNDONE:
        if before.status == kind:
            return []
        return [DomainEvent(f"order.{kind}", time, order_id=order.id, shop=order.shop)]
    products = tuple(line.product_id for line in refund.lines)
    return [
        DomainEvent(
            PARTIALLY_REFUNDED, time, order_id=order.id, product_ids=products, shop=order.shop
        )
    ]


def _stocked(
    customer: Customer, order: Order, context: Context, besides: frozenset[str] = frozenset()
) -> list[DomainEvent]:
    """What the order holds that will be used up, one for all that runs out together; `besides`
    those that it held before."""
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
        if product_id not in besides
    ]


def _restocked(
    customer: Customer, before: Order, order: Order, context: Context
) -> list[DomainEvent]:
    """What an update has added that will be used up."""
    if before.lines == order.lines or order.status in UNDONE:
        return []
    if not context.listens(customer, STOCKED):
        return []
    held = frozenset(line.product_id for line in before.lines)
    return _stocked(customer, order, context, held)


def _overtaken(customer: Customer, order: Order, early: EarlyOrder | None) -> list[DomainEvent]:
    """What was told of the order before it came, for the runs that it has begun: as they were told
    of then, others begin nothing."""
    told = [("order.shipped", order.sent_off), ("order.delivered", order.delivered)]
    occurred = [
        _about(name, order, max(time, order.time))._replace(begins=False)
        for name, time in told
        if time and order.status not in UNDONE
    ]
    reviews = early_orders.take_reviews(customer, order) if customer.early else {}
    if early is not None:
        reviews = early.reviewed | reviews
    return occurred + [
        DomainEvent(
            "product.reviewed",
            max(time, order.time),
            order_id=order.id,
            product_ids=(product_id,),
            begins=False,
            shop=order.shop,
        )
        for product_id, time in reviews.items()
    ]


def _shop(event: Event, context: Context) -> str:
    """Return whose order numbers an event names."""
    return context.live.definitions.deduplication_rules.sources.shop(event.source)


HANDLERS: Mapping[str, Handler] = {
    "order.updated": updated,
    "order.shipped": sent,
    "order.delivered": sent,
    "order.cancelled": reversed_,
    "order.refunded": reversed_,
    "product.reviewed": reviewed,
}
