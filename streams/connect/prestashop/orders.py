"""Orders, what became of them, and credit notes → events.

Whatever is read of an order is all that holds of it now, with the states that it has gone through.
So each reading states the same facts again, with the same ids: that it was placed, has left, has
arrived, is cancelled. What changed in between is in an update, whose id names the content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from schemas.events import Event
from schemas.instant import LATEST, to_rfc3339
from streams.connect.fact_source import FactSource
from streams.connect.facts import Subject, content_digest, fact
from streams.connect.json_fields import (
    NOTHING,
    Row,
    amount,
    flag,
    inside,
    quantity,
    rows,
    text,
    whole,
    without_nothing,
    written,
)
from streams.connect.local_windows import NONE, instant_of
from streams.connect.prestashop.states import UNKNOWN, OrderState

CompleteOn = Literal["created", "paid"]

LINES = 2_000
"""Of an order, as events have at most."""
HISTORY = 200
"""States that an order has gone through; a module that loops must not make a million of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrestaShopSource(FactSource):
    """What is known of a shop besides its orders."""

    zone: tzinfo
    """PS_TIMEZONE."""
    complete_on: CompleteOn = "paid"
    newsletter: str = "newsletter"
    """The list that the shop's newsletter is."""
    newsletter_confirmed: bool = False
    """Whether the shop has each subscription confirmed by a mail of its own."""
    single_opt_in_counts: bool = False
    """Whether a subscription that was not confirmed is consent all the same."""
    states: Mapping[int, OrderState] = field(default_factory=dict)
    currencies: Mapping[int, str] = field(default_factory=dict)
    """ISO codes by id."""
    languages: Mapping[int, str] = field(default_factory=dict)
    """`it-IT` by id."""


class Parcel(NamedTuple):
    """How an order travels."""

    number: str = ""
    carrier: str = ""
    url: str = ""


class Joined(NamedTuple):
    """What belongs to an order in other resources."""

    customer: Row = NOTHING
    """Row of `customers`; empty where it isn't there any more."""
    histories: Sequence[Row] = ()
    parcel: Parcel = Parcel()
    coupon: str = ""


def subject_of(id_: int, customer: Row, shop: PrestaShopSource) -> Subject | None:
    """Return whom something of the customer with this id is about, None when that is nobody: who
    orders as a guest has no account, and gets a new id with each order."""
    account = 0 if flag(customer, "is_guest") else id_
    return shop.subject(account, text(customer, "email")) if id_ else None


def facts_of_order(
    order: Row, joined: Joined, shop: PrestaShopSource, *, now: int = LATEST, history: bool = False
) -> list[Event]:
    """Return what is so of an order, nothing for one without a customer.

    `now` (ms): when it was read. `history`: all of it is told at once, so that no update is needed.
    Raises ValueError for one without an id or a time.
    """
    required_id(order)
    subject = subject_of(whole(order, "id_customer"), joined.customer, shop)
    if subject is None:
        return []
    placed = instant_of(text(order, "date_add"), shop.zone, not_after=now)
    passed = list(_passed(order, joined.histories, shop, placed, now))
    return list(_facts(order, joined, shop, subject, placed, passed, history=history))


def paid_at(order: Row, joined: Joined, shop: PrestaShopSource, *, now: int) -> dict[str, int]:
    """Return when an order was paid for, ms by the id of its purchase, as the first of its states
    says that is; nothing of one that waits or can't be read."""
    try:
        placed = instant_of(text(order, "date_add"), shop.zone, not_after=now)
    except ValueError:
        return {}
    passed = _passed(order, joined.histories, shop, placed, now)
    paid = next((each.time for each in passed if each.state.paid), None)
    return {} if paid is None else {fact("order", whole(order, "id"), "completed"): paid}


def facts_of_slip(
    slip: Row, order: Row, joined: Joined, shop: PrestaShopSource, *, now: int = LATEST
) -> list[Event]:
    """Return the refund that a credit note states of its order. Raises ValueError."""
    id_, order_id = required_id(slip), required_id(slip, "id_order")
    subject = subject_of(whole(slip, "id_customer"), joined.customer, shop)
    if subject is None:
        return []
    time = instant_of(text(slip, "date_add"), shop.zone, not_after=now)
    data = {
        "order_id": str(order_id),
        "refund_id": str(id_),
        "total": written(_refunded(slip)),
        "currency": _currency(order, shop),
        "products": _returned(slip, order),
    }
    fact_id = fact("order_slip", id_)
    return [shop.event("order.refunded", fact_id, time, subject, without_nothing(data))]


def lines_of(order: Row) -> list[dict[str, Any]]:
    """Return the lines of an order as events have them."""
    found = rows(inside(order, "associations"), "order_rows")[:LINES]
    return [without_nothing(_line(each)) for each in found]


# What has become of it.


class _Passed(NamedTuple):
    """A state that the order was, or is, in."""

    time: int
    state: OrderState


def _passed(
    order: Row, histories: Sequence[Row], shop: PrestaShopSource, placed: int, now: int
) -> Iterator[_Passed]:
    """Yield the states in the order in which they came, the one of now last."""
    last, last_state = placed, 0
    for row in sorted(histories, key=lambda row: whole(row, "id"))[:HISTORY]:
        last_state = whole(row, "id_order_state")
        last = _instant(row, "date_add", shop, last, now)
        yield _Passed(last, shop.states.get(last_state, UNKNOWN))
    current = whole(order, "current_state")
    if current and current != last_state:
        time = _instant(order, "date_upd", shop, last, now)
        yield _Passed(time, shop.states.get(current, UNKNOWN))


def _instant(row: Row, name: str, shop: PrestaShopSource, not_before: int, now: int) -> int:
    try:
        found = instant_of(text(row, name), shop.zone, not_before=not_before, not_after=now)
    except ValueError:
        return not_before
    return max(found, not_before)


def _facts(
    order: Row,
    joined: Joined,
    shop: PrestaShopSource,
    subject: Subject,
    placed: int,
    passed: Sequence[_Passed],
    *,
    history: bool,
) -> Iterator[Event]:
    id_, about = whole(order, "id"), {"order_id": str(whole(order, "id"))}

    def told(what: str, time: int, data: Mapping[str, Any], *changed: str) -> Event:
        return shop.event(f"order.{what}", fact("order", id_, what, *changed), time, subject, data)

    described = _described(order, joined, shop, subject)
    completed = shop.complete_on == "created" or any(each.state.paid for each in passed)
    if completed:
        yield told("completed", placed, described)
    if (sent := _first(passed, "shipped")) is not None:
        # A number that is entered after the parcel has left is another statement.
        yield told("shipped", sent, {**about, **_tracking(joined.parcel)}, joined.parcel.number)
    if (arrived := _first(passed, "delivered")) is not None:
        yield told("delivered", arrived, about)
    if completed and not history and text(order, "date_upd") not in ("", text(order, "date_add")):
        update = described | ({"status": "processing"} if _lives_again(passed) else {})
        time = _instant(order, "date_upd", shop, passed[-1].time if passed else placed, LATEST)
        yield told("updated", time, update, to_rfc3339(time), content_digest(update))
    if passed and passed[-1].state.cancelled:
        yield told("cancelled", passed[-1].time, about)
    elif passed and passed[-1].state.refunded:
        yield told("refunded", passed[-1].time, about)


def _first(passed: Sequence[_Passed], kind: Literal["shipped", "delivered"]) -> int | None:
    return next((each.time for each in passed if getattr(each.state, kind)), None)


def _tracking(parcel: Parcel) -> dict[str, str]:
    said = {
        "tracking_number": parcel.number,
        "carrier": parcel.carrier,
        "tracking_url": parcel.url,
    }
    return without_nothing(said)


def _lives_again(passed: Sequence[_Passed]) -> bool:
    """Whether the order was cancelled or refunded, and is not any more."""
    undone = [each.state.cancelled or each.state.refunded for each in passed]
    return any(undone) and not undone[-1] and (passed[-1].state.paid or passed[-1].state.shipped)


# What it is.


def _described(
    order: Row, joined: Joined, shop: PrestaShopSource, subject: Subject
) -> dict[str, Any]:
    total = amount(order, "total_paid_tax_incl", "total_paid")
    untaxed = amount(order, "total_paid_tax_excl")
    tax = total - untaxed if total is not None and untaxed is not None else None
    cart = whole(order, "id_cart")
    id_ = whole(order, "id")
    return without_nothing(
        {
            "order_id": str(id_),
            "order_number": text(order, "reference"),
            "cart_id": str(cart) if cart else "",
            "checkout_id": str(cart) if cart else "",
            "total": written(total),
            "subtotal": written(amount(order, "total_products_wt")),
            "shipping": written(amount(order, "total_shipping_tax_incl", "total_shipping")),
            "discount": written(amount(order, "total_discounts_tax_incl", "total_discounts")),
            "tax": written(tax if tax is None or tax >= 0 else None),
            "currency": _currency(order, shop),
            "payment_method": text(order, "payment"),
            "coupon": joined.coupon,
            "email": text(joined.customer, "email"),
            "order_url": _order_url(shop, id_) if subject.named else "",
            "products": lines_of(order),
        }
    )


def _order_url(shop: PrestaShopSource, id_: int) -> str:
    """Where who has an account sees it, in all versions and with friendly addresses or without."""
    return f"{shop.url}/index.php?controller=order-detail&id_order={id_}"


def _currency(order: Row, shop: PrestaShopSource) -> str:
    return shop.currencies.get(whole(order, "id_currency"), "")


def _line(row: Row) -> dict[str, Any]:
    attribute = whole(row, "product_attribute_id")
    product = whole(row, "product_id")
    return {
        "product_id": str(product) if product else text(row, "product_reference"),
        "sku": text(row, "product_reference"),
        "variant": str(attribute) if attribute else "",
        "name": text(row, "product_name"),
        "price": written(amount(row, "unit_price_tax_incl", "product_price")),
        "quantity": quantity(row, "product_quantity"),
    }


def _refunded(slip: Row) -> Decimal | None:
    """Return what went back: goods and shipping, with tax. Old versions have only `amount`."""
    goods = amount(slip, "total_products_tax_incl")
    shipping = amount(slip, "total_shipping_tax_incl")
    if goods is None and shipping is None:
        return amount(slip, "amount")
    return (goods or Decimal(0)) + (shipping or Decimal(0))


def _returned(slip: Row, order: Row) -> list[dict[str, Any]]:
    """Return the lines of the order that a credit note names."""
    lines = {whole(row, "id"): row for row in rows(inside(order, "associations"), "order_rows")}
    details = inside(slip, "associations").get("order_slip_details")
    found = []
    for detail in rows(details)[:LINES]:
        row = lines.get(whole(detail, "id_order_detail"))
        if row is not None:
            line = _line(row)
            line["quantity"] = quantity(detail, "product_quantity")
            found.append(without_nothing(line))
    return found


def required_id(row: Row, name: str = "id") -> int:
    """Return an id. Raises ValueError where there is none."""
    found = whole(row, name)
    if not found:
        raise ValueError(f"{name}: none (got {row.get(name)!r})"[:100])
    return found


def is_no_time(value: str) -> bool:
    """Whether it is what PrestaShop writes where there is no time."""
    return not value or value.startswith(NONE)
