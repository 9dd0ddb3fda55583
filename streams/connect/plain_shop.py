"""A shop of somebody's own making, whose makers answer three lists in our own words.

    GET URL/orders?after=CURSOR            Authorization: Bearer KEY
    {"rows": […], "cursor": "…", "more": false}

`cursor` is the shop's own affair, and comes back as `after`. The first time `since` says since when
(RFC 3339), and with neither all there is is meant. A row comes whole again when anything of it has
changed; times that are in it say what has happened (docs/connect-plain.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from schemas.events import Event
from schemas.failures import Failure
from schemas.instant import to_rfc3339
from schemas.secret_reference import SecretReference
from schemas.wire import checked_product
from streams.clock import Clock
from streams.connect.connection import HttpsUrl, ShopConnection
from streams.connect.connector import (
    DeliveryAnswer,
    ShopConnector,
    ShopDelivery,
    ShopNews,
    ShopPage,
    ShopUnavailable,
)
from streams.connect.fact_source import FactSource
from streams.connect.facts import content_digest, fact, source_of
from streams.connect.json_fields import Row, flag, text
from streams.connect.resources import id_of, needed_time, objects, time_of
from streams.connect.row_news import RowsOf, fed, told
from streams.connect.shop_api import ShopApi
from streams.connect.webhook_bodies import read_body
from streams.operate.check import Check, CheckStatus
from streams.settings.secret_references import SecretsInUse

ORDER = ("order_number", "email", "total", "subtotal", "shipping", "tax", "discount", "coupon",
         "currency", "payment_method", "order_url", "products")  # fmt: skip
PARCEL = ("carrier", "tracking_number", "tracking_url")
PERSON = ("email", "first_name", "last_name", "phone", "birthday", "locale", "zone", "city",
          "country")  # fmt: skip
CURSOR_CHARACTERS = 1_000


class PlainShopConnection(ShopConnection):
    """A shop that answers lists."""

    kind: Literal["plain"]
    url: HttpsUrl
    """Below which the lists are: `https://negozio.example.it/ritorno`."""
    key: SecretReference

    @property
    def host(self) -> str:
        """The shop's host."""
        return urlsplit(self.url).hostname or ""


class PlainShop(ShopConnector):
    """One shop, which is asked and sends nothing."""

    resources = ("customers", "orders", "products")

    def __init__(
        self, connection: PlainShopConnection, clock: Clock, *, api: ShopApi | None = None
    ) -> None:
        """Raises SettingsError for a key that can't be read. `api`: for tests to replace."""
        super().__init__(connection)
        self._clock = clock
        self._key = SecretsInUse([connection.key])
        self._api = api or ShopApi(connection.url, self._headers)
        self._shop = FactSource(
            source=source_of(connection.kind, connection.host),
            url=connection.url,
            prefix=connection.customer_prefix,
        )

    @property
    def has_receiver(self) -> bool:
        """It sends nothing."""
        return False

    async def receive(self, delivery: ShopDelivery) -> DeliveryAnswer:
        """Believe nothing."""
        del delivery
        return DeliveryAnswer("unsigned")

    async def changed(
        self, resource: str, cursor: str, *, since: int, now: int
    ) -> AsyncIterator[ShopPage]:
        """Yield what has changed. Raises ShopUnavailable, ShopRefuses."""
        del now
        first = {"after": cursor} if cursor else {"since": to_rfc3339(since)}
        async for page in self._pages(resource, first):
            yield page

    async def history(self, resource: str, cursor: str) -> AsyncIterator[ShopPage]:
        """Yield all there is. Raises ShopUnavailable, ShopRefuses."""
        async for page in self._pages(resource, {"after": cursor} if cursor else {}):
            yield page

    async def read_again(self, resource: str, body: bytes, *, time: int, history: bool) -> ShopNews:
        """Read a row that could not be understood when it came. Raises Unreadable."""
        del time, history  # a row tells the same whenever it is read
        return self._news(resource, [read_body(body)])

    async def receive_again(self, topic: str, body: bytes, *, time: int) -> ShopNews | None:
        """It sends nothing."""
        del topic, body, time
        return None

    async def setup(self) -> Sequence[Check]:
        """Say what there is: there is nothing to make."""
        return await self.check()

    async def check(self) -> Sequence[Check]:
        """Ask for each list."""
        query = {"since": to_rfc3339(self._clock.now())}
        return [await self._checked(resource, query) for resource in self.resources]

    async def close(self) -> None:
        """Hang up."""
        await super().close()
        await self._api.close()

    async def _checked(self, resource: str, query: Mapping[str, str]) -> Check:
        try:
            (await self._api.get(resource, query)).rows("rows")
        except Failure as error:
            return Check(resource, CheckStatus.FAIL, str(error))
        return Check(resource, CheckStatus.OK, "a list")

    async def _pages(self, resource: str, query: dict[str, str]) -> AsyncIterator[ShopPage]:
        while True:
            answer = await self._api.get(resource, query)
            rows = answer.rows("rows")
            cursor = text(answer.body, "cursor")[:CURSOR_CHARACTERS] or query.get("after", "")
            yield ShopPage(self._news(resource, rows), cursor, len(rows))
            if not flag(answer.body, "more"):
                return
            if cursor == query.get("after", ""):
                problem = f"GET {resource}: there is said to be more behind the same cursor"
                raise ShopUnavailable(problem)
            query = {"after": cursor}

    def _news(self, resource: str, rows: Sequence[Row]) -> ShopNews:
        match resource:
            case "customers":
                return told(rows, lambda row: list(self._of_customer(row)), self._rows_of("id"))
            case "orders":
                rows_of = self._rows_of("customer", "orders")
                return told(rows, lambda row: list(self._of_order(row)), rows_of)
        source = self._shop.source
        return fed(
            rows, lambda row: checked_product(dict(row), source=source)[0], RowsOf("products")
        )

    def _rows_of(self, customer: str, resource: str = "customers") -> RowsOf:
        return RowsOf(resource, lambda row: self._shop.key(text(row, customer), text(row, "email")))

    def _of_customer(self, row: Row) -> Iterator[Event]:
        id_ = id_of(row)
        subject = self._shop.subject(id_, text(row, "email"))
        assert subject is not None  # there is an id
        person, joined = _said(row, PERSON), needed_time(row, "joined")
        yield self._shop.event(
            "customer.created", fact("customer", id_, "created"), joined, subject, person
        )
        if changed := time_of(row, "changed"):
            updated = fact("customer", id_, "updated", to_rfc3339(changed), content_digest(person))
            yield self._shop.event("customer.updated", updated, changed, subject, person)
        purpose = {"purpose": "marketing", "source": "plain"}
        for name, type_ in (("consented", "consent.given"), ("withdrawn", "consent.withdrawn")):
            if time := time_of(row, name):
                statement = fact("customer", id_, name, to_rfc3339(time))
                yield self._shop.event(type_, statement, time, subject, purpose)

    def _of_order(self, row: Row) -> Iterator[Event]:
        id_, placed = id_of(row), needed_time(row, "placed")
        subject = self._shop.subject(row.get("customer"), text(row, "email"))
        if subject is None:
            return  # of the till, and nobody's
        order = {"currency": self.connection.currency, **_said(row, ORDER), "order_id": id_}
        yield self._shop.event(
            "order.completed", fact("order", id_, "completed"), placed, subject, order
        )
        if changed := time_of(row, "changed"):
            updated = fact("order", id_, "updated", to_rfc3339(changed), content_digest(order))
            yield self._shop.event("order.updated", updated, changed, subject, order)
        for name in ("shipped", "delivered", "cancelled"):
            if time := time_of(row, name):
                data = {"order_id": id_, **(_said(row, PARCEL) if name != "cancelled" else {})}
                yield self._shop.event(
                    f"order.{name}", fact("order", id_, name), time, subject, data
                )
        for refund in objects(row, "refunds"):
            refund_id, time = id_of(refund), needed_time(refund, "time")
            data = {"order_id": id_, "refund_id": refund_id, **_said(refund, ("amount", "reason"))}
            yield self._shop.event("order.refunded", fact("refund", refund_id), time, subject, data)

    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._key.get()[0].get_secret_value()}"}


def connector(connection: ShopConnection, clock: Clock) -> PlainShop:
    """Return what talks to the shop of a connection. Raises SettingsError."""
    assert isinstance(connection, PlainShopConnection)
    return PlainShop(connection, clock)


def _said(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names if row.get(name) not in (None, "")}
