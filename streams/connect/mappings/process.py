"""`ritorno mappings run`: foreign streams without a worker beside them."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from streams.clock import SystemClock
from streams.connect.mappings.foreign_streams import ForeignStreams, kafka_topics
from streams.connect.mappings.mapping_file import MappingFile
from streams.http.admin import AdminServer
from streams.http.readiness import log_reachable
from streams.logging import get_logger
from streams.operate.instruments import Instruments
from streams.operate.mapping_metrics import MappingMetrics
from streams.runtime.bootstrap import provide_topics
from streams.runtime.factories import log_from, notation, record_signer
from streams.settings import Settings
from streams.topology import CUSTOMER_EVENTS

_log = get_logger(__name__)


async def run_until(stopped: asyncio.Event, file: MappingFile, settings: Settings) -> None:
    """Map the topics of a file until it is `stopped`. Raises LogError when our own log can't be
    reached at the beginning, AdminError."""
    clock = SystemClock()
    signer = record_signer(settings)
    log = log_from(settings, clock)
    await log.start()
    try:
        await provide_topics(log, settings)
        await log.partitions(CUSTOMER_EVENTS)  # or say that there is none
        streams = ForeignStreams(
            file,
            log=log,
            signer=signer,
            clock=clock,
            open_topic=kafka_topics(settings),
            notation=notation(settings),
        )
        registry = CollectorRegistry()
        MappingMetrics(Instruments(registry)).of(streams.counts)
        admin = AdminServer(
            bind=settings.admin_bind,
            registry=registry,
            checks={"log": log_reachable(log, CUSTOMER_EVENTS)},
        )
        await admin.start()
        try:
            streams.start()
            _log.info("foreign streams are mapped", mappings=sorted(streams.counts))
            await stopped.wait()
        finally:
            await streams.stop()
            await admin.stop()
    finally:
        await log.stop()
