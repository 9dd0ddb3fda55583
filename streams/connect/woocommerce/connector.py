"""A WooCommerce shop: what it sends, and what it is asked for.

WooCommerce sends each webhook once. What was missed polls bring, which read what was modified in
the order of time: a page begins at the second of the last one's last row, so an order that is
changed meanwhile, and so moves to the end, has nobody passed over.
"""

from __future__ import annotations

import base64
import html
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from schemas.events import Event
from schemas.instant import parse_instant, to_datetime, to_rfc3339
from schemas.time_units import HOUR_MS, MINUTE_MS
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
    not_asked,
)
from streams.connect.json_fields import whole
from streams.connect.polled_connector import id_in
from streams.connect.resources import Resource, id_of, objects, text
from streams.connect.row_news import RowsOf, unread
from streams.connect.shop_api import Pause, ShopAnswer, ShopApi
from streams.connect.shopify.checks import clock as clock_check
from streams.connect.signatures import is_signed_base64, sign_base64
from streams.connect.webhook_bodies import answer_of, read_body
from streams.connect.woocommerce import consents, webhooks
from streams.connect.woocommerce.customers import customer_events, customer_key
from streams.connect.woocommerce.orders import order_events, order_key, paid_at
from streams.connect.woocommerce.products import product_of
from streams.connect.woocommerce.settings import WooCommerceConnection
from streams.connect.woocommerce.values import utc
from streams.operate.check import Check, CheckStatus
from streams.settings.secret_references import SecretsInUse

SIGNATURE, TOPIC = "X-WC-Webhook-Signature", "X-WC-Webhook-Topic"

PER_PAGE = 100
"""As many as WooCommerce gives."""
OVERLAP_MS = 2 * MINUTE_MS
MOST_SAME_SECOND = 500
"""Pages of rows that were all changed in one second: a price rule for 50,000 products."""
LOOK_UP_SECONDS = 5.0
"""For asking when a refund was made, within a webhook, which has a minute."""
REFUNDS_REMEMBERED = 20_000
CONSENTS_MS = 6 * HOUR_MS
"""Between two looks at what all customers have ticked: the shop doesn't tell who was changed."""
CONSENTS = "consents"
"""What is read then."""

_PING = b"webhook_id="


def connector(
    connection: WooCommerceConnection, clock: Clock, *, pause: Pause | None = None
) -> WooCommerce:
    """Return what talks to a shop. Raises SettingsError for a secret that can't be read."""
    return WooCommerce(connection, clock, pause=pause)


class WooCommerce(ShopConnector):
    """One shop."""

    resources: Sequence[str] = ("products", "customers", "orders")
    connection: WooCommerceConnection

    def __init__(
        self, connection: WooCommerceConnection, clock: Clock, *, pause: Pause | None = None
    ) -> None:
        super().__init__(connection)
        self.connection = connection
        self._secrets = SecretsInUse(connection.secret)
        keys = (connection.consumer_key, connection.consumer_secret)
        self._keys = [SecretsInUse([each]) for each in keys if each is not None]
        given: dict[str, Any] = {} if pause is None else {"pause": pause}
        base = connection.api_url or connection.url
        self.api = ShopApi(f"{base}/wp-json/wc/v3", self._authorization, **given)
        self.api.now = clock.now
        self._refunded_at: OrderedDict[str, int] = OrderedDict()
        if connection.consent_meta:
            self.resources = (*self.resources, CONSENTS)

    @property
    def can_ask(self) -> bool:
        """Whether there is a REST key."""
        return len(self._keys) == 2  # its two halves

    async def close(self) -> None:
        """Hang up."""
        await super().close()
        await self.api.close()

    def _authorization(self) -> Mapping[str, str]:
        if not self.can_ask:
            raise ShopRefuses("The connection has no REST key, so the shop can't be asked")
        key, secret = (each.get()[0].get_secret_value() for each in self._keys)
        basic = base64.b64encode(f"{key}:{secret}".encode()).decode()
        return {"Authorization": f"Basic {basic}"}

    # Webhooks.

    async def receive(self, delivery: ShopDelivery) -> DeliveryAnswer:
        """Read a webhook. Raises ShopUnavailable."""
        headers, body = delivery.headers, delivery.body
        topic = headers.get(TOPIC, "")[:100].lower()
        if _is_ping(topic, headers, body):
            return DeliveryAnswer("ignored", topic="ping", verified=False)
        if not is_signed_base64(body, headers.get(SIGNATURE, ""), self._signing()):
            return DeliveryAnswer("unsigned")
        whose = partial(self._key, topic.partition(".")[0])
        return await answer_of(delivery, topic, partial(self._read, topic), whose)

    async def receive_again(self, topic: str, body: bytes, *, time: int) -> ShopNews | None:
        """Read a webhook that could not be understood when it came. Raises Unreadable,
        ShopUnavailable."""
        del time  # nothing that a webhook tells is of when it came
        return await self._read(topic, read_body(body))

    def _key(self, about: str, resource: Resource) -> bytes | None:
        """Return the key of whom a resource is about that can't be read."""
        if about in ("order", "orders"):
            return order_key(resource, self.connection)
        if about in ("customer", "customers"):
            return customer_key(resource, self.connection)
        return None

    def _signing(self) -> list[bytes]:
        """Return what may have signed: WordPress signs with the secret as it is once entities are
        read (`&amp;`), and it may have been typed in either form."""
        secrets = [each.get_secret_value() for each in self._secrets.get()]
        both = [form for each in secrets for form in (each, html.unescape(each))]
        return [each.encode() for each in dict.fromkeys(both)]

    async def _read(self, topic: str, resource: Resource) -> ShopNews | None:
        """Return what a webhook tells, None where it is nothing of ours. Raises Unreadable,
        ShopUnavailable."""
        about, _, what = topic.partition(".")
        news, is_there = ShopNews(), what in ("created", "updated", "restored")
        if about == "product" and what == "deleted":
            news.gone = [id_of(resource)]
        elif about == "product" and is_there:
            found = product_of(resource, self.connection)
            news.products = [] if found is None else [found]
        elif about == "order" and is_there:
            news.events = await self._of_order(resource, seconds=LOOK_UP_SECONDS)
            news.became = paid_at(resource)
        elif about == "customer" and is_there:
            # What an account has ticked since it was made, and when, is found out by polls.
            is_new = what == "created"
            news.events = customer_events(
                resource, self.connection, is_new=is_new, with_consent=is_new or not self.can_ask
            )
        else:
            return None
        return news

    async def _of_order(
        self, order: Resource, *, with_update: bool = True, seconds: float | None = None
    ) -> list[Event]:
        refunded_at = await self._times_of_refunds(order, seconds)
        return order_events(
            order, self.connection, with_update=with_update, refunded_at=refunded_at
        )

    async def _times_of_refunds(self, order: Resource, seconds: float | None) -> Mapping[str, int]:
        """Return when the refunds of an order were made, ms by id, as far as that can be found
        out: an order has none of it. Raises Unreadable, ShopUnavailable."""
        ids = [text(each, "id") for each in objects(order, "refunds")]
        if not ids or not self.can_ask:
            return {}
        if any(each not in self._refunded_at for each in ids):
            try:
                answer = await self.api.ask(
                    "GET",
                    f"orders/{id_of(order)}/refunds",
                    query={"per_page": "100"},
                    seconds=seconds,
                )
            except ShopRefuses:  # an order that is no more, or a right that is missing
                return {}
            for each in answer.rows():
                time = utc(each, "date_created")
                if time is not None:
                    self._refunded_at[text(each, "id")] = time
            while len(self._refunded_at) > REFUNDS_REMEMBERED:
                self._refunded_at.popitem(last=False)
        return {each: self._refunded_at[each] for each in ids if each in self._refunded_at}

    # Asking.

    async def changed(
        self, resource: str, cursor: str, *, since: int, now: int
    ) -> AsyncIterator[ShopPage]:
        """Yield what was modified since; of customers those who are new, since the shop tells no
        more."""
        if resource == CONSENTS:
            async for page in self._consents(cursor, now):
                yield page
            return
        start = parse_instant(cursor) - OVERLAP_MS if cursor else since
        if resource == "customers":
            async for page in self._new_customers(cursor, start, now):
                yield page
            return
        latest = cursor or to_rfc3339(start)
        async for rows, _ in self._by_time(resource, "modified", start):
            for row in rows:
                latest = max(latest, min(_time(row, "date_modified"), to_rfc3339(now)))
            yield await self._page(resource, rows, latest, with_update=True)

    async def history(self, resource: str, cursor: str) -> AsyncIterator[ShopPage]:
        """Yield all there is, the oldest first."""
        if resource == CONSENTS:
            return  # customers tell it
        if resource == "customers":
            first = int(cursor) if cursor.isascii() and cursor.isdigit() else 1
            async for rows, page, total in self._numbered("customers", first, "registered_date"):
                found = await self._page(resource, rows, str(page + 1), with_update=False)
                yield found._replace(total=total if not cursor else None)
            return
        start = parse_instant(cursor) - 1_000 if cursor else 0
        latest = cursor
        async for rows, total in self._by_time(resource, "date", start):
            for row in rows:
                latest = max(latest, _time(row, "date_created"))
            page_ = await self._page(resource, rows, latest, with_update=False)
            yield page_._replace(total=total if not cursor else None)

    async def _by_time(
        self, resource: str, by: str, start: int
    ) -> AsyncIterator[tuple[Sequence[Resource], int | None]]:
        """Yield rows in the order of time from `start` (ms) on, each once, with how many there are
        in all. `by`: `modified`, or `date` of creation."""
        field, after = (
            ("date_modified", "modified_after") if by == "modified" else ("date_created", "after")
        )
        seen: set[str] = set()
        page, total = 1, None
        while True:
            query = {
                "orderby": by,
                "order": "asc",
                "per_page": str(PER_PAGE),
                "page": str(page),
                "dates_are_gmt": "true",
            }
            if start:
                query[after] = _written(start - 1_000)  # what is asked for is later than that
            if resource == "orders":
                query["status"] = "any"
            answer = await self.api.get(resource, query)
            rows = answer.rows()
            total = answer.number("X-WP-Total") if total is None else total
            unread = [row for row in rows if _known_by(row) not in seen]
            if unread:
                yield unread, total
            if not rows or _is_last(page, rows, answer):
                return
            last = _time(rows[-1], field)
            moved = parse_instant(last) if last else start
            if moved > start:
                start, page = moved, 1
                seen = {_known_by(row) for row in rows}
            else:  # a second, or times that nobody has written, fill the whole page
                page += 1
                seen |= {_known_by(row) for row in rows}
                if page > MOST_SAME_SECOND:
                    raise ShopUnavailable(f"GET {resource}: {page} pages of one second")

    async def _new_customers(self, cursor: str, start: int, now: int) -> AsyncIterator[ShopPage]:
        latest = cursor or to_rfc3339(start)
        async for rows, _, _ in self._numbered("customers", 1, "registered_date", newest=True):
            times = [_time(row, "date_created") for row in rows]
            new = [row for row, time in zip(rows, times, strict=True) if time >= to_rfc3339(start)]
            latest = max([latest, *(min(time, to_rfc3339(now)) for time in times)])
            # The newest come first, so the cursor may move only behind the last page.
            yield await self._page("customers", new, cursor, with_update=True)
            if len(new) < len(rows):
                break
        yield ShopPage(ShopNews(), latest, 0)

    async def _consents(self, cursor: str, now: int) -> AsyncIterator[ShopPage]:
        """Yield what customers have ticked, or not any more, since they were looked at last, when
        that is due. A change counts from this look (`now`), since nobody says when it was made."""
        began, _, number = cursor.partition(":")
        if number == "end" and now - id_in(began) < CONSENTS_MS:
            return
        if number in ("", "end"):
            began, number = str(now), "1"
        async for rows, page, _ in self._numbered("customers", id_in(number), "registered_date"):
            ids = [whole(row, "id") for row in rows]
            before, news = self.memory.subscribed(ids), ShopNews()
            for id_, row in zip(ids, rows, strict=True):
                ticked = consents.ticked(row, self.connection)
                if ticked is None or ticked == before.get(id_):
                    continue
                try:
                    news.events += consents.changed(
                        row, self.connection, now=now, ticked=ticked, before=before.get(id_)
                    )
                except Unreadable:
                    continue  # the customer can't be read, which is told elsewhere
                news.notes.subscribed[id_] = ticked
            yield ShopPage(news, f"{began}:{page + 1}", len(rows))
        yield ShopPage(ShopNews(), f"{began}:end", 0)

    async def _numbered(
        self, resource: str, page: int, by: str, *, newest: bool = False
    ) -> AsyncIterator[tuple[Sequence[Resource], int, int | None]]:
        """Yield page after page by number, with that and how many rows there are in all."""
        before: list[dict[str, Any]] = []
        while True:
            query = {
                "orderby": by,
                "order": "desc" if newest else "asc",
                "per_page": str(PER_PAGE),
                "page": str(page),
                "role": "all",
            }
            answer = await self.api.get(resource, query)
            rows = answer.rows()
            if rows and rows == before:
                raise ShopUnavailable(f"GET {resource}: page {page} is the one before it")
            yield rows, page, answer.number("X-WP-Total")
            if _is_last(page, rows, answer):
                return
            page, before = page + 1, rows

    async def _page(
        self, resource: str, rows: Sequence[Resource], cursor: str, *, with_update: bool
    ) -> ShopPage:
        news, rows_of = ShopNews(), RowsOf(resource, partial(self._key, resource))
        for row in rows:
            try:
                await self._add(news, resource, row, with_update=with_update)
            except Unreadable as error:
                news.unread.append(unread(row, error, rows_of))
        return ShopPage(news, cursor, len(rows))

    async def read_again(self, resource: str, body: bytes, *, time: int, history: bool) -> ShopNews:
        """Read a row that could not be understood when it came. Raises Unreadable,
        ShopUnavailable."""
        del time  # nothing that a row tells is of when it came
        page = await self._page(resource, [read_body(body)], "", with_update=not history)
        return page.news

    async def _add(
        self, news: ShopNews, resource: str, row: Resource, *, with_update: bool
    ) -> None:
        if resource == "products":
            found = product_of(row, self.connection)
            news.products += [] if found is None else [found]
        elif resource == "customers":
            ticked = consents.ticked(row, self.connection)
            # The newest accounts are read again and again: what they tick by then is a change.
            is_known = with_update and bool(self.memory.subscribed([whole(row, "id")]))
            news.events += customer_events(
                row, self.connection, is_new=with_update, with_consent=not is_known
            )
            if ticked is not None:
                news.notes.seen[whole(row, "id")] = ticked
        else:
            events = await self._of_order(row, with_update=with_update)
            news.passed_over += not events
            news.events += events
            news.became |= paid_at(row)

    # For a person.

    async def setup(self) -> Sequence[Check]:
        """See that all webhooks are there and on."""
        secret = self._secrets.get()[0].get_secret_value()
        return await webhooks.subscribe(self.api, self.connection, secret)

    async def check(self) -> Sequence[Check]:
        """Look at the key, the clock and the webhooks."""
        if not self.can_ask:
            remedy = "consumer_key and consumer_secret in connections.yaml"
            why = "there is none: what a webhook misses is lost"
            return [Check("REST key", CheckStatus.FAIL, why, remedy)]
        found: list[Check] = []
        try:
            for resource in ("orders", "customers", "products"):
                await self.api.get(resource, {"per_page": "1"})
                found.append(Check(f"read {resource}", CheckStatus.OK, "allowed"))
            found.append(clock_check(self.api.skew_ms))
            found += await self.setup()
        except (ShopRefuses, ShopUnavailable) as error:
            found.append(not_asked(self.connection, error, "consumer_key"))
        return found

    def self_test(self, body: bytes) -> Mapping[str, str] | None:
        """Return the headers of a webhook that is signed as the shop would."""
        secret = html.unescape(self._secrets.get()[0].get_secret_value())
        return {
            SIGNATURE: sign_base64(body, secret.encode()),
            TOPIC: "action.ritorno_test",
            "Content-Type": "application/json",
        }


def _is_last(page: int, rows: Sequence[Resource], answer: ShopAnswer) -> bool:
    """Whether a page is the last one: as the shop says, else by its being shorter than asked for
    (proxies and plugins take headers away)."""
    pages = answer.number("X-WP-TotalPages")
    return len(rows) < PER_PAGE if pages is None else page >= pages


def _is_ping(topic: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether it is what the shop sends when a webhook is saved: `webhook_id=7`, without a topic
    and a signature. It says nothing, so nobody needs to have signed it."""
    number = body.removeprefix(_PING)
    return (
        not topic
        and SIGNATURE not in headers
        and body.startswith(_PING)
        and number.isdigit()
        and len(number) <= 20
    )


def _known_by(row: Resource) -> str:
    """Return what tells a row, as it is now, from others."""
    return f"{text(row, 'id')}@{text(row, 'date_modified_gmt')}"


def _time(row: Resource, name: str) -> str:
    """Return a time of a row in UTC, so that texts sort as times do; empty where there is none."""
    try:
        found = utc(row, name)
    except Unreadable:
        return ""
    return "" if found is None else to_rfc3339(found)


def _written(instant: int) -> str:
    """Return a time as WooCommerce is asked for it: in UTC and without a zone."""
    return to_datetime(instant).replace(tzinfo=None).isoformat(timespec="seconds")
