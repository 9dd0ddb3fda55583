"""A pool of connections to one relay; aiosmtplib has none, and does one thing at a time.

A connection is lent for one mail. It is closed on any error, after 100 mails (20 to Yahoo), and
after 30 idle seconds. When the relay can't be reached, refuses our login or shows a wrong
certificate, that is no mail's fault: the pool remembers it for a while (`Breaker`) and mails wait,
or take another relay (`streams/mail/relay_dispatcher.py`). One that serves us and takes no further
connection is not down, only full.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiosmtplib import SMTPException, SMTPResponseException

from agents.mail.providers import OTHER
from agents.mail.queue.concurrency import ConcurrencyLimits
from agents.mail.queue.retry import Breaker
from agents.mail.replies import reason_text
from schemas.time_units import MINUTE_MS
from streams.clock import Clock
from streams.logging import get_logger
from streams.mail.relay import Relay
from streams.mail.smtp_transaction import Connection, Opening, SmtpLimits
from streams.operate.mail_metrics import MailMetrics
from streams.runtime.background import watched

_log = get_logger(__name__)

WIDEN_MS = MINUTE_MS
"""Between two tries whether a relay that took no more connections takes one more."""

CHECK_AFTER = 1.0
"""Seconds after which an idle connection is asked whether it still lives, which costs one reply."""


class RelayDown(Exception):
    """The relay can't be used now; no mail is to blame. `until`: when to try again, in ms."""

    def __init__(self, reason: str, detail: str, until: int) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        """connect, tls, auth or refused; full: it is up, and wants no further connection."""
        self.detail = detail
        self.until = until


class SmtpPool:
    """Connections to one relay, kept open between mails, and the memory that it is down."""

    def __init__(
        self,
        relay: Relay,
        *,
        clock: Clock,
        metrics: MailMetrics,
        limits: SmtpLimits | None = None,
    ) -> None:
        self.relay = relay
        self._limits = limits or SmtpLimits()
        self.concurrency = ConcurrencyLimits(self._limits.connections)
        self._clock = clock
        self._metrics = metrics
        self._breaker = Breaker()
        self._why_down = ("connect", "")
        self._probing = asyncio.Lock()
        self._idle: list[Connection] = []
        self._busy = 0
        self._reaper: asyncio.TimerHandle | None = None
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._context: ssl.SSLContext | None = None
        self._helo: str | None = None
        self._widen_at = 0
        self._changed: Callable[[], None] = lambda: None

    @property
    def name(self) -> str:
        """How metrics and outcomes call the relay."""
        return self.relay.name

    @property
    def doubtful(self) -> bool:
        """Whether the relay was down, and nobody knows yet whether it is back."""
        return self._breaker.failures > 0

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever the relay goes down or is back."""
        self._changed = changed

    @property
    def retry_at(self) -> int:
        """When the relay may be tried (again), ms since the epoch."""
        return self._breaker.until

    @asynccontextmanager
    async def connection(
        self, provider: str = OTHER, *, fresh: bool = False
    ) -> AsyncIterator[Connection]:
        """Lend a connection for a mail to `provider`; whoever asks has a permit. Raises RelayDown.

        It is closed when the block is left by an exception. `fresh`: not one that was used before.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        connection = None if fresh else await self._kept(provider)
        if connection is None:
            self._make_room()
            connection = await self._open()
        connection.lent_for(provider)
        self._metrics.pool_wait(self.relay.name, loop.time() - began)
        self._busy += 1
        self._count()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        finally:
            self._busy -= 1
            self._keep(connection)
            self._count()

    def _full(self, detail: str) -> RelayDown:
        """The relay takes no more connections than it has: be content with those, for a while."""
        self.concurrency.connections = self._opened
        self._widen_at = self._clock.now() + WIDEN_MS
        _log.info("the relay takes no more connections", relay=self.relay.name, detail=detail,
                  connections=self.concurrency.connections)  # fmt: skip
        return RelayDown("full", detail, self._clock.now())

    def down(self, reason: str, detail: str) -> RelayDown:
        """Note that the relay can't be used and return the exception that says so."""
        now = self._clock.now()
        if self._breaker.closed(now):
            self._why_down = (reason, detail)
            until = self._breaker.failed(now)
            self._metrics.relay_down(self.relay.name, reason)
            _log.warning("the relay can't be used, mails wait", relay=self.relay.name,
                         reason=reason, detail=detail, seconds=(until - now) / 1000)  # fmt: skip
            self._changed()
        return RelayDown(*self._why_down, self._breaker.until)

    def answers(self) -> None:
        """The relay has answered: it is up."""
        if self._breaker.failures:
            self._breaker.succeeded()
            self._metrics.relay_up(self.relay.name)
            _log.info("the relay answers again", relay=self.relay.name)
            self._changed()
        if self.concurrency.connections < self._limits.connections:
            self._widen()

    def exchange(self, relay: Relay) -> None:
        """Log in as `relay` says from now on, and trust what its file holds now; connections that
        are open do their mail and are closed. If the relay was down, it is tried at once."""
        self.relay = relay
        self._context = None
        idle, self._idle = self._idle, []
        for connection in idle:
            self._dismiss(connection)
        self._breaker.until = 0
        self._count()
        self._changed()

    async def close(self) -> None:
        """Say goodbye on all idle connections."""
        if self._reaper is not None:
            self._reaper.cancel()
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle), *self._goodbyes)

    async def _kept(self, provider: str) -> Connection | None:
        """Return an idle connection that still lives and may take one more mail to `provider`."""
        loop = asyncio.get_running_loop()
        while fitting := [each for each in self._idle if each.takes(provider)]:
            connection = fitting[-1]
            self._idle.remove(connection)
            rested = loop.time() - connection.idle_since
            if not connection.usable:
                continue
            if rested < CHECK_AFTER:
                return connection
            if rested < self._limits.idle and await self._lives(connection):
                return connection
            connection.close()
        return None

    async def _lives(self, connection: Connection) -> bool:
        """Ask it; one whose answer nobody waits for any more is nobody's, and is closed."""
        try:
            return await connection.alive()
        except BaseException:
            connection.close()
            raise

    def _widen(self) -> None:
        """Try one connection more, now and then."""
        now = self._clock.now()
        if now >= self._widen_at:
            self._widen_at = now + WIDEN_MS
            self.concurrency.connections += 1
            self._changed()

    def _make_room(self) -> None:
        """One more is to be opened: let an idle one go when there would be too many."""
        if self._idle and self._opened >= self._limits.connections:
            self._dismiss(self._idle.pop(0))

    def _keep(self, connection: Connection) -> None:
        if connection.usable and connection.relay is self.relay:
            loop = asyncio.get_running_loop()
            connection.idle_since = loop.time()
            self._idle.append(connection)
            if self._reaper is None:
                self._reaper = loop.call_later(self._limits.idle, self._reap)
        else:
            self._dismiss(connection)

    def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._limits.idle
        for connection in [each for each in self._idle if each.idle_since <= oldest]:
            self._idle.remove(connection)
            self._dismiss(connection)
        self._reaper = loop.call_later(self._limits.idle, self._reap) if self._idle else None
        self._count()

    def _dismiss(self, connection: Connection) -> None:
        if not connection.connected:
            return
        goodbye = watched("mail_goodbyes", asyncio.create_task(connection.quit()))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    async def _open(self) -> Connection:
        if self._unknown:
            async with self._probing:  # one finds out for all whether the relay is there
                if self._unknown:
                    return await self._connect()
        return await self._connect()

    @property
    def _unknown(self) -> bool:
        """Whether no connection says that the relay is there."""
        return self.doubtful or not self._opened

    @property
    def _opened(self) -> int:
        return self._busy + len(self._idle)

    async def _connect(self) -> Connection:
        if not self._breaker.closed(self._clock.now()):
            raise RelayDown(*self._why_down, self._breaker.until)
        relay = self.relay
        session = Opening(relay, self._limits)
        try:
            async with asyncio.timeout(self._limits.connect):
                client = await session.run(await self._tls(), await self._hello())
        except (SMTPException, OSError) as error:
            session.close()
            reason = session.blame(error)
            if reason == "connect" and self._opened:
                raise self._full(_detail(error)) from error
            raise self.down(reason, _detail(error)) from error
        except BaseException:
            session.close()
            raise
        self.answers()
        return Connection(client, self._limits, relay)

    async def _tls(self) -> ssl.SSLContext | None:
        if self.relay.tls == "off":
            return None
        if self._context is None:  # reads all of the system's certificates
            self._context = await asyncio.to_thread(
                ssl.create_default_context, cafile=self.relay.ca_file
            )
        return self._context

    async def _hello(self) -> str:
        if self._helo is None:
            self._helo = await asyncio.to_thread(socket.getfqdn)
        return self._helo

    def _count(self) -> None:
        self._metrics.connections(self.relay.name, busy=self._busy, idle=len(self._idle))


def _detail(error: Exception) -> str:
    if isinstance(error, SMTPResponseException):
        return reason_text(f"{error.code} {error.message}")
    return reason_text(str(error)) or type(error).__name__
