"""`ritorno ingest` as a process: the port, its log and its metrics, until a signal stops it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from streams.clock import Clock, SystemClock
from streams.http import admin
from streams.http.admin import AdminServer
from streams.http.ingest import server
from streams.http.readiness import log_reachable
from streams.http.server.counts import DoorCounts
from streams.logging import get_logger
from streams.operate.door_metrics import DoorMetrics
from streams.operate.ingest_metrics import IngestMetrics
from streams.operate.instruments import Instruments
from streams.operate.shop_metrics import ShopMetrics
from streams.runtime.bootstrap import prepare_topics
from streams.runtime.factories import log_from
from streams.runtime.ingest_port import IngestPort
from streams.runtime.open_files import OTHER_FILES, raised
from streams.runtime.stand_alone import until_told_to_stop
from streams.settings import Settings
from streams.topology import CUSTOMER_EVENTS

_log = get_logger(__name__)


class IngestProcess:
    """All of it; `start`, then `stop`."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Listen. Raises LogError, WorkerFailed, AdminError, OperatorFileError; nothing is left
        running then."""
        try:
            await self._start()
        except BaseException:
            await self._running.aclose()
            raise

    async def stop(self) -> None:
        """Listen no more, append what waits, let go. Safe to call twice."""
        await self._running.aclose()

    async def _start(self) -> None:
        settings, bind = self._settings, self._settings.ingest_bind
        assert bind is not None
        registry, counts = CollectorRegistry(), DoorCounts()
        make = Instruments(registry)
        ProcessCollector(registry=registry)
        DoorMetrics(make).of(counts)
        log = log_from(settings, self._clock)
        await log.start()
        self._running.push_async_callback(log.stop)
        await prepare_topics(log, settings)
        wanted = server.LIMITS.connections + admin.LIMITS.connections + OTHER_FILES
        limits = server.LIMITS._replace(
            connections=max(1, server.LIMITS.connections - (wanted - raised(wanted)))
        )
        self.port = IngestPort(
            settings,
            log=log,
            clock=self._clock,
            metrics=IngestMetrics(make),
            limits=limits,
            counts=counts,
        )
        if self.port.shops:
            ShopMetrics(make).of(self.port.shops.counts)
        self.admin = AdminServer(
            bind=settings.admin_bind,
            registry=registry,
            checks={"log": log_reachable(log, CUSTOMER_EVENTS)},
            counts=counts,
        )
        self._running.push_async_callback(self.admin.stop)
        await self.admin.start()
        self._running.push_async_callback(self.port.stop)
        self.address = await self.port.start(bind, shared=True)
        _log.info("ingest ready", address=str(self.address), broker=settings.broker_url)


def run_ingest(settings: Settings) -> None:
    """Run it until SIGTERM or SIGINT. Raises what `IngestProcess.start` raises."""
    asyncio.run(until_told_to_stop(IngestProcess(settings), "ingest"))
