"""A Shopify shop: what it sends, and what it is asked for.

Refunds and fulfilments come with the order's number and without its customer. Then the order itself
is asked for, which tells all of it; the owners of the last orders are remembered, so that this is
seldom needed. A shop that can't be asked tells its refunds by `orders/updated`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from schemas.events import Event
from schemas.instant import parse_instant, to_rfc3339
from schemas.time_units import MINUTE_MS
from schemas.validation import Unreadable
from streams.clock import Clock
from streams.connect.connector import (
    DeliveryAnswer,
    ShopConnector,
    ShopDelivery,
    ShopNews,
    ShopPage,
    ShopRefuses,
    ShopUnavailable,
)
from streams.connect.facts import HISTORY_AGE_MS, Subject, fact, source_of
from streams.connect.json_fields import whole
from streams.connect.resources import Resource, id_of, needed_time, text, time_of
from streams.connect.row_news import RowsOf, unread
from streams.connect.shop_api import Pause, ShopAnswer, ShopApi
from streams.connect.shopify import checks, subscriptions
from streams.connect.shopify.carts import Carts, checkout_events
from streams.connect.shopify.customers import (
    consent_events,
    copy_events,
    customer_events,
    erasure_events,
)
from streams.connect.shopify.orders import (
    delivered,
    is_test,
    order_events,
    parcel_events,
    refund_events,
    subject,
)
from streams.connect.shopify.owners import OrderOwners
from streams.connect.shopify.payments import Payments, waits
from streams.connect.shopify.products import products_of
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.shopify.topics import PLACING, TOPICS, Reads
from streams.connect.signatures import is_signed_base64, sign_base64
from streams.connect.webhook_bodies import answer_of, read_body
from streams.operate.check import Check
from streams.settings.secret_references import SecretsInUse

SIGNATURE, TOPIC, SHOP = "X-Shopify-Hmac-SHA256", "X-Shopify-Topic", "X-Shopify-Shop-Domain"

PER_PAGE = 250
"""As many as Shopify gives."""
OVERLAP_MS = 2 * MINUTE_MS
"""Read again at each poll: what is written in this second may be shown in the next one."""
LOOK_UP_SECONDS = 3.0
"""For asking for an order within a webhook, which has five in all."""


def connector(
    connection: ShopifyConnection, clock: Clock, *, pause: Pause | None = None
) -> Shopify:
    """Return what talks to a shop. Raises SettingsError for a secret that can't be read."""
    return Shopify(connection, clock, pause=pause)


class Shopify(ShopConnector):
    """One shop."""

    resources = ("products", "customers", "orders")
    connection: ShopifyConnection

    def __init__(
        self, connection: ShopifyConnection, clock: Clock, *, pause: Pause | None = None
    ) -> None:
        super().__init__(connection)
        self.connection = connection
        self._clock = clock
        self._secrets = SecretsInUse(connection.secret)
        self._token = None if connection.token is None else SecretsInUse([connection.token])
        base = connection.api_url or f"https://{connection.shop}"
        given: dict[str, Any] = {} if pause is None else {"pause": pause}
        self.api = ShopApi(
            f"{base}/admin/api/{connection.api_version}", self._authorization, **given
        )
        self.oauth = ShopApi(f"{base}/admin/oauth", self._authorization, **given)
        self.api.now = self.oauth.now = clock.now
        self._owners = OrderOwners(connection)
        self._payments = Payments(self.api)
        self._carts = Carts(connection)

    @property
    def can_ask(self) -> bool:
        """Whether there is a token."""
        return self._token is not None

    async def close(self) -> None:
        """Hang up."""
        await super().close()
        await self.api.close()
        await self.oauth.close()

    def _authorization(self) -> Mapping[str, str]:
        if self._token is None:
            raise ShopRefuses("The connection has no token, so the shop can't be asked")
        return {"X-Shopify-Access-Token": self._token.get()[0].get_secret_value()}

    # Webhooks.

    async def receive(self, delivery: ShopDelivery) -> DeliveryAnswer:
        """Read a webhook. Raises ShopUnavailable."""
        headers, topic = delivery.headers, delivery.headers.get(TOPIC, "")[:100].lower()
        secrets = [each.get_secret_value().encode() for each in self._secrets.get()]
        is_signed = is_signed_base64(delivery.body, headers.get(SIGNATURE, ""), secrets)
        # One app has the same secret in all shops that have it.
        if not is_signed or headers.get(SHOP, "").strip().lower() != self.connection.shop:
            return DeliveryAnswer("unsigned")
        reads = TOPICS.get(topic, "nothing")
        return await answer_of(
            delivery,
            topic,
            partial(self._read, topic, delivery.received),
            partial(self._owners.key, reads),
        )

    async def receive_again(self, topic: str, body: bytes, *, time: int) -> ShopNews | None:
        """Read a webhook that could not be understood when it came. Raises Unreadable,
        ShopUnavailable."""
        return await self._read(topic, time, read_body(body))

    async def _read(self, topic: str, now: int, body: Resource) -> ShopNews | None:
        reads, news = TOPICS.get(topic, "nothing"), ShopNews()
        if reads in _EVENTS:
            news.events = _EVENTS[reads](body, topic, self.connection, now)
        elif reads == "order":
            news.events = self._of_order(body, with_update=topic not in PLACING)
            paid = await self._payments.told_by(body, topic, now=now, can_ask=self.can_ask)
            if paid is not None:
                news.became[_completed(body)] = paid
        elif reads == "cart" and self.connection.carts:
            news.events = self._carts.events(body, is_new=topic == "carts/create")
        elif reads == "product":
            news.products = products_of(body, self.connection)
            news.complete = [id_of(body)]
        elif reads == "product_gone":
            news.gone = [id_of(body)]
        elif reads in ("refund", "fulfillment", "fulfillment_event"):
            return await self._of_an_order(reads, body)
        else:
            return None
        return news

    def _of_order(self, order: Resource, *, with_update: bool = True) -> list[Event]:
        whose = subject(order, self.connection)
        if whose is not None and not is_test(order):
            self._owners.remember(id_of(order), whose)
        return order_events(order, self.connection, with_update=with_update)

    async def _of_an_order(self, reads: Reads, body: Resource) -> ShopNews | None:
        """Return what a webhook tells of an order that it only names."""
        order_id = id_of(body, "order_id")
        whose, events = self._owners.of(order_id), list[Event]()
        if whose is None:
            order = await self._order(order_id) if self.can_ask else None
            if order is None:
                return None
            events, whose = self._of_order(order), subject(order, self.connection)
            if whose is None or is_test(order):
                return ShopNews(passed_over=1)
        told = self._told(reads, body, order_id, whose)
        # What the order itself says of it is reckoned in the shop's money.
        known = {each.id.rpartition(":")[0] for each in events if each.type == "order.refunded"}
        events += [each for each in told if each.id.rpartition(":")[0] not in known]
        return ShopNews(events) if events else None

    def _told(self, reads: Reads, body: Resource, order_id: str, whose: Subject) -> list[Event]:
        if reads == "refund":
            return refund_events(body, {}, order_id, whose, self.connection)
        if reads == "fulfillment":
            return parcel_events(body, order_id, whose, self.connection)
        if text(body, "status") != "delivered":
            return []
        parcel = id_of(body, "fulfillment_id")
        time = needed_time(body, "happened_at", "created_at", "updated_at")
        source = source_of("shopify", self.connection.host)
        return [delivered(parcel, {"order_id": order_id}, time, whose, source)]

    async def _order(self, order_id: str) -> Resource | None:
        """Ask for an order; None for one that is no more. Raises ShopUnavailable."""
        try:
            answer = await self.api.ask(
                "GET", f"orders/{order_id}.json", attempts=2, seconds=LOOK_UP_SECONDS
            )
        except ShopRefuses as error:
            if ": 404" in str(error):
                return None
            raise ShopUnavailable(str(error)) from None  # once the token is right, it is told
        return answer.one("order")

    # Asking.

    async def changed(
        self, resource: str, cursor: str, *, since: int, now: int
    ) -> AsyncIterator[ShopPage]:
        """Yield what has changed since. Products come in no order that is known, so theirs is a
        new cursor only at the end."""
        query = {"limit": str(PER_PAGE), "order": "updated_at asc"}
        start = parse_instant(cursor) - OVERLAP_MS if cursor else since
        query["updated_at_min"] = to_rfc3339(start)
        if resource == "orders":
            query["status"] = "any"
        latest, is_sorted = cursor, resource != "products"
        answer = await self.api.get(f"{resource}.json", query)
        async for rows in self._pages(resource, answer):
            for row in rows:
                latest = max(latest, min(_updated(row), to_rfc3339(now)))
            yield self._page(resource, rows, latest if is_sorted else cursor, new_since=start)
        if latest != cursor and not is_sorted:
            yield ShopPage(ShopNews(), latest, 0)

    async def history(self, resource: str, cursor: str) -> AsyncIterator[ShopPage]:
        """Yield all there is, by ids."""
        query = {"limit": str(PER_PAGE), "since_id": cursor or "0"}
        counted = {"status": "any"} if resource == "orders" else {}
        counting = await self.api.get(f"{resource}/count.json", counted)
        count = counting.body.get("count") if isinstance(counting.body, dict) else None
        total = count if isinstance(count, int) and not cursor else None
        last = cursor
        answer = await self.api.get(f"{resource}.json", {**query, **counted})
        async for rows in self._pages(resource, answer):
            if rows:
                last = text(rows[-1], "id") or last
            yield self._page(resource, rows, last)._replace(total=total)

    async def _pages(self, resource: str, answer: ShopAnswer) -> AsyncIterator[Sequence[Resource]]:
        """Yield the rows of an answer and of all that follow it (`Link`)."""
        asked: set[str] = set()
        while True:
            yield answer.rows(resource)
            link = answer.next_link()
            if not link:
                return
            if link in asked:
                raise ShopUnavailable(f"GET {resource}.json: the next page is one that was read")
            asked.add(link)
            answer = await self.api.get(link)

    def _page(
        self, resource: str, rows: Sequence[Resource], cursor: str, *, new_since: int | None = None
    ) -> ShopPage:
        """`new_since`: from when on (ms) who was created is new; None in history."""
        news, whose = ShopNews(), partial(self._owners.key, _LISTED.get(resource, "nothing"))
        for row in rows:
            try:
                self._add(news, resource, row, new_since)
            except Unreadable as error:
                news.unread.append(unread(row, error, RowsOf(resource, whose)))
        return ShopPage(news, cursor, len(rows))

    async def read_again(self, resource: str, body: bytes, *, time: int, history: bool) -> ShopNews:
        """Read a row that could not be understood when it came. Raises Unreadable."""
        new_since = None if history else time - HISTORY_AGE_MS
        return self._page(resource, [read_body(body)], "", new_since=new_since).news

    def _add(self, news: ShopNews, resource: str, row: Resource, new_since: int | None) -> None:
        if resource == "products":
            news.products += products_of(row, self.connection)
            news.complete.append(id_of(row))
        elif resource == "customers":
            created = time_of(row, "created_at")
            if new_since is not None and created is not None and created >= new_since:
                news.events += customer_events(row, self.connection, is_new=True)
            news.events += customer_events(row, self.connection)
        else:
            events = order_events(row, self.connection, with_update=new_since is not None)
            news.passed_over += not events
            news.events += events
            if new_since is not None:
                self._note_payment(news, row)

    def _note_payment(self, news: ShopNews, order: Resource) -> None:
        """Tell when an order was paid for that has waited: no earlier than it was looked at last,
        and no later than it was changed."""
        id_, is_waiting = whole(order, "id"), waits(order)
        if is_waiting:
            news.notes.waiting[id_] = True
        elif self.memory.waiting([id_]):
            news.became[_completed(order)] = needed_time(order, "updated_at", "processed_at")
            news.notes.waiting[id_] = False

    # For a person.

    async def setup(self) -> Sequence[Check]:
        """Make the subscriptions that are missing."""
        return await subscriptions.subscribe(self.api, self.connection)

    async def check(self) -> Sequence[Check]:
        """Look at the token, its rights, the clock and the subscriptions."""
        return await checks.check(self.api, self.oauth, self.connection)

    def self_test(self, body: bytes) -> Mapping[str, str] | None:
        """Return the headers of a webhook that is signed as the shop would."""
        secret = self._secrets.get()[0].get_secret_value().encode()
        return {
            SIGNATURE: sign_base64(body, secret),
            TOPIC: "ritorno/test",
            SHOP: self.connection.shop,
            "Content-Type": "application/json",
        }


def _completed(order: Resource) -> str:
    """Return the id of the event that an order was placed."""
    return fact("order", id_of(order), "completed")


def _updated(row: Resource) -> str:
    """Return when a row was changed, in UTC, so that texts sort as times do."""
    try:
        return to_rfc3339(needed_time(row, "updated_at"))
    except Unreadable:
        return ""


_LISTED: Mapping[str, Reads] = {"orders": "order", "customers": "customer"}
"""What the rows of a list are, where they are about somebody."""

_EVENTS: Mapping[Reads, Callable[[Resource, str, ShopifyConnection, int], list[Event]]] = {
    "checkout": lambda body, topic, connection, _: checkout_events(
        body, connection, is_new=topic == "checkouts/create"
    ),
    "customer": lambda body, topic, connection, _: customer_events(
        body, connection, is_new=topic == "customers/create"
    ),
    "consent": lambda body, _topic, connection, _now: consent_events(body, connection),
    "erasure": lambda body, _topic, connection, now: erasure_events(body, connection, now),
    "copy": lambda body, _topic, connection, now: copy_events(body, connection, now),
}
"""What needs nothing but the body; the others ask for an order, or remember one."""
