"""What talks to a PrestaShop."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from schemas.time_units import HOUR_MS, MINUTE_MS
from schemas.validation import Unreadable
from streams.clock import Clock
from streams.connect.connection import ShopConnection
from streams.connect.connector import (
    SELF_TEST,
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
from streams.connect.json_fields import text
from streams.connect.keyset import Keyset
from streams.connect.polled_connector import Before, PolledConnector, RowsPage
from streams.connect.prestashop.reading import PrestaShopReading, read_shop
from streams.connect.prestashop.receiver import (
    NEWSLETTER,
    SIGNATURE,
    TIMESTAMP,
    Push,
    facts_of_sign_up,
    read_push,
)
from streams.connect.prestashop.settings import PrestaShopConnection
from streams.connect.prestashop.web_service import (
    NEEDED,
    USEFUL,
    WebService,
    authorization,
    between,
    one_of,
)
from streams.connect.row_news import RowsOf, told
from streams.connect.shop_api import ShopApi
from streams.connect.signatures import is_signed_timestamped
from streams.connect.walk import begin, places
from streams.connect.webhook_bodies import read_body
from streams.operate.check import Check, CheckStatus
from streams.settings.secret_references import SecretsInUse

PAGE = 100
"""Rows of a poll's page, so that little is read again after a crash."""
HISTORY_PAGE = 250
LAST_ID = 4_294_967_295
"""PrestaShop's ids are of 32 bits."""
KNOWN_MS = HOUR_MS
"""After which states, currencies and languages are asked for again."""
AHEAD_MS = MINUTE_MS
"""By how much a row may be dated after it was asked for."""
PUSH_SECONDS = 8.0
"""In which a push is read and answered; the port gives a request ten."""


class PrestaShopConnector(PolledConnector):
    """One shop."""

    def __init__(
        self, connection: PrestaShopConnection, clock: Clock, api: ShopApi | None = None
    ) -> None:
        """Raises SettingsError for a secret that can't be read. `api`: for tests to replace."""
        super().__init__(connection)
        self._shop_connection = connection
        self._clock = clock
        self._key = SecretsInUse([connection.key])
        self._secrets = SecretsInUse(connection.secret) if connection.secret else None
        self._api = api or ShopApi(f"{connection.url}/api", self._headers)
        self._api.now = clock.now
        self._service = WebService(self._api)
        self._reading: PrestaShopReading | None = None
        self._read_at = 0
        self.resources = connection.resources()

    @property
    def has_receiver(self) -> bool:
        """Whether there is a secret with which a module signs."""
        return self._secrets is not None

    async def receive(self, delivery: ShopDelivery) -> DeliveryAnswer:
        """Read a push of the module's, and what it names of the shop. Raises ShopUnavailable."""
        if not self._is_signed(delivery):
            return DeliveryAnswer("unsigned")
        try:
            push = read_push(delivery.body)
        except Unreadable as why:
            unread = [UnreadResource(delivery.body, why)]  # objects without data are nobody's
            return DeliveryAnswer("unreadable", ShopNews(unread=unread), "push")
        if push.test:
            return DeliveryAnswer("tested", topic="test", body={SELF_TEST: push.test})
        try:
            async with asyncio.timeout(PUSH_SECONDS):
                reading = await self._known(delivery.received)
                if push.resource == NEWSLETTER:
                    news = _sign_ups(push.rows, reading)
                    is_read: DeliveryOutcome = "taken" if news.events else "unreadable"
                    return DeliveryAnswer(is_read, news, topic=NEWSLETTER)
                news = await self._pushed(push, reading, delivery.received)
        except TimeoutError:
            raise ShopUnavailable(f"{push.resource}: no answer within {PUSH_SECONDS} s") from None
        except ShopRefuses as error:
            raise ShopUnavailable(str(error)) from None  # once the key may, it is read
        outcome: DeliveryOutcome = "taken" if news.events or news.products else "passed_over"
        return DeliveryAnswer(outcome, news, topic=push.resource)

    async def read_again(self, resource: str, body: bytes, *, time: int, history: bool) -> ShopNews:
        """Read a row that could not be understood when it came. Raises Unreadable, ShopUnavailable,
        ShopRefuses."""
        row, reading = read_body(body), await self._known(self._clock.now())
        if resource == NEWSLETTER:
            return _sign_ups([row], reading)
        now = self._shop_time(time) + AHEAD_MS
        return await self._again(resource, row, reading, now=now, history=history)

    async def receive_again(self, topic: str, body: bytes, *, time: int) -> ShopNews | None:
        """Read a push that could not be understood when it came. Raises Unreadable,
        ShopUnavailable, ShopRefuses."""
        push, reading = read_push(body), await self._known(self._clock.now())
        if push.resource == NEWSLETTER:
            return _sign_ups(push.rows, reading)
        return None if push.test else await self._pushed(push, reading, time)

    async def changed(
        self, resource: str, cursor: str, *, since: int, now: int
    ) -> AsyncIterator[ShopPage]:
        """Yield what has changed. Raises ShopUnavailable, ShopRefuses."""
        reading = await self._known(now)
        if resource == "products":
            async for page in self._all_products(cursor, now):
                yield page
            return
        shop_now = self._shop_time(now)
        walk = begin(cursor, since=since, now=shop_now, zone=reading.shop.zone)

        async def read(keyset: Keyset) -> RowsPage:
            return await self._page(resource, _changed_query(keyset), PAGE)

        ahead = shop_now + AHEAD_MS
        async for page in self._changes(resource, walk, read, reading, now=ahead):
            yield page

    async def history(self, resource: str, cursor: str) -> AsyncIterator[ShopPage]:
        """Yield all there is, by id. Raises ShopUnavailable, ShopRefuses."""
        if resource in ("carts", "customer_threads"):
            return  # nobody is reminded of an old cart, or answered after a year
        now = self._clock.now()
        reading = await self._known(now)

        async def read(last: int) -> RowsPage:
            query = {
                "filter[id]": between(str(last + 1), str(LAST_ID)),
                "sort": "[id_ASC]",
                "limit": f"0,{HISTORY_PAGE}",
                **_besides(resource, reading),
            }
            return await self._page(resource, query, HISTORY_PAGE)

        ahead = self._shop_time(now) + AHEAD_MS
        async for page in self._all_by_id(resource, cursor, read, reading, now=ahead):
            yield page

    async def setup(self) -> Sequence[Check]:
        """Say what there is: nothing can be subscribed to. Raises ShopUnavailable, ShopRefuses."""
        await self._known(self._clock.now())
        return await self.check()

    async def check(self) -> Sequence[Check]:
        """Look at the key's rights, the shop's clock and the meaning of its states."""
        try:
            reading = await read_shop(self._service, self._shop_connection)
        except (ShopUnavailable, ShopRefuses) as error:
            check = not_asked(self.connection, error, "key")
            more = "; Advanced Parameters → Webservice: is it on?"
            return [replace(check, name="web service", remedy=check.remedy + more)]
        found = [Check("web service", CheckStatus.OK, f"{self._api.base} answers")]
        found += await self._rights()
        return [*found, self._clock_check(), self._zone_check(reading), _states_check(reading)]

    def self_test(self, body: bytes) -> Mapping[str, str] | None:
        """Return the headers with which the module would send `body`."""
        if self._secrets is None:
            return None
        timestamp = str(self._clock.now())
        secret = self._secrets.get()[0].get_secret_value().encode()
        digest = hmac.digest(secret, timestamp.encode() + b"." + body, "sha256").hex()
        return {TIMESTAMP: timestamp, SIGNATURE: f"sha256={digest}"}

    async def close(self) -> None:
        """Hang up."""
        await super().close()
        await self._api.close()

    async def _pushed(self, push: Push, reading: PrestaShopReading, received: int) -> ShopNews:
        """Return what the objects tell that a push names. Raises ShopUnavailable, ShopRefuses."""
        query = {"filter[id]": one_of(push.ids), **_besides(push.resource, reading)}
        found = await self._service.rows(push.resource, query)
        # A no to the newsletter is told by the poll, which knows whether it is a new one.
        before = Before(dict.fromkeys(push.ids, False), ())
        now = self._shop_time(received)
        return await reading.news(push.resource, found, now=now, before=before)

    async def _page(self, resource: str, query: Mapping[str, str], size: int) -> RowsPage:
        rows = await self._service.rows(resource, query)
        return RowsPage(rows, places(rows, "date_upd", "id"), len(rows) >= size)

    async def _known(self, now: int) -> PrestaShopReading:
        """Return what it takes to understand the shop's rows."""
        if self._reading is None or not 0 <= now - self._read_at < KNOWN_MS:
            self._reading = await read_shop(self._service, self._shop_connection)
            self._read_at = now
        return self._reading

    def _shop_time(self, now: int) -> int:
        """Return what the shop's clock says: its rows are dated by that."""
        return now + (self._api.skew_ms or 0)

    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": authorization(self._key.get()[0].get_secret_value())}

    def _is_signed(self, delivery: ShopDelivery) -> bool:
        if self._secrets is None:
            return False
        secrets = [each.get_secret_value().encode() for each in self._secrets.get()]
        headers = {name.lower(): value for name, value in delivery.headers.items()}
        return is_signed_timestamped(
            delivery.body,
            headers.get(SIGNATURE.lower(), ""),
            headers.get(TIMESTAMP.lower(), ""),
            secrets,
            now=delivery.received,
        )

    async def _rights(self) -> list[Check]:
        refused = []
        read = self._shop_connection.resources()
        asked = [each for each in (*NEEDED, *USEFUL) if each != "carts" or each in read]
        for resource in (*asked, *(("customer_threads",) if "customer_threads" in read else ())):
            await self._service.rows_if_allowed(resource, {"display": "[id]", "limit": "1"})
            if resource in self._service.refused:
                refused.append(resource)
        needed = [each for each in refused if each in NEEDED]
        if not refused:
            return [Check("rights of the key", CheckStatus.OK, "all that is read")]
        return [
            Check(
                "rights of the key",
                CheckStatus.FAIL if needed else CheckStatus.WARN,
                f"not allowed: {', '.join(refused)}",
                "Advanced Parameters → Webservice → the key: tick GET for these",
            )
        ]

    def _clock_check(self) -> Check:
        skew = self._api.skew_ms or 0
        status = CheckStatus.OK if abs(skew) < MINUTE_MS else CheckStatus.WARN
        return Check("clock", status, f"the shop's clock is {skew / 1000:+.0f} s from ours")

    def _zone_check(self, reading: PrestaShopReading) -> Check:
        zone = str(reading.shop.zone)
        if "PS_TIMEZONE" in reading.configured or self._shop_connection.zone is not None:
            return Check("zone", CheckStatus.OK, f"the shop's times are read as {zone}")
        return Check(
            "zone",
            CheckStatus.WARN,
            f"the shop's times are read as {zone}, which nobody has said",
            "give the key GET on configurations, or set zone",
        )


def connector(connection: ShopConnection, clock: Clock) -> PrestaShopConnector:
    """Return what talks to the shop of a connection. Raises SettingsError."""
    assert isinstance(connection, PrestaShopConnection)
    return PrestaShopConnector(connection, clock)


def _sign_ups(rows: Sequence[Mapping[str, object]], reading: PrestaShopReading) -> ShopNews:
    whose = RowsOf(NEWSLETTER, lambda row: reading.shop.key(0, text(row, "email")))
    return told(rows, lambda row: facts_of_sign_up(row, reading.shop), whose)


def _changed_query(keyset: Keyset) -> dict[str, str]:
    query = {"date": "1", "limit": f"0,{PAGE}"}
    if keyset.above is None:
        return {
            **query,
            "filter[date_upd]": between(keyset.since, keyset.until),
            "sort": "[date_upd_ASC,id_ASC]",
        }
    return {
        **query,
        "filter[date_upd]": between(keyset.since, keyset.since),
        "filter[id]": between(str(keyset.above + 1), str(LAST_ID)),
        "sort": "[id_ASC]",
    }


def _besides(resource: str, reading: PrestaShopReading) -> dict[str, str]:
    return reading.products_query() if resource == "products" else {}


def _states_check(reading: PrestaShopReading) -> Check:
    """Say which states are understood as what: where it is wrong, `states` of the connection."""
    found = {
        kind: sorted(id_ for id_, state in reading.shop.states.items() if getattr(state, kind))
        for kind in ("paid", "shipped", "delivered", "cancelled", "refunded")
    }
    said = "; ".join(f"{kind}: {', '.join(map(str, ids)) or 'none'}" for kind, ids in found.items())
    lacking = [kind for kind in ("paid", "cancelled") if not found[kind]]
    return Check(
        "order states",
        CheckStatus.WARN if lacking else CheckStatus.OK,
        said,
        f"no state means {' or '.join(lacking)}: name them in states" if lacking else "",
    )
