"""When an order of Shopify's was paid for, which the order itself doesn't say.

A bank transfer is paid for days after the order was placed, and that is when it is a purchase. So
of an order that is older than news stay news the shop is asked for its transactions, where a
webhook tells it; a poll knows those that waited (`streams/connect/shop_memory.py`).
"""

from __future__ import annotations

from collections import OrderedDict

from schemas.failures import Failure
from schemas.validation import Unreadable
from streams.connect.facts import HISTORY_AGE_MS
from streams.connect.resources import Resource, objects, text, time_of
from streams.connect.shop_api import ShopApi
from streams.connect.shopify.orders import PLACED, WAITING

REMEMBERED = 20_000
"""Payments that are known without asking: some 3 MB."""
LOOK_UP_SECONDS = 2.0
"""For asking within a webhook, which has five in all."""
PAID = "orders/paid"
_PAYS = frozenset({"authorization", "capture", "sale"})


def waits(order: Resource) -> bool:
    """Whether an order waits to be paid for."""
    return text(order, "financial_status") in WAITING and not order.get("cancelled_at")


class Payments:
    """Those of one shop."""

    def __init__(self, api: ShopApi) -> None:
        self._api = api
        self._known: OrderedDict[str, int] = OrderedDict()

    async def told_by(self, order: Resource, topic: str, *, now: int, can_ask: bool) -> int | None:
        """Return when an order was paid for (ms) that a webhook has told at `now`; None where it
        isn't, or is so young that it makes no difference, or nobody says when. Raises Unreadable.
        """
        placed = time_of(order, "processed_at", "created_at")
        is_paid = text(order, "financial_status") in PLACED
        if not is_paid or placed is None or placed >= now - HISTORY_AGE_MS:
            return None
        found = await self._asked(text(order, "id")) if can_ask else None
        if found is None and topic == PAID:  # it is sent when that happens
            return time_of(order, "updated_at") or now
        return found

    async def _asked(self, order_id: str) -> int | None:
        if order_id in self._known:
            return self._known[order_id]
        try:
            answer = await self._api.ask(
                "GET",
                f"orders/{order_id}/transactions.json",
                attempts=1,
                seconds=LOOK_UP_SECONDS,
            )
        except Failure:  # the order itself is there, and is not to be sent again for this
            return None
        times = [_paid_at(each) for each in objects(answer.body or {}, "transactions")]
        known = [each for each in times if each is not None]
        if not known:
            return None
        self._known[order_id] = min(known)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._known[order_id]


def _paid_at(transaction: Resource) -> int | None:
    if text(transaction, "kind") not in _PAYS or text(transaction, "status") != "success":
        return None
    try:
        return time_of(transaction, "processed_at", "created_at")
    except Unreadable:
        return None
