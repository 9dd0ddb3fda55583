"""`ritorno insights` as a process: the store, its port and its metrics, until a signal stops it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from streams.clock import Clock, SystemClock
from streams.http.admin import AdminServer
from streams.http.internal.signing import RequestSigner
from streams.http.readiness import log_reachable
from streams.http.server.counts import DoorCounts
from streams.http.server.not_listening import why_not_listening
from streams.insights.errors import InsightsError
from streams.insights.server import InsightsServer
from streams.insights.service import Insights
from streams.log import Log
from streams.logging import get_logger
from streams.operate.door_metrics import DoorMetrics
from streams.operate.insights_metrics import InsightsMetrics
from streams.operate.instruments import Instruments
from streams.runtime.bootstrap import provide_topics
from streams.runtime.factories import consumer_group, log_from, signing_keys
from streams.runtime.stand_alone import until_told_to_stop
from streams.settings import Settings
from streams.settings.values import Address
from streams.topology import FACTS

_log = get_logger(__name__)


async def open_port(
    running: AsyncExitStack,
    settings: Settings,
    log: Log,
    *,
    clock: Clock,
    metrics: InsightsMetrics,
    counts: DoorCounts,
) -> tuple[Insights, Address]:
    """Start the store and its port, of a worker or alone; `running` stops them. Return where it
    listens. Raises InsightsError, SettingsError."""
    bind = settings.insights_bind
    assert bind is not None
    insights = Insights(settings, log, clock)
    running.push_async_callback(insights.stop)
    await insights.start()
    metrics.of(insights)
    insights.follow(f"{consumer_group(settings)}-insights")
    # The machine's clock, whatever time the log has: signatures compare processes.
    server = InsightsServer(
        insights.ask,
        signer=RequestSigner(signing_keys(settings)),
        clock=SystemClock(),
        counts=counts,
    )
    running.push_async_callback(server.stop)
    try:
        address = await server.start(bind)
    except OSError as error:
        raise InsightsError(why_not_listening("RITORNO_INSIGHTS_BIND", bind, error)) from None
    _log.info("insights can be asked", address=str(address), file=str(insights.store.path))
    return insights, address


class InsightsProcess:
    """All of it; `start`, then `stop`."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Listen. Raises LogError, InsightsError, AdminError; nothing is left running then."""
        try:
            await self._start()
        except BaseException:
            await self._running.aclose()
            raise

    async def stop(self) -> None:
        """Write what is being written, and let go. Safe to call twice."""
        await self._running.aclose()

    async def _start(self) -> None:
        settings = self._settings
        registry, counts = CollectorRegistry(), DoorCounts()
        make = Instruments(registry)
        ProcessCollector(registry=registry)
        DoorMetrics(make).of(counts)
        log = log_from(settings, self._clock)
        await log.start()
        self._running.push_async_callback(log.stop)
        await provide_topics(log, settings)
        self.insights, self.address = await open_port(
            self._running, settings, log, clock=self._clock, metrics=InsightsMetrics(make),
            counts=counts,
        )  # fmt: skip
        self.admin = AdminServer(
            bind=settings.admin_bind,
            registry=registry,
            checks={"log": log_reachable(log, FACTS), "facts": self.insights.ready},
            counts=counts,
        )
        self._running.push_async_callback(self.admin.stop)
        await self.admin.start()


def run_insights(settings: Settings) -> None:
    """Run it until SIGTERM or SIGINT. Raises what `InsightsProcess.start` raises."""
    asyncio.run(until_told_to_stop(InsightsProcess(settings), "insights"))
