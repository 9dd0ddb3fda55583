"""An application on a port: what all answers share, and what a request may cost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from itertools import chain
from typing import NamedTuple

from aiohttp import web

from streams.http.server.acceptor import Acceptor, Places
from streams.http.server.connection import HEAD_BYTES, HttpConnection
from streams.http.server.counts import DoorCounts, DoorName, Refusal
from streams.http.server.forms import is_known_charset
from streams.http.server.proxies import NamedProxies
from streams.logging import get_logger
from streams.settings.values import Address

AT_ONCE_FOR_AN_ADDRESS = 32
"""Requests of one address that a named proxy tells, being answered at the same time."""

STOP_SECONDS = 2.0
"""For requests that are being answered when a worker stops."""

EVENT_STREAM = "text/event-stream"

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Of each answer, where a door has no others."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RefusalPage = Callable[[web.BaseRequest | None, int], web.Response]
"""Makes the answer with a status, to a request that could be read or to one that could not."""

_WHY: Mapping[int, Refusal] = {400: "malformed", 413: "large", 431: "large"}

_log = get_logger(__name__)


class DoorLimits(NamedTuple):
    """What a door allows."""

    connections: int
    body_bytes: int


def plain_refusal(_request: web.BaseRequest | None, status: int) -> web.Response:
    """Return the answer of a door at which only machines knock."""
    return web.Response(status=status, text=f"{status} {HTTPStatus(status).phrase}\n")


class HttpServer:
    """The HTTP server of a port. Implements `connection.Door` and `acceptor.Host`."""

    def __init__(
        self,
        name: DoorName,
        *,
        limits: DoorLimits,
        counts: DoorCounts,
        refusal: RefusalPage = plain_refusal,
        headers: Mapping[str, str] = HEADERS,
        proxies: NamedProxies | None = None,
    ) -> None:
        """`refusal` makes the page of what isn't answered, `headers` are those of every answer that
        has no other."""
        self.name: DoorName = name
        self._limits = limits
        self._counts = counts
        self._refusal = refusal
        self._headers = {**headers}
        self._proxies = proxies or NamedProxies()
        self._places = Places(limits.connections)
        self._asking: Counter[str] = Counter()
        self._raw: dict[int, tuple[bytes, bytes]] = {}
        # Whoever reads a body gets no more of it; who reads none (a link's token counts, whatever
        # comes with it) needs no bound.
        application = web.Application(
            client_max_size=limits.body_bytes, middlewares=[self._bounded]
        )
        application.on_response_prepare.append(self._prepare)
        self.router = application.router
        """For routes, until it is started."""
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_SECONDS)
        self._acceptor = Acceptor(self)
        counts.connections[name] = lambda: len(self._places)

    async def start(self, bind: Address, *, shared: bool = False) -> Address:
        """Listen, and return where, also when port 0 was asked for. Raises OSError.

        `shared` with other processes: the kernel gives each connection to one of them.
        """
        await self._runner.setup()
        try:
            return Address(*await self._acceptor.start(bind.host, bind.port, shared=shared))
        except OSError:
            await self._runner.cleanup()
            raise

    async def stop(self) -> None:
        """Listen no more, and end what is open. Safe to call twice."""
        self._acceptor.stop()
        await self._runner.cleanup()
        for connection in list(self._places):  # what they have not taken they won't take
            connection.hang_up()

    # Connections (`connection.Door`).

    def opened(self, connection: HttpConnection) -> None:
        """It has had its place since `new_connection`."""

    def waits(self, connection: HttpConnection) -> None:
        """It may be pushed out."""
        self._places.waits(connection)

    def answers(self, connection: HttpConnection) -> None:
        """It may not."""
        self._places.answers(connection)

    def closed(self, connection: HttpConnection) -> None:
        """Its place is free."""
        self._places.leaves(connection)

    def count(self, why: Refusal) -> None:
        """Something was refused."""
        self._counts.refused[self.name, why] += 1

    def raw_answer(self, status: int) -> bytes:
        """Return a whole answer, head and all."""
        if status not in self._raw:
            page = self._refusal(None, status)
            head = {**self._headers, **page.headers, "Connection": "close"}
            body = page.body if isinstance(page.body, bytes) else b""
            head["Content-Length"] = str(len(body))
            lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
            lines += [f"{name}: {value}" for name, value in head.items()]
            self._raw[status] = "\r\n".join(lines).encode(), body
        head_bytes, body = self._raw[status]
        date = formatdate(usegmt=True).encode()
        return b"%s\r\nDate: %s\r\n\r\n%s" % (head_bytes, date, body)

    # Places (`acceptor.Host`).

    def new_connection(self) -> HttpConnection | None:
        """Return the protocol of a new connection, None when there is no place for it."""
        server = self._runner.server
        if server is None or not self._has_place():
            return None
        connection = HttpConnection(server, self, asyncio.get_running_loop())
        self._places.waits(connection)
        return connection

    def turned_away(self) -> bytes:
        """Return what somebody is told for whom there is no place."""
        self.count("full")
        return self.raw_answer(503)

    def accept_failed(self, error: OSError) -> None:
        """The machine can't give us a connection."""
        self.count("accept")
        _log.error("no connection can be taken", door=self.name, error=str(error))

    def _has_place(self) -> bool:
        if len(self._places) < self._places.most:
            return True
        last = self._places.longest_waiting()
        if last is None:
            return False
        self.count("pushed_out")
        self._places.leaves(last)
        last.hang_up()
        return True

    # Requests.

    @web.middleware
    async def _bounded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer within the bounds of time, size and number, whatever happens."""
        connection = request.protocol
        assert isinstance(connection, HttpConnection)
        if (status := self._unacceptable(request)) is not None:
            return self._refused(request, status)
        asker = self._proxies.told(request)
        if asker is not None and self._asking[asker] >= AT_ONCE_FOR_AN_ADDRESS:
            self.count("address")
            return self._refusal(request, 429)
        try:
            if asker is not None:
                self._asking[asker] += 1
            async with asyncio.timeout_at(connection.deadline) as limit:
                connection.limit = limit
                return await self._answer(request, handler)
        except TimeoutError:
            is_read = request.content.is_eof()
            self.count("late" if is_read else "slow")
            answer = self._refusal(request, 503 if is_read else 408)
            answer.force_close()
            return answer
        finally:
            if asker is not None:
                self._asking[asker] -= 1
                if not self._asking[asker]:
                    del self._asking[asker]

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            answer = self._refused(request, error.status)
            if "Allow" in error.headers:
                answer.headers["Allow"] = error.headers["Allow"]
            return answer
        except Exception as error:
            if error is request.content.exception():  # whoever asked has gone, or sends no HTTP
                error.__traceback__ = None  # its frames hold the body, and the body holds it
                return self._refused(request, 400)
            resource = request.match_info.route.resource
            # A defect of ours: somebody waits, and must not see it. Of the path its pattern: in a
            # link's path there is its token.
            _log.exception("a request has failed", door=self.name, error=repr(error),
                           page=resource.canonical if resource else "")  # fmt: skip
            return self._refusal(request, 503)

    def _refused(self, request: web.Request, status: int) -> web.Response:
        if (why := _WHY.get(status)) is not None:
            self.count(why)
        answer = self._refusal(request, status)
        if why is not None:  # what comes after it nobody would understand either
            answer.force_close()
        return answer

    def _unacceptable(self, request: web.Request) -> int | None:
        """Return the status for what isn't even looked at."""
        if sum(map(len, chain.from_iterable(request.raw_headers))) > HEAD_BYTES:
            return 431
        return None if is_known_charset(request.charset) else 400

    async def _prepare(self, request: web.Request, answer: web.StreamResponse) -> None:
        for name, value in self._headers.items():
            answer.headers.setdefault(name, value)
        answer.headers.pop("Server", None)  # nobody's business
        if answer.content_type == EVENT_STREAM and isinstance(request.protocol, HttpConnection):
            request.protocol.stream()
