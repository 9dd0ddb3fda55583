"""The ingest port: one HTTP server, on which several have their routes.

Whoever sends is a program, so what isn't answered is told as JSON, and when it is to be sent again
in `Retry-After`. Each part adds its routes by a `Mount` before the port is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus

from aiohttp import web

from streams.http.server.counts import DoorCounts
from streams.http.server.http_server import DoorLimits, HttpServer
from streams.http.server.proxies import NamedProxies
from streams.settings.values import Address

LIMITS = DoorLimits(connections=1_000, body_bytes=1_048_576)
"""A webhook of a shop may have 1 MiB, also after inflation; each part may allow less. An answer
takes milliseconds, so a thousand connections are many thousand senders."""

RETRY_SECONDS = 5
"""After which one who was sent away for want of room or of the log may come again."""

LATER = (429, 503)

Mount = Callable[[web.UrlDispatcher], None]
"""Adds the routes of one part."""


def json_answer(status: int, body: dict[str, object], *, retry_after: int = 0) -> web.Response:
    """Return an answer in JSON; `retry_after` in seconds, where that is told."""
    response = web.json_response(body, status=status)
    if retry_after:
        response.headers["Retry-After"] = str(retry_after)
    return response


def refusal(_request: web.BaseRequest | None, status: int) -> web.Response:
    """Return the answer of the port itself to what nobody of its parts has looked at."""
    phrase = HTTPStatus(status).phrase
    retry_after = RETRY_SECONDS if status in LATER else 0
    return json_answer(status, {"success": False, "error": phrase}, retry_after=retry_after)


class IngestServer:
    """The port."""

    def __init__(
        self,
        mounts: Iterable[Mount],
        *,
        limits: DoorLimits = LIMITS,
        counts: DoorCounts | None = None,
        proxies: NamedProxies | None = None,
    ) -> None:
        """`mounts`: whose routes it has. What `proxies` say of whose request it is counts."""
        self._server = HttpServer(
            "ingest",
            limits=limits,
            counts=counts or DoorCounts(),
            refusal=refusal,
            proxies=proxies,
        )
        for mount in mounts:
            mount(self._server.router)

    async def start(self, bind: Address, *, shared: bool = False) -> Address:
        """Listen, and return where, also when port 0 was asked for. Raises OSError.

        `shared` with other processes: the kernel gives each connection to one of them.
        """
        return await self._server.start(bind, shared=shared)

    async def stop(self) -> None:
        """Listen no more, and end what is open. Safe to call twice."""
        await self._server.stop()
