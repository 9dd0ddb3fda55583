"""One connection: what it may cost, and our own answer to what is no HTTP.

A timer is set as long as a connection is open, and its end is the end of the connection:

    reading     REQUEST_SECONDS from the first byte of a request, or from the connection on: 408
    answering   the same span; then the handler is cancelled (`http_server`), and ANSWER_SECONDS
                later the connection, if what is said of it isn't taken either
    streaming   an event stream takes as long as it likes, while what it says is taken
    idle        KEPT_SECONDS until the next request
    refused     LINGER_SECONDS in which what still comes is thrown away, so that the answer arrives
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import StreamReader, web

from streams.http.server.counts import DoorName, Refusal
from streams.logging import get_logger

REQUEST_SECONDS = 10.0
"""For a whole request, its answer included. Ours take milliseconds; who is on a bad line has sent
a form of a few hundred bytes in one."""

ANSWER_SECONDS = 1.0
"""For the answer that says that it took too long, or for one that was ready at the last moment."""

KEPT_SECONDS = 30.0
"""For which a connection waits for another request, as long as there is room."""

LINGER_SECONDS = 1.0

HEAD_BYTES = 32_768
"""Of request line and headers together. The longest of our links have 2 kB, the cookies that a
browser has for a shop's domain some more."""

LINE_BYTES = 8_190
"""Of one of them."""

HEADERS = 64

_NEVER = 3_600.0
"""aiohttp's own timer, which our timers are always ahead of."""

_log = get_logger(__name__)


class Door(Protocol):
    """What a connection needs to know of the server that it belongs to."""

    name: DoorName

    def opened(self, connection: HttpConnection) -> None:
        """It is open, and waits for a request."""

    def waits(self, connection: HttpConnection) -> None:
        """It waits for a request, or for the rest of one, from now on."""

    def answers(self, connection: HttpConnection) -> None:
        """A request is being answered: it can't be pushed out now."""

    def closed(self, connection: HttpConnection) -> None:
        """It is gone."""

    def count(self, why: Refusal) -> None:
        """Something was refused."""

    def raw_answer(self, status: int) -> bytes:
        """Return a whole answer, for who can't be answered otherwise."""


class HttpConnection(web.RequestHandler):
    """aiohttp's protocol, with an end to everything."""

    def __init__(self, server: web.Server, door: Door, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's runners pass it likewise
            keepalive_timeout=_NEVER,
            lingering_time=LINGER_SECONDS,
            max_line_size=LINE_BYTES,
            max_field_size=LINE_BYTES,
            max_headers=HEADERS,
            # It would inflate whatever comes, also what nobody reads any more. Who takes bodies
            # that are packed inflates them within a bound (`ingest/bodies.py`).
            auto_decompress=False,
        )
        self._door = door
        self.deadline = loop.time() + REQUEST_SECONDS
        """Of the request that is being read or answered, by the loop's clock."""
        self.limit: asyncio.Timeout | None = None
        """Of the handler that answers it."""
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._when_due: Callable[[], None] | None = None
        self._wire: asyncio.BaseTransport | None = None  # aiohttp forgets its own while it closes
        self._is_begun = False
        self._unanswered = 0
        self._is_streaming = False
        self._is_refused = False
        self._head_bytes = 0
        self._body: StreamReader | None = None

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        self._wire = transport
        self._set_timer(REQUEST_SECONDS, self._too_slow)
        self._door.opened(self)
        super().connection_made(transport)
        if self._force_close:  # its place was given away before it began
            self.hang_up()

    def connection_lost(self, error: BaseException | None) -> None:
        """It is over."""
        self._stop_timer()
        self._door.closed(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Read on, within the bounds of a head. aiohttp bounds what waits of a body."""
        if self._is_refused:
            return
        if data and not self._is_begun:
            self._begin()
        known = self._request_count
        is_head = self._body is None or self._body.is_eof()
        super().data_received(data)
        if self._request_count > known:
            self._unanswered += self._request_count - known
            self._body = self._messages[-1][1]
            self._head_bytes = 0
        elif is_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.refuse(431, "large")
        if self._unanswered > 0 and self._has_all():
            self._door.answers(self)

    def pause_writing(self) -> None:
        """Who asked does not take what we say: a stream has no other end."""
        super().pause_writing()
        if self._is_streaming:
            self._set_timer(REQUEST_SECONDS, self._stuck)

    def resume_writing(self) -> None:
        """What was said is taken."""
        super().resume_writing()
        if self._is_streaming:
            self._stop_timer()

    # What aiohttp tells.

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Answer, and wait for the next request."""
        known = self._request_count
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            # Behind a refused upgrade others may have been waiting, which are read only now.
            self._unanswered += self._request_count - known - 1
            self._answered()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What can't be read as HTTP (400), or a defect of ours. Never returns."""
        if not self._is_refused:
            if status == 400:
                self.refuse(status, "malformed")
            else:
                self.log_exception("", exc_info=exc)
                self.refuse(status, None)
        # It is answered; this ends aiohttp's own work on the connection without a word.
        raise ConnectionResetError

    def log_exception(self, *args: Any, exc_info: Any = None, **_: Any) -> None:
        """A defect of ours; who has met it is nobody's business.

        A body that can't be read, behind a request whose answer needed none of it, is none.
        """
        if isinstance(exc_info, web.RequestPayloadError):
            self._door.count("malformed")
        elif not isinstance(exc_info, ConnectionResetError):
            _log.error("a connection has failed", door=self._door.name, exc_info=exc_info)

    # What the server says.

    def refuse(self, status: int, why: Refusal | None) -> None:
        """Answer at once, read no more, and hang up."""
        if self._is_refused or self.transport is None:
            return
        self._is_refused = self._force_close = True
        if why is not None:
            self._door.count(why)
        self.transport.write(self._door.raw_answer(status))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._set_timer(LINGER_SECONDS, self.hang_up)
        self._door.waits(self)

    def stream(self) -> None:
        """The answer goes on for as long as it is taken."""
        self._is_streaming = True
        self._stop_timer()
        if self.limit is not None:
            self.limit.reschedule(None)

    def hang_up(self) -> None:
        """End it, whatever waits to be sent."""
        self._force_close = True
        if isinstance(self._wire, asyncio.Transport):
            self._wire.abort()

    def _has_all(self) -> bool:
        """Whether the last request is here with its body: until then we wait for who sends it."""
        return self._body is not None and self._body.is_eof()

    # Time.

    def _begin(self) -> None:
        self._is_begun = True
        if self._request_count:  # the first one began with the connection
            self._restart()
            self._door.waits(self)

    def _restart(self) -> None:
        self.deadline = self._loop.time() + REQUEST_SECONDS
        self._set_timer(REQUEST_SECONDS, self._too_slow)

    def _answered(self) -> None:
        if self._is_refused:
            return
        self._is_streaming = False
        self.limit = None
        if self._unanswered > 0:  # the next one was sent along
            self._restart()
            if not self._has_all():
                self._door.waits(self)
            return
        self._is_begun = False
        self._set_timer(KEPT_SECONDS, self.hang_up)
        self._door.waits(self)

    def _too_slow(self) -> None:
        if self._unanswered > 0:  # the handler is being cancelled
            self._set_timer(ANSWER_SECONDS, self._stuck)
        elif self._is_begun:
            self.refuse(408, "slow")
        else:
            self._door.count("slow")
            self.hang_up()

    def _stuck(self) -> None:
        self._door.count("stuck")
        self.hang_up()

    def _set_timer(self, seconds: float, done: Callable[[], None]) -> None:
        """Have `done` called then, in place of what was set before.

        A timer that ends earlier is left to run and looks again: a request sets two, and nearly all
        of them are for nothing.
        """
        self._due, self._when_due = self._loop.time() + seconds, done
        if self._timer is not None:
            if self._timer.when() <= self._due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._look_at_time)

    def _look_at_time(self) -> None:
        ended, self._timer = self._timer, None
        if ended is not None and ended.when() < self._due:
            self._timer = self._loop.call_at(self._due, self._look_at_time)
        elif self._when_due is not None:
            self._when_due()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._when_due = None  # it holds the connection
