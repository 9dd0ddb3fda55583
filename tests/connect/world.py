"""A machine with an embedded log, on which shops are connected: receive, poll, back-fill, read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from schemas.events import Event
from schemas.records import Record
from schemas.signing import RecordSigner
from schemas.wire import parse_record
from streams.clock import VirtualClock
from streams.connect.connection import ShopConnection
from streams.connect.connector import ShopConnector
from streams.connect.counts import ShopCounts
from streams.connect.deliveries import LastDeliveries
from streams.connect.news_sink import NewsSink
from streams.connect.polling import Beginnings, Polling
from streams.connect.receivers import ShopReceivers
from streams.connect.shopify.connector import Shopify
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.woocommerce.connector import WooCommerce
from streams.connect.woocommerce.settings import WooCommerceConnection
from streams.http.ingest.intake import Intake
from streams.log import LogUnavailable, scan
from streams.runtime import product_feed
from streams.runtime.factories import record_signer
from streams.runtime.logs.embedded import EmbeddedLog
from streams.settings.loading import load_settings
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS, topics
from tests.connect.shapes import SHOP
from tests.connect.standins import ShopifyStandin, WooStandin
from tests.harness import START

HOUR_MS = 3_600_000


async def no_pause(_seconds: float) -> None:
    """Go on at once."""


class World:
    """What there is besides the shops."""

    def __init__(self, directory: Path, log: EmbeddedLog, clock: VirtualClock) -> None:
        self.directory, self.log, self.clock = directory, log, clock
        settings = load_settings(data_dir=directory)
        self.signer: RecordSigner = record_signer(settings)
        self.intake = Intake(log)
        self.sink = NewsSink(log, self.intake, clock=clock, signer=lambda: self.signer)
        self.counts = ShopCounts(["negozio"])
        self.pauses: list[float] = []
        self._connectors: list[ShopConnector] = []
        self._servers: list[TestServer] = []

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def shopify(self, shop: ShopifyStandin, **fields: Any) -> Shopify:
        """Connect a Shopify shop."""
        connection = ShopifyConnection.model_validate(
            {"name": "negozio", "kind": "shopify", "shop": SHOP, "secret": "env:SHOP_SECRET",
             "token": "env:SHOP_TOKEN", "api_url": shop.url, **fields}
        )  # fmt: skip
        found = Shopify(connection, self.clock, pause=self._pause)
        self._connectors.append(found)
        return found

    def woo(self, shop: WooStandin, **fields: Any) -> WooCommerce:
        """Connect a WooCommerce shop."""
        connection = WooCommerceConnection.model_validate(
            {"name": "negozio", "kind": "woocommerce", "url": "https://negozio.example.it",
             "secret": "env:WOO_SECRET", "consumer_key": "env:WOO_KEY",
             "consumer_secret": "env:WOO_CONSUMER", "api_url": shop.url, **fields}
        )  # fmt: skip
        found = WooCommerce(connection, self.clock, pause=self._pause)
        self._connectors.append(found)
        return found

    async def endpoint(self, connector: ShopConnector) -> str:
        """Open the port; return where the shop's endpoint is."""
        receivers = ShopReceivers(
            [connector], self.sink, clock=self.clock, counts=self.counts,
            last=LastDeliveries(self.directory), began=Beginnings(self.directory, self.clock).of,
        )  # fmt: skip
        application = web.Application(client_max_size=1 << 20)
        receivers.mount(application.router)
        server = TestServer(application)
        await server.start_server()
        self._servers.append(server)
        return str(server.make_url(f"/connect/{connector.connection.name}"))

    def polling(self, *connectors: ShopConnector) -> Polling:
        """Return who polls."""
        return Polling(
            connectors, self.sink, clock=self.clock, data_dir=self.directory,
            counts=self.counts, chance=lambda: 0.0,
        )  # fmt: skip

    def break_log(self) -> None:
        """Have the log take nothing any more."""

        async def append(*_: Any) -> int:
            raise LogUnavailable("the broker is away")

        self.log.append = append  # type: ignore[method-assign]

    def mend_log(self) -> None:
        """Have it take records again."""
        del self.log.append  # type: ignore[attr-defined]

    async def records(self, topic: str = CUSTOMER_EVENTS) -> list[Record]:
        """Return all records of a topic that have a key, or are letters."""
        found = [record async for record in scan(self.log, topic)]
        return found if topic == DEAD_LETTERS else [each for each in found if each.key]

    async def events(self) -> list[Event]:
        """Return the events in the log, in the order of their times and ids."""
        found = [parse_record(each) for each in await self.records()]
        return sorted(found, key=lambda each: (each.time or 0, each.id))

    async def ids(self) -> list[str]:
        """Return the ids of the events, each once."""
        return sorted({each.id for each in await self.events()})

    async def products(self) -> dict[str, Any]:
        """Return the feed."""
        return dict(await product_feed.read(self.log))

    async def close(self) -> None:
        for server in self._servers:
            await server.close()
        for connector in self._connectors:
            await connector.close()
        await self.sink.stop()
        await self.intake.stop()


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[World]:
    """Open a log with one partition of events; it is `tests.harness.START` plus an hour."""
    clock = VirtualClock(START + HOUR_MS)
    log = EmbeddedLog(directory / "log", clock)
    await log.start()
    await log.create_topics(topics(1))
    world = World(directory, log, clock)
    try:
        yield world
    finally:
        await world.close()
        await log.stop()


__all__ = ["START", "ShopConnection", "World", "opened"]
