"""Orders, shipments and credit memos → events.

Each reading states all that holds of an order, with the same ids. A configurable product is two
rows of an order and a bundle several, the first of which is what was bought: the rows without a
parent are the lines. Products are known by their SKU, the only name of them that orders, quotes,
links between products and feeds share.

Sums are in the shop's own currency (`base_…`) where the customer saw another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal
from typing import Any, Literal

from schemas.events import Event
from schemas.instant import to_rfc3339
from streams.connect.fact_source import FactSource
from streams.connect.facts import Subject, content_digest, fact
from streams.connect.json_fields import (
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
from streams.connect.local_windows import instant_of

LINES = 2_000
"""Of an order, as events have at most."""

PAID = frozenset({"processing", "complete", "closed"})
"""States of an order that is paid for, or delivered on account."""
LIVING = PAID - {"closed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MagentoSource(FactSource):
    """What is known of a shop besides its orders."""

    complete_on: Literal["created", "paid"] = "paid"
    offline: frozenset[str] = frozenset()
    """Payment methods that nobody waits for."""
    newsletter: str = "newsletter"
    newsletter_confirmed: bool = False
    single_opt_in_counts: bool = False
    locales: Mapping[int, str] = field(default_factory=dict)
    """`it-IT` by the id of the store view."""
    media: str = ""
    """What the addresses of images begin with."""
    url_suffix: str = ".html"
    currency: str = "EUR"
    """Of the products' prices."""


def instant(row: Row, *names: str) -> int:
    """Return the first of these times that can be read: UTC, though no `Z` says so. Raises
    ValueError where there is none."""
    problem = f"{names[0]}: missing"
    for name in names:
        written_ = text(row, name)
        if not written_ or written_.startswith("0000"):
            continue
        try:
            return instant_of(written_, UTC)
        except ValueError as error:
            problem = f"{name}: {error}"
    raise ValueError(problem)


def subject_of(order: Row, shop: MagentoSource) -> Subject | None:
    """Return whose an order is, None when nothing says it."""
    account = 0 if flag(order, "customer_is_guest") else whole(order, "customer_id")
    return shop.subject(account, text(order, "customer_email"))


def number_of(order: Row) -> str:
    """Return the number of an order that the customer knows, and which exports have. Raises
    ValueError where there is none."""
    found = text(order, "increment_id") or text(order, "entity_id")
    if not found or found == "0":
        raise ValueError(f"increment_id: none (got {order.get('increment_id')!r})"[:100])
    return found


def facts_of_order(order: Row, shop: MagentoSource, *, history: bool = False) -> list[Event]:
    """Return what is so of an order, nothing for one without a customer. `history`: all of it is
    told at once, so that no update is needed. Raises ValueError."""
    number_of(order)
    subject = subject_of(order, shop)
    return [] if subject is None else list(_facts(order, shop, subject, history=history))


def waits(order: Row, shop: MagentoSource) -> bool:
    """Whether an order is to be paid for before it is a purchase."""
    state = _state(order)
    return state != "canceled" and not _is_complete(order, state, shop)


def was_unpaid(order: Row, shop: MagentoSource) -> bool:
    """Whether an order says itself that it waited until now: what Adobe's events have of it from
    before it was saved (`_origData`), where that was chosen."""
    before = inside(order, "_origData")
    return bool(_state(before)) and waits({**order, "base_total_paid": None, "total_paid": None,
                                           **before}, shop)  # fmt: skip


def paid_at(order: Row, shop: MagentoSource) -> dict[str, int]:
    """Return of an order that has waited when it was paid for, ms by the id of its purchase: no
    later than when it was changed. Nothing of one that waits or can't be read."""
    try:
        if _is_complete(order, _state(order), shop):
            changed = instant(order, "updated_at", "created_at")
            return {fact("order", number_of(order), "completed"): changed}
    except ValueError:
        pass
    return {}


def facts_of_shipment(shipment: Row, order: Row, shop: MagentoSource) -> list[Event]:
    """Return that a parcel of an order is on its way. Raises ValueError."""
    id_ = required_id(shipment)
    subject = subject_of(order, shop)
    if subject is None:
        return []
    tracks = [each for each in rows(shipment, "tracks") if text(each, "track_number")]
    track = tracks[0] if tracks else {}
    number = text(track, "track_number")
    data = without_nothing(
        {
            "order_id": number_of(order),
            "tracking_number": number,
            "carrier": text(track, "title") or text(track, "carrier_code"),
            "products": _parts(rows(shipment, "items"), order),
        }
    )
    fact_id = fact("shipment", id_, "shipped", number)
    time = instant(shipment, "created_at", "updated_at")
    return [shop.event("order.shipped", fact_id, time, subject, data)]


def facts_of_credit_memo(memo: Row, order: Row, shop: MagentoSource) -> list[Event]:
    """Return the refund that a credit memo is; nothing of one that was cancelled. Raises
    ValueError."""
    id_ = required_id(memo)
    subject = subject_of(order, shop)
    if subject is None or whole(memo, "state") == CANCELLED_MEMO:
        return []
    data = without_nothing(
        {
            "order_id": number_of(order),
            "refund_id": str(id_),
            "total": written(_money(memo, order, "grand_total")),
            "currency": currency_of(order),
            "products": _parts(rows(memo, "items"), order),
        }
    )
    if "total" not in data:
        raise ValueError(f"grand_total: none (got {memo.get('grand_total')!r})"[:100])
    time = instant(memo, "created_at", "updated_at")
    return [shop.event("order.refunded", fact("creditmemo", id_), time, subject, data)]


CANCELLED_MEMO = 3


def currency_of(order: Row) -> str:
    """Return the currency of an order's sums: the shop's own."""
    return text(order, "base_currency_code") or text(order, "order_currency_code")


def lines_of(order: Row) -> list[dict[str, Any]]:
    """Return the lines of an order as events have them: what was bought, without its parts."""
    found = rows(order, "items")
    parts: dict[int, list[Row]] = {}
    for row in found:
        if parent := whole(row, "parent_item_id"):
            parts.setdefault(parent, []).append(row)
    tops = [row for row in found if not whole(row, "parent_item_id")][:LINES]
    lines = (_line(row, parts.get(whole(row, "item_id"), ()), order) for row in tops)
    return [without_nothing(line) for line in lines if line["product_id"]]


def required_id(row: Row, name: str = "entity_id") -> int:
    """Return an id. Raises ValueError where there is none."""
    found = whole(row, name)
    if not found:
        raise ValueError(f"{name}: none (got {row.get(name)!r})"[:100])
    return found


def _facts(order: Row, shop: MagentoSource, subject: Subject, *, history: bool) -> Iterator[Event]:
    number = number_of(order)

    def told(what: str, time: int, data: Mapping[str, Any], *changed: str) -> Event:
        fact_id = fact("order", number, what, *changed)
        return shop.event(f"order.{what}", fact_id, time, subject, data)

    placed = instant(order, "created_at", "updated_at")
    changed = max(instant(order, "updated_at", "created_at"), placed)
    described, state = _described(order, number), _state(order)
    completed = _is_complete(order, state, shop)
    if completed:
        yield told("completed", placed, described)
    if completed and not history and changed != placed:
        # It lives, though it may have been cancelled before it was paid for.
        update = described | ({"status": "processing"} if state in LIVING else {})
        yield told("updated", changed, update, to_rfc3339(changed), content_digest(update))
    if state == "canceled":
        yield told("cancelled", changed, {"order_id": number})
    elif state == "closed":
        yield told("refunded", changed, {"order_id": number})


def _state(order: Row) -> str:
    return text(order, "state") or text(order, "status")


def _is_complete(order: Row, state: str, shop: MagentoSource) -> bool:
    if shop.complete_on == "created" or state in PAID:
        return True
    if state == "new" and text(inside(order, "payment"), "method") in shop.offline:
        return True
    return bool(amount(order, "base_total_paid", "total_paid"))


def _described(order: Row, number: str) -> dict[str, Any]:
    quote = whole(order, "quote_id")
    return without_nothing(
        {
            "order_id": number,
            "cart_id": str(quote) if quote else "",
            "checkout_id": str(quote) if quote else "",
            "total": written(_money(order, order, "grand_total")),
            "subtotal": written(_money(order, order, "subtotal_incl_tax", "subtotal")),
            "shipping": written(_money(order, order, "shipping_incl_tax", "shipping_amount")),
            "discount": written(abs(_money(order, order, "discount_amount") or Decimal(0))),
            "tax": written(_money(order, order, "tax_amount")),
            "currency": currency_of(order),
            "coupon": text(order, "coupon_code"),
            "payment_method": text(inside(order, "payment"), "method"),
            "email": text(order, "customer_email"),
            "products": lines_of(order),
        }
    )


def _money(row: Row, order: Row, *names: str) -> Decimal | None:
    """Return a sum in the currency of `currency_of`; one that is only there in another is none."""
    base, seen = text(order, "base_currency_code"), text(order, "order_currency_code")
    found = amount(row, *(f"base_{name}" for name in names))
    if found is None and (not base or not seen or base == seen):
        found = amount(row, *names)
    return found


def _line(row: Row, parts: Sequence[Row], order: Row) -> dict[str, Any]:
    bought = amount(row, "qty_ordered") or Decimal(1)
    price = _money(row, order, "price_incl_tax", "price")
    if not price and parts:  # a bundle whose price is that of what is in it
        sums = [_money(part, order, "row_total_incl_tax", "row_total") for part in parts]
        total = sum((each for each in sums if each is not None), Decimal(0))
        price = round(total / bought, 4).normalize() if total and bought else price
    name, variant = text(row, "name"), ""
    if text(row, "product_type") == "configurable" and parts:
        variant = text(parts[0], "name")
    return {
        "product_id": text(row, "sku") or name[:100],
        "name": name,
        "variant": "" if variant == name else variant,
        "price": written(price),
        "quantity": quantity(row, "qty_ordered"),
    }


def _parts(items: Sequence[Row], order: Row) -> list[dict[str, Any]]:
    """Return what of an order's lines is in a parcel or comes back."""
    lines = {
        whole(row, "item_id"): row
        for row in rows(order, "items")
        if not whole(row, "parent_item_id")
    }
    found = []
    for item in items[:LINES]:
        row = lines.get(whole(item, "order_item_id"))
        if row is not None and amount(item, "qty"):
            line = _line(row, (), order)
            line["quantity"] = quantity(item, "qty")
            found.append(without_nothing(line))
    return found
