"""An order of Shopify's: that it was placed, is on its way, arrived, was called off, given back.

Each webhook with an order has all of it, so all is told each time, by facts' ids: whichever webhook
comes first, and whichever never comes, the outcome is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from typing import Any

from schemas.events import Event
from schemas.instant import to_rfc3339
from schemas.validation import Unreadable
from streams.connect.facts import Subject, content_digest, event_of, fact, source_of, subject_of
from streams.connect.resources import (
    Resource,
    amount,
    an_object,
    id_of,
    needed_time,
    objects,
    plain_sum,
    rounded,
    text,
    time_of,
)
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.shopify.values import (
    attribute,
    hints_of,
    product_lines,
    rate_to_shop,
    shop_money,
    traits_of,
)

PLACED = frozenset({"paid", "authorized", "partially_paid", "partially_refunded", "refunded"})
"""`financial_status` of an order that somebody has paid for, or is going to for sure."""
WAITING = frozenset({"pending"})

_HANDED_OVER = frozenset({"success"})
"""`status` of a fulfilment that was handed over; `open` and `pending` are preparing."""


def is_test(order: Resource) -> bool:
    """Whether an order was made to try the shop out."""
    return order.get("test") is True


def subject(order: Resource, connection: ShopifyConnection) -> Subject | None:
    """Return whose an order or a checkout is; None for one of the till that names nobody."""
    customer = an_object(order, "customer")
    if customer.get("id"):
        address = text(customer, "email")
    else:
        address = text(order, "email") or text(order, "contact_email")
    return subject_of(
        customer.get("id"),
        address,
        prefix=connection.customer_prefix,
        visitor=attribute(order, connection.anonymous_attribute),
    )


def order_events(
    order: Resource, connection: ShopifyConnection, *, with_update: bool = True
) -> list[Event]:
    """Return all that an order tells; empty for a test and for one that is nobody's.

    `with_update`: also what it is now, which who reads old orders knows already. Raises Unreadable.
    """
    whose = subject(order, connection)
    if is_test(order) or whose is None:
        return []
    told = _OrderFacts(order, connection, whose)
    events = list(told.contact())
    placed = list(told.placed())
    events += placed
    if with_update and placed:  # of one that is not paid for nothing is told yet
        events += told.updated()
    events += told.cancelled()
    for parcel in objects(order, "fulfillments"):
        events += parcel_events(parcel, told.id, whose, connection)
    for refund in objects(order, "refunds"):
        events += refund_events(refund, order, told.id, whose, connection)
    return events


class _OrderFacts:
    """One order of somebody's."""

    def __init__(self, order: Resource, connection: ShopifyConnection, whose: Subject) -> None:
        self.order = order
        self.id = id_of(order)
        self.number = text(order, "name") or None
        self._connection = connection
        self._whose = whose
        self._source = source_of("shopify", connection.host)
        self._currency = text(order, "currency")
        self._hints = hints_of(order)

    def contact(self) -> Iterator[Event]:
        """Who it is, as the order says: of a customer the account, of a guest the address that the
        order goes to, but for the e-mail address, which the order itself has."""
        customer = an_object(self.order, "customer")
        where = an_object(self.order, "shipping_address") or an_object(
            self.order, "billing_address"
        )
        said = traits_of(customer, an_object(customer, "default_address") or where)
        if "locale" not in said and text(self.order, "customer_locale"):
            said["locale"] = text(self.order, "customer_locale")
        if self._whose.named and text(customer, "email"):
            said["email"] = text(customer, "email")
        if said:
            id_ = fact("order", self.id, "contact", content_digest(said))
            time = needed_time(self.order, "processed_at", "created_at", "updated_at")
            yield self._event("customer.updated", id_, time, said)

    def placed(self) -> Iterator[Event]:
        """That it was placed, once that is sure."""
        status = text(self.order, "financial_status")
        waits = status in WAITING and self._connection.complete_on == "created"
        if status and status not in PLACED and not waits:
            return
        yield self._event(
            "order.completed",
            fact("order", self.id, "completed"),
            needed_time(self.order, "processed_at", "created_at"),
            self._content,
        )

    def updated(self) -> Iterator[Event]:
        """What it is now, known by when it was changed and by what it says."""
        time = time_of(self.order, "updated_at")
        if time is None:
            return
        digest = content_digest(self._content)
        id_ = fact("order", self.id, "updated", to_rfc3339(time), digest)
        yield self._event("order.updated", id_, time, self._content)

    def cancelled(self) -> Iterator[Event]:
        """That it will not be."""
        time = time_of(self.order, "cancelled_at")
        if time is not None:
            data = {
                "order_id": self.id,
                "order_number": self.number,
                "reason": text(self.order, "cancel_reason") or None,
            }
            yield self._event("order.cancelled", fact("order", self.id, "cancelled"), time, data)

    @cached_property
    def _content(self) -> dict[str, Any]:
        order, currency = self.order, self._currency
        codes = objects(order, "discount_codes")
        gateways = order.get("payment_gateway_names")
        return {
            "order_id": self.id,
            "order_number": self.number,
            "checkout_id": text(order, "checkout_token") or text(order, "checkout_id") or None,
            "cart_id": text(order, "cart_token") or None,
            "total": plain_sum(shop_money(order, "total_price", currency)),
            "subtotal": plain_sum(shop_money(order, "subtotal_price", currency)),
            "tax": plain_sum(shop_money(order, "total_tax", currency)),
            "discount": plain_sum(shop_money(order, "total_discounts", currency)),
            "shipping": plain_sum(self._shipping()),
            "currency": currency or None,
            "coupon": text(codes[0], "code") or None if codes else None,
            "payment_method": (gateways[0] if isinstance(gateways, list) and gateways else None),
            "email": text(order, "email") or text(order, "contact_email") or None,
            "order_url": text(order, "order_status_url") or None,
            "products": product_lines(objects(order, "line_items"), currency),
        }

    def _shipping(self) -> Decimal | None:
        stated = shop_money(self.order, "total_shipping_price", self._currency)
        if stated is not None:
            return stated
        lines = [amount(each.get("price")) for each in objects(self.order, "shipping_lines")]
        known = [each for each in lines if each is not None]
        return sum(known, Decimal(0)) if known else None

    def _event(self, type_: str, id_: str, time: int, data: dict[str, Any]) -> Event:
        return event_of(
            type_,
            id_,
            source=self._source,
            time=time,
            subject=self._whose,
            data=data,
            hints=self._hints,
        )


def parcel_events(
    parcel: Resource, order_id: str, whose: Subject, connection: ShopifyConnection
) -> list[Event]:
    """Return what a fulfilment tells: that a parcel is on its way, has arrived. Raises
    Unreadable."""
    if text(parcel, "status") not in _HANDED_OVER:
        return []
    id_, number = id_of(parcel), text(parcel, "tracking_number")
    data = {
        "order_id": order_id,
        "carrier": text(parcel, "tracking_company") or None,
        "tracking_number": number or None,
        "tracking_url": text(parcel, "tracking_url") or None,
        "estimated_delivery": text(parcel, "estimated_delivery_at") or None,
        "products": product_lines(objects(parcel, "line_items")),
    }
    source = source_of("shopify", connection.host)
    events = [
        event_of(
            "order.shipped",
            fact("fulfillment", id_, "shipped", number),
            source=source,
            time=needed_time(parcel, "created_at", "updated_at"),
            subject=whose,
            data=data,
        )
    ]
    if text(parcel, "shipment_status") == "delivered":
        time = needed_time(parcel, "updated_at", "created_at")
        events.append(delivered(id_, data, time, whose, source))
    return events


def delivered(
    fulfillment_id: str, data: dict[str, Any], time: int, whose: Subject, source: str
) -> Event:
    """Return that a parcel has arrived, whoever tells it."""
    id_ = fact("fulfillment", fulfillment_id, "delivered")
    return event_of("order.delivered", id_, source=source, time=time, subject=whose, data=data)


def refund_events(
    refund: Resource, order: Resource, order_id: str, whose: Subject, connection: ShopifyConnection
) -> list[Event]:
    """Return what of an order was given back: what transactions have really paid. Goods that come
    back without money are none, and what is still on its way is told when it has gone."""
    paid = [
        each
        for each in objects(refund, "transactions")
        if text(each, "kind") == "refund" and text(each, "status") == "success"
    ]
    sums = [amount(each.get("amount")) for each in paid]
    back = sum((each for each in sums if each is not None), Decimal(0))
    if back <= 0:
        return []
    currency = text(order, "currency") or _shop_currency(refund)
    paid_in = text(paid[0], "currency")
    if any(text(each, "currency") != paid_in for each in paid):
        raise Unreadable("invalid_event", "transactions: refunded in several currencies at once")
    if currency and paid_in and paid_in != currency:
        rate = rate_to_shop(order, "total_price") or _rate(refund)
        if rate is None:
            currency = paid_in
        else:
            back = rounded(back * rate)
    lines = [
        {**line, "quantity": each.get("quantity", 1)}
        for each in objects(refund, "refund_line_items")
        for line in product_lines([an_object(each, "line_item") or _ordered(order, each)])
    ]
    data = {
        "order_id": order_id,
        "refund_id": id_of(refund),
        "total": plain_sum(back),
        "currency": currency or paid_in or None,
        "reason": text(refund, "note") or None,
        "products": lines,
    }
    return [
        event_of(
            "order.refunded",
            fact("refund", id_of(refund), plain_sum(back)),
            source=source_of("shopify", connection.host),
            time=needed_time(refund, "processed_at", "created_at"),
            subject=whose,
            data=data,
        )
    ]


def _ordered(order: Resource, returned: Resource) -> Resource:
    """Return the line of an order that comes back."""
    wanted = text(returned, "line_item_id")
    lines = objects(order, "line_items")
    return next((each for each in lines if text(each, "id") == wanted), {})


def _shop_currency(refund: Resource) -> str:
    for each in objects(refund, "refund_line_items"):
        code = text(an_object(an_object(each, "subtotal_set"), "shop_money"), "currency_code")
        if code:
            return code
    return ""


def _rate(refund: Resource) -> Decimal | None:
    rates = (rate_to_shop(each, "subtotal") for each in objects(refund, "refund_line_items"))
    return next((each for each in rates if each is not None), None)
