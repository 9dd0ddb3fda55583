"""An order of WooCommerce's: that it was placed, was sent, was called off, was given back.

There are webhooks for *created* and *updated* only, each with the whole order, so all that it tells
is told each time, by facts' ids. A refund is a line in `refunds[]`, without a time: `refunded_at`
has the times where the shop was asked for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from schemas.events import Event
from schemas.instant import to_rfc3339
from schemas.validation import Unreadable
from streams.connect.facts import (
    Subject,
    content_digest,
    event_of,
    fact,
    key_of,
    source_of,
    subject_of,
)
from streams.connect.resources import Resource, amount, an_object, id_of, objects, plain_sum, text
from streams.connect.woocommerce.consents import consent_events
from streams.connect.woocommerce.settings import WooCommerceConnection
from streams.connect.woocommerce.values import hints_of, meta, product_lines, utc, with_tax

PAID = frozenset({"processing", "completed"})
ON_HOLD = "on-hold"
FAILED = "failed"
CANCELLED = frozenset({"cancelled", FAILED})
REFUNDED = "refunded"
UNFINISHED = frozenset({"checkout-draft", "auto-draft", "trash", "draft"})
"""No orders yet, or any more."""


def subject(order: Resource, connection: WooCommerceConnection) -> Subject | None:
    """Return whose an order is; None for one that names nobody. The address of the bill is a
    guest's own; a customer may have it sent to somebody else's."""
    customer_id = text(order, "customer_id")
    is_guest = customer_id in ("", "0")
    return subject_of(
        None if is_guest else customer_id,
        text(an_object(order, "billing"), "email") if is_guest else "",
        prefix=connection.customer_prefix,
        visitor=meta(order, connection.anonymous_meta),
    )


def order_key(order: Resource, connection: WooCommerceConnection) -> bytes | None:
    """Return the key of whose an order is that can't be read."""
    address = text(an_object(order, "billing"), "email")
    return key_of(text(order, "customer_id"), address, prefix=connection.customer_prefix)


def order_events(
    order: Resource,
    connection: WooCommerceConnection,
    *,
    with_update: bool = True,
    refunded_at: Mapping[str, int] | None = None,
) -> list[Event]:
    """Return all that an order tells; empty for a draft and for one that is nobody's.

    `with_update`: also what it is now, which who reads old orders knows already. `refunded_at`:
    when its refunds were made, ms by id. Raises Unreadable.
    """
    whose = subject(order, connection)
    if whose is None or text(order, "status") in UNFINISHED:
        return []
    told = _OrderTold(order, connection, whose)
    events = list(told.contact())
    if told.is_placed:
        events.append(told.placed())
        events += told.updated() if with_update else ()
    events += told.shipped()
    events += told.cancelled()
    events += told.refunded(refunded_at or {})
    if connection.consent_meta:
        time = utc(order, "date_created")
        address = text(an_object(order, "billing"), "email")
        events += consent_events(order, fact("order", told.id), time, address, whose, connection)
    return events


def paid_at(order: Resource) -> dict[str, int]:
    """Return when an order was paid for, ms by the id of its purchase: a bank transfer may take
    longer than news stay news."""
    time = utc(order, "date_paid")
    return {} if time is None else {fact("order", id_of(order), "completed"): time}


class _OrderTold:
    """One order of somebody's."""

    def __init__(self, order: Resource, connection: WooCommerceConnection, whose: Subject) -> None:
        self.order = order
        self.id = id_of(order)
        self._connection = connection
        self._whose = whose
        self._source = source_of("woocommerce", connection.host)
        self._status = text(order, "status")
        self._created = _needed(order, "date_created")

    @property
    def is_placed(self) -> bool:
        """Whether somebody has paid, or is going to for sure."""
        if self._status in PAID or self._status == REFUNDED or utc(self.order, "date_paid"):
            return True
        return self._status == ON_HOLD and self._connection.on_hold_counts

    def contact(self) -> Iterator[Event]:
        """Who it is, as the bill says, but for the address, which the order itself has."""
        billing = an_object(self.order, "billing")
        said = {
            name: text(billing, name)
            for name in ("first_name", "last_name", "phone", "city", "country")
            if text(billing, name)
        }
        if said:
            id_ = fact("order", self.id, "contact", content_digest(said))
            yield self._event("customer.updated", id_, self._created, said)

    def placed(self) -> Event:
        """That it was placed."""
        return self._event(
            "order.completed", fact("order", self.id, "completed"), self._created, self._content()
        )

    def updated(self) -> Iterator[Event]:
        """What it is now, known by when it was changed and by what it says."""
        time = utc(self.order, "date_modified")
        if time is not None:
            content = self._content()
            if self._status in PAID:  # it lives, though it may have been cancelled before
                content["status"] = "processing"
            id_ = fact("order", self.id, "updated", to_rfc3339(time), content_digest(content))
            yield self._event("order.updated", id_, time, content)

    def shipped(self) -> Iterator[Event]:
        """That it was sent, as most shops mean it."""
        if self._status != "completed" or not self._connection.completed_is_shipped:
            return
        time = utc(self.order, "date_completed", "date_modified")
        if time is not None:
            data = {"order_id": self.id}
            yield self._event("order.shipped", fact("order", self.id, "shipped"), time, data)

    def cancelled(self) -> Iterator[Event]:
        """That it will not be. A payment that failed is tried again; what is cancelled before it is
        paid for, as its time is over, may be paid for all the same and be cancelled once more."""
        time = utc(self.order, "date_modified")
        is_paid = utc(self.order, "date_paid") is not None
        if self._status not in CANCELLED or time is None:
            return
        if self._status == FAILED and not is_paid:
            return
        data = {"order_id": self.id, "reason": self._status}
        id_ = fact("order", self.id, self._status, "" if is_paid else "unpaid")
        yield self._event("order.cancelled", id_, time, data)

    def refunded(self, refunded_at: Mapping[str, int]) -> Iterator[Event]:
        """What was given back."""
        modified = utc(self.order, "date_modified") or self._created
        refunds = objects(self.order, "refunds")
        for each in refunds:
            sum_ = abs(amount(each.get("total")) or Decimal(0))
            if not sum_:
                continue
            data = {
                "order_id": self.id,
                "refund_id": id_of(each),
                "total": plain_sum(sum_),
                "currency": text(self.order, "currency") or None,
                "reason": text(each, "reason") or None,
            }
            time = refunded_at.get(id_of(each), modified)
            yield self._event("order.refunded", fact("refund", id_of(each)), time, data)
        if self._status == REFUNDED and not refunds:  # set by hand: all of it is back
            data = {"order_id": self.id, "total": plain_sum(amount(self.order.get("total")))}
            yield self._event("order.refunded", fact("order", self.id, REFUNDED), modified, data)

    def _content(self) -> dict[str, Any]:
        order = self.order
        coupons = objects(order, "coupon_lines")
        return {
            "order_id": self.id,
            "order_number": text(order, "number") or None,
            "total": plain_sum(amount(order.get("total"))),
            "tax": plain_sum(amount(order.get("total_tax"))),
            "discount": plain_sum(with_tax(order, "discount_total", "discount_tax")),
            "shipping": plain_sum(with_tax(order, "shipping_total", "shipping_tax")),
            "currency": text(order, "currency") or None,
            "coupon": text(coupons[0], "code") or None if coupons else None,
            "payment_method": text(order, "payment_method_title") or None,
            "email": text(an_object(order, "billing"), "email") or None,
            "products": product_lines(objects(order, "line_items")),
        }

    def _event(self, type_: str, id_: str, time: int, data: Mapping[str, Any]) -> Event:
        return event_of(
            type_,
            id_,
            source=self._source,
            time=time,
            subject=self._whose,
            data=data,
            hints=hints_of(self.order),
        )


def _needed(order: Resource, name: str) -> int:
    found = utc(order, name)
    if found is None:
        raise Unreadable("invalid_event", f"{name}_gmt: missing")
    return found
