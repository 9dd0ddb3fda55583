"""The admin port: metrics, health and readiness of one worker, for operators and machines.

It has no authentication, so it is bound to loopback unless somebody decides otherwise.
`/healthz` answers 200 while the event loop turns. `/readyz` answers 200 when each readiness check
passes, 503 otherwise, and always says which check says what, within a second
(`streams/http/readiness.py`). `/readyz/ROLE` asks about one role of the worker
(`streams/runtime/readiness.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from schemas.failures import Failure
from streams.http.readiness import ANSWER_SECONDS, Check, PatientCheck
from streams.http.server.counts import DoorCounts
from streams.http.server.http_server import DoorLimits, HttpServer
from streams.http.server.not_listening import why_not_listening
from streams.logging import get_logger
from streams.settings.values import Address

_log = get_logger(__name__)


LIMITS = DoorLimits(connections=64, body_bytes=1_024)
"""Probes, a Prometheus or two, and somebody with curl; they send no body."""


class AdminError(Failure):
    """The admin port can't be opened; the text says why and what to do."""


class AdminServer:
    """Serves /metrics, /healthz and /readyz."""

    def __init__(
        self,
        *,
        bind: Address,
        checks: Mapping[str, Check],
        roles: Mapping[str, Mapping[str, Check]] | None = None,
        registry: CollectorRegistry | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        limits: DoorLimits = LIMITS,
        counts: DoorCounts | None = None,
    ) -> None:
        """`roles`: checks that are asked at `/readyz/ROLE`, which may be the same ones.

        Without `registry` there are no metrics but those of who overrides `_metrics`.
        `answer_seconds`: for which `/readyz` waits for a check."""
        self._bind = bind
        self._registry = registry
        patient: dict[Check, PatientCheck] = {}
        self._checks = {
            role: {name: patient.setdefault(each, PatientCheck(each, answer_seconds))
                   for name, each in group.items()}
            for role, group in {"": checks, **(roles or {})}.items()
        }  # fmt: skip
        self._server = HttpServer("admin", limits=limits, counts=counts or DoorCounts())
        self._server.router.add_get("/metrics", self._metrics)
        self._server.router.add_get("/healthz", self._healthz)
        self._server.router.add_get("/readyz", self._readyz)
        self._server.router.add_get("/readyz/{role}", self._readyz)
        self.address = bind
        """Where it listens; after `start` with the real port, also when port 0 was asked for."""

    async def start(self) -> None:
        """Listen. Raises AdminError."""
        try:
            self.address = await self._server.start(self._bind)
        except OSError as error:
            raise AdminError(why_not_listening("RITORNO_ADMIN_BIND", self._bind, error)) from None
        _log.info("admin port open", address=str(self.address))

    async def stop(self) -> None:
        """Stop listening. Safe to call twice."""
        await self._server.stop()
        for checks in self._checks.values():
            for check in checks.values():
                await check.stop()

    async def _metrics(self, request: web.Request) -> web.Response:
        assert self._registry is not None
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, request: web.Request) -> web.Response:
        checks = self._checks.get(request.match_info.get("role", ""))
        if checks is None:
            roles = ", ".join(sorted(filter(None, self._checks)))
            return web.json_response({"status": "no such role", "roles": roles}, status=404)
        names = list(checks)
        answers = await asyncio.gather(*(checks[name].answer() for name in names))
        ready = all(answer.ready for answer in answers)
        body = {
            "status": "ready" if ready else "not ready",
            "checks": {
                name: {"ready": answer.ready, "detail": answer.detail}
                for name, answer in zip(names, answers, strict=True)
            },
        }
        return web.json_response(body, status=200 if ready else 503)
