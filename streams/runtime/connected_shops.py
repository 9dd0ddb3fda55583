"""The shops of `connections.yaml`, as a worker or `ritorno ingest` has them: their endpoints, and
the polls for what webhooks have not told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from streams.clock import Clock
from streams.connect.connections import read_connections
from streams.connect.connector import ShopConnector
from streams.connect.counts import ShopCounts
from streams.connect.deliveries import LastDeliveries
from streams.connect.kinds import connector_of
from streams.connect.news_sink import EventIntake, NewsSink
from streams.connect.polling import Beginnings, Polling
from streams.connect.receivers import ShopReceivers
from streams.log import Log
from streams.runtime.factories import record_signer
from streams.settings import Settings


class ConnectedShops:
    """Those that are connected when it is made. `close` them."""

    def __init__(self, settings: Settings, *, log: Log, clock: Clock, intake: EventIntake) -> None:
        """Raises OperatorFileError, SettingsError."""
        self._settings = settings
        self._clock = clock
        self.connectors: Sequence[ShopConnector] = [
            connector_of(each, clock) for each in read_connections(settings)
        ]
        self.counts = ShopCounts(each.connection.name for each in self.connectors)
        self._sink = NewsSink(log, intake, clock=clock, signer=lambda: record_signer(settings))
        self._receivers = ShopReceivers(
            self.connectors,
            self._sink,
            clock=clock,
            counts=self.counts,
            last=LastDeliveries(settings.data_dir),
            began=Beginnings(settings.data_dir, clock).of,
        )

    def __bool__(self) -> bool:
        return bool(self.connectors)

    def mount(self, router: web.UrlDispatcher) -> None:
        """Add the endpoints."""
        if self.connectors:
            self._receivers.mount(router)

    def polling(self, is_ours: Callable[[], bool]) -> Polling:
        """Return who polls them; `is_ours`: whether this process is the one that does."""
        return Polling(
            self.connectors,
            self._sink,
            clock=self._clock,
            data_dir=self._settings.data_dir,
            counts=self.counts,
            is_ours=is_ours,
        )

    async def close(self) -> None:
        """Publish what waits, and hang up. Safe to call twice."""
        await self._sink.stop()
        for each in self.connectors:
            await each.close()
