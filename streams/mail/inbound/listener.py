"""A local SMTP server that takes what comes back to our return addresses, and nothing else.

It stands behind the shop's own mail server, on loopback unless somebody decides otherwise. Each
recipient must be a return address with a token of ours, or one of the two names that anybody may
write to; all others get a 550, so that nobody can use it for anything. A message gets its 250 once
the log has what it says.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from agents.mail.message.verp import FEEDBACK, GENERIC, BadReference
from streams.log import LogError
from streams.logging import get_logger
from streams.mail.inbound.intake import ReturnIntake
from streams.mail.inbound.kept import KeptFullError
from streams.mail.inbound.reading_process import BusyError

LARGEST_MESSAGE = 5 * 1024 * 1024
"""Bytes. Our mails have some 100 KB, reports return them whole at worst, with a page around."""

MOST_RECIPIENTS = 50
"""Of one message; a report has one."""

SILENCE = 30.0
"""Seconds that a client may keep silent, also in the middle of a message."""

SESSION = 300.0
"""Seconds that a connection may last, whatever is said: mail servers keep theirs no longer."""

CONNECTIONS = 20
"""At once: the mail server before it keeps a few open."""

_log = get_logger(__name__)


class Listener:
    """The SMTP server of a worker."""

    def __init__(
        self, intake: ReturnIntake, *, silence: float = SILENCE, session: float = SESSION
    ) -> None:
        """`silence`, `session`: seconds after which a client is hung up on."""
        self._handler = _Handler(intake, silence, session)
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port (useful with port 0). Raises OSError."""
        loop = asyncio.get_running_loop()
        make = partial(_SmtpSession, self._handler, loop)
        self._server = await loop.create_server(make, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and hang up. Safe to call twice."""
        if self._server is None:
            return
        self._server.close()
        for session in list(self._handler.sessions):
            session.hang_up()
        await self._server.wait_closed()
        self._server = None


class _SmtpSession(SMTP):  # type: ignore[misc]  # aiosmtpd ships without type information
    """One connection."""

    def __init__(self, handler: _Handler, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            handler,
            data_size_limit=LARGEST_MESSAGE,
            enable_SMTPUTF8=True,
            ident="Ritorno",
            hostname="ritorno",
            timeout=handler.silence,
            loop=loop,
        )
        self._sessions = handler.sessions
        self._session_seconds = handler.session_seconds
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Take the connection, unless there are too many."""
        if len(self._sessions) >= CONNECTIONS:
            transport.write(b"421 4.3.2 Too many connections\r\n")
            transport.close()
            return
        self._sessions.add(self)
        self._end = self.loop.call_later(self._session_seconds, transport.close)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """The client is not silent."""
        super().data_received(data)
        if self._timeout_handle is not None:
            self._reset_timeout()

    def connection_lost(self, error: Exception | None) -> None:
        """The client has gone."""
        if self in self._sessions:
            self._sessions.discard(self)
            if self._end is not None:
                self._end.cancel()
            super().connection_lost(error)

    def hang_up(self) -> None:
        """End the connection; a message without a 250 comes again."""
        if self.transport is not None:
            self.transport.close()


class _Handler:
    """Decides on recipients, hands messages over. aiosmtpd knows these methods by their names."""

    def __init__(self, intake: ReturnIntake, silence: float, session_seconds: float) -> None:
        self._intake = intake
        self.silence = silence
        self.session_seconds = session_seconds
        self.sessions: set[_SmtpSession] = set()

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take return addresses of ours only."""
        if not self._is_ours(address):
            self._intake.metrics.refused()
            return "550 5.1.1 No such address here"
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Answer once it is durable."""
        try:
            await self._intake.accept(envelope.content, "smtp", envelope.rcpt_tos)
        except KeptFullError:
            return "452 4.3.1 Insufficient system storage"
        except BusyError:
            self._intake.metrics.failed("smtp")
            return "451 4.3.2 Busy, try again later"
        except (LogError, OSError) as error:
            self._intake.metrics.failed("smtp")
            _log.error("a message that came back could not be written", error=str(error))
            return "451 4.3.0 Try again later"
        return "250 2.0.0 OK"

    async def handle_exception(self, error: Exception) -> str:
        """Whatever it is, the message must come again."""
        _log.error("conversation with a returning mail server failed", exc_info=error)
        return "451 4.3.0 Try again later"

    def _is_ours(self, address: str) -> bool:
        local = self._intake.returns.local_part(address)
        if local is None:
            return False
        if local.lower() in (GENERIC, FEEDBACK):
            return True
        with contextlib.suppress(BadReference):
            self._intake.returns.read(local)
            return True
        self._intake.metrics.forged("smtp", 1)
        return False
