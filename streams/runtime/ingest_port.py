"""The ingest port with all that is behind it: of a worker, or alone in `ritorno ingest`."""

from __future__ import annotations

from streams.clock import Clock
from streams.http.ingest import site_script
from streams.http.ingest.access import Access
from streams.http.ingest.endpoints import Endpoints
from streams.http.ingest.intake import Intake
from streams.http.ingest.keys_file import KeysFile
from streams.http.ingest.server import LIMITS, IngestServer, Mount
from streams.http.server.counts import DoorCounts
from streams.http.server.http_server import DoorLimits
from streams.http.server.not_listening import why_not_listening
from streams.http.server.proxies import NamedProxies
from streams.log import Log
from streams.operate.ingest_metrics import IngestMetrics
from streams.runtime.connected_shops import ConnectedShops
from streams.runtime.factories import notation
from streams.runtime.failures import WorkerFailed
from streams.settings import Settings
from streams.settings.values import Address


class IngestPort:
    """Takes what others send, and appends it."""

    def __init__(
        self,
        settings: Settings,
        *,
        log: Log,
        clock: Clock,
        metrics: IngestMetrics,
        limits: DoorLimits = LIMITS,
        counts: DoorCounts | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.intake = Intake(log)
        self.shops = ConnectedShops(settings, log=log, clock=clock, intake=self.intake)
        self.keys = KeysFile(settings.ingest_keys_file)
        self._metrics = metrics
        metrics.watch(lambda: self.intake.waiting_records, lambda: self.keys.is_kept)
        self._server = IngestServer(
            self._mounts(),
            limits=limits,
            counts=counts,
            proxies=NamedProxies(settings.public_proxies),
        )

    def _mounts(self) -> list[Mount]:
        """Return whose routes there are."""
        endpoints = Endpoints(
            self.intake,
            Access(self.keys, NamedProxies(self._settings.public_proxies), self._clock),
            clock=self._clock,
            notation=notation(self._settings),
            metrics=self._metrics,
        )
        return [endpoints.mount, self.shops.mount, site_script.mount]

    async def start(self, bind: Address, *, shared: bool = False) -> Address:
        """Listen, and return where, also when port 0 was asked for. Raises WorkerFailed,
        OperatorFileError.

        `shared` with other processes: the kernel gives each connection to one of them.
        """
        await self.keys.start()
        try:
            return await self._server.start(bind, shared=shared)
        except OSError as error:
            raise WorkerFailed(why_not_listening("RITORNO_INGEST_BIND", bind, error)) from None

    async def stop(self) -> None:
        """Listen no more, and append what waits. Safe to call twice."""
        await self._server.stop()
        await self.shops.close()
        await self.keys.stop()
        await self.intake.stop()
