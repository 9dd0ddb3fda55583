"""What talks to a Magento."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC

from schemas.failures import Failure
from schemas.time_units import HOUR_MS, MINUTE_MS
from schemas.validation import Unreadable
from streams.clock import Clock
from streams.connect.connection import ShopConnection
from streams.connect.connector import (
    DeliveryAnswer,
    DeliveryOutcome,
    ShopDelivery,
    ShopNews,
    ShopPage,
    ShopRefuses,
    ShopUnavailable,
    UnreadResource,
    not_asked,
)
from streams.connect.facts import key_of
from streams.connect.json_fields import text, whole
from streams.connect.keyset import Keyset
from streams.connect.magento.adobe_keys import AdobeKeys, Fetch
from streams.connect.magento.io_events import CHALLENGE, Pushed, read_event, value_of
from streams.connect.magento.reading import MagentoReading, read_shop
from streams.connect.magento.rest import (
    ID_FIELDS,
    PATHS,
    Rest,
    changed_criteria,
    criteria,
    history_criteria,
)
from streams.connect.magento.settings import MagentoConnection
from streams.connect.polled_connector import PolledConnector, RowsPage
from streams.connect.shop_api import ShopApi
from streams.connect.walk import begin, places
from streams.connect.webhook_bodies import read_body
from streams.operate.check import Check, CheckStatus
from streams.settings.secret_references import SecretsInUse

PAGE = 100
HISTORY_PAGE = 250
KNOWN_MS = HOUR_MS
"""After which store views are asked for again."""
PUSH_SECONDS = 8.0
"""In which a push is read and answered; Adobe waits ten."""


class MagentoConnector(PolledConnector):
    """One shop."""

    def __init__(
        self,
        connection: MagentoConnection,
        clock: Clock,
        *,
        api: ShopApi | None = None,
        fetch_key: Fetch | None = None,
    ) -> None:
        """Raises SettingsError for a token that can't be read. `api`, `fetch_key`: for tests to
        replace."""
        super().__init__(connection)
        self._shop_connection = connection
        self._clock = clock
        self._token = SecretsInUse([connection.token]) if connection.token else None
        self._api = api or ShopApi(f"{connection.url}/rest/V1", self._headers)
        self._api.now = clock.now
        self._rest = Rest(self._api)
        self._keys = AdobeKeys(clock.now, fetch_key)
        self._reading: MagentoReading | None = None
        self._read_at = 0
        self.resources = connection.resources()

    @property
    def has_receiver(self) -> bool:
        """Whether Adobe's events are taken."""
        return bool(self._shop_connection.client_id)

    @property
    def can_ask(self) -> bool:
        """Whether there is a token."""
        return self._token is not None

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """Return what Adobe wants to have back when an endpoint is registered."""
        given = query.get("challenge", "")
        return given if self.has_receiver and CHALLENGE.fullmatch(given) else None

    async def receive(self, delivery: ShopDelivery) -> DeliveryAnswer:
        """Read an event of Adobe's. Raises ShopUnavailable: it is to be sent again."""
        headers = {name.lower(): value for name, value in delivery.headers.items()}
        client_id = self._shop_connection.client_id
        if not client_id or not await self._keys.is_signed(delivery.body, headers, client_id):
            return DeliveryAnswer("unsigned")
        try:
            pushed = read_event(delivery.body, client_id)
        except Unreadable as why:
            unread = UnreadResource(delivery.body, why, self._key(delivery.body))
            return DeliveryAnswer("unreadable", ShopNews(unread=[unread]), "event")
        if pushed is None:  # signed by Adobe, for somebody else
            return DeliveryAnswer("unsigned")
        if not pushed.resource:
            return DeliveryAnswer("ignored", topic=pushed.name)
        try:
            async with asyncio.timeout(PUSH_SECONDS):
                news = await self._told(pushed, delivery.received)
        except TimeoutError:
            raise ShopUnavailable(f"{pushed.name}: no answer within {PUSH_SECONDS} s") from None
        except ShopRefuses as error:
            raise ShopUnavailable(str(error)) from None  # once the token may, it is read
        if news is None:
            return DeliveryAnswer("ignored", topic=pushed.name)
        outcome: DeliveryOutcome = "taken" if news.events or news.products else "passed_over"
        if news.unread:
            outcome = "unreadable"
        return DeliveryAnswer(outcome, news, topic=pushed.name)

    async def changed(
        self, resource: str, cursor: str, *, since: int, now: int
    ) -> AsyncIterator[ShopPage]:
        """Yield what has changed. Raises ShopUnavailable, ShopRefuses."""
        reading = await self._known(now)
        if resource == "products":
            async for page in self._all_products(cursor, now):
                yield page
            return
        walk = begin(cursor, since=since, now=now + (self._api.skew_ms or 0), zone=UTC)

        async def read(keyset: Keyset) -> RowsPage:
            return await self._page(resource, changed_criteria(keyset, size=PAGE))

        async for page in self._changes(resource, walk, read, reading, now=now):
            yield page

    async def history(self, resource: str, cursor: str) -> AsyncIterator[ShopPage]:
        """Yield all there is, by id. Raises ShopUnavailable, ShopRefuses."""
        if resource == "carts":
            return  # nobody is reminded of an old cart
        now = self._clock.now()
        reading = await self._known(now)

        async def read(last: int) -> RowsPage:
            return await self._page(resource, history_criteria(last, size=HISTORY_PAGE))

        async for page in self._all_by_id(resource, cursor, read, reading, now=now):
            yield page

    async def read_again(self, resource: str, body: bytes, *, time: int, history: bool) -> ShopNews:
        """Read a row that could not be understood when it came. Raises Unreadable, ShopUnavailable,
        ShopRefuses."""
        row, reading = read_body(body), await self._known(self._clock.now())
        return await self._again(resource, row, reading, now=time, history=history)

    async def receive_again(self, topic: str, body: bytes, *, time: int) -> ShopNews | None:
        """Read an event that could not be understood when it came. Raises Unreadable,
        ShopUnavailable, ShopRefuses."""
        pushed = read_event(body, self._shop_connection.client_id)
        if pushed is None or not pushed.resource:
            return None
        return await self._told(pushed, time)

    async def setup(self) -> Sequence[Check]:
        """Say what there is, and what Adobe's console is to be told. Raises ShopUnavailable,
        ShopRefuses."""
        if self._token is not None:
            await self._known(self._clock.now())
        checks = list(await self.check())
        if self.has_receiver:
            callback = self.connection.callback or f"https://…/connect/{self.connection.name}"
            text = f"register {callback} in Adobe's developer console, delivery one by one"
            checks.append(Check("events", CheckStatus.OK, text))
        return checks

    async def check(self) -> Sequence[Check]:
        """Look at the token's rights and the shop's clock."""
        if self._token is None:
            text = "no token: only Adobe's events are taken, as far as each is whole"
            return [Check("rest", CheckStatus.WARN, text, "set token")]
        found, refused = [], []
        try:
            await read_shop(self._rest, self._shop_connection)
        except (ShopUnavailable, ShopRefuses) as error:
            return [replace(not_asked(self.connection, error, "token"), name="rest")]
        for resource in PATHS:
            try:
                await self._rest.search(resource, criteria([], [], size=1))
            except ShopRefuses as error:
                refused.append(resource)
                if "401" in str(error):
                    remedy = ("Is the token right, and are access tokens allowed as bearer tokens "
                              "(Stores → Configuration → Services → OAuth)?")  # fmt: skip
                    found = [Check("rest", CheckStatus.FAIL, str(error), remedy)]
            except Failure as error:
                return [Check("rest", CheckStatus.FAIL, str(error))]
        if not found:
            found = [Check("rest", CheckStatus.OK, f"{self._api.base} answers")]
        found.append(_rights(refused))
        skew = self._api.skew_ms or 0
        status = CheckStatus.OK if abs(skew) < MINUTE_MS else CheckStatus.WARN
        found.append(Check("clock", status, f"the shop's clock is {skew / 1000:+.0f} s from ours"))
        return found

    async def close(self) -> None:
        """Hang up."""
        await super().close()
        await self._api.close()

    def _key(self, body: bytes) -> bytes | None:
        """Return the key of whom an event is about that can't be read."""
        value, prefix = value_of(body), self.connection.customer_prefix
        addresses = (text(value, name) for name in ("customer_email", "subscriber_email", "email"))
        return key_of(whole(value, "customer_id"), *addresses, prefix=prefix)

    async def _told(self, pushed: Pushed, now: int) -> ShopNews | None:
        """Return what an event tells; None where only the shop could say, and can't be asked."""
        row = pushed.row
        if not row and self._token is None:
            return None
        reading = await self._known(now)
        if row:
            return await reading.news(pushed.resource, [row], now=now)
        by_id = criteria([("entity_id", "eq", str(pushed.id))], [], size=1)
        found = await self._rest.search(pushed.resource, by_id)
        return await reading.news(pushed.resource, found.rows, now=now)

    async def _page(self, resource: str, query: dict[str, str]) -> RowsPage:
        found = await self._rest.search(resource, query)
        row_places = places(found.rows, "updated_at", ID_FIELDS.get(resource, "entity_id"))
        return RowsPage(found.rows, row_places, found.has_more, found.total)

    async def _known(self, now: int) -> MagentoReading:
        """Return what it takes to understand the shop's rows."""
        if self._reading is None or not 0 <= now - self._read_at < KNOWN_MS:
            self._reading = await read_shop(self._rest, self._shop_connection)
            self._read_at = now
        return self._reading

    def _headers(self) -> Mapping[str, str]:
        if self._token is None:
            return {}
        return {"Authorization": f"Bearer {self._token.get()[0].get_secret_value()}"}


def connector(connection: ShopConnection, clock: Clock) -> MagentoConnector:
    """Return what talks to the shop of a connection. Raises SettingsError."""
    assert isinstance(connection, MagentoConnection)
    return MagentoConnector(connection, clock)


def _rights(refused: Sequence[str]) -> Check:
    if not refused:
        return Check("rights of the token", CheckStatus.OK, "all that is read")
    needed = {"orders", "customers"} & set(refused)
    return Check(
        "rights of the token",
        CheckStatus.FAIL if needed else CheckStatus.WARN,
        f"not allowed: {', '.join(refused)}",
        "System → Integrations → the integration → API: Sales, Customers, Catalog, Carts",
    )
