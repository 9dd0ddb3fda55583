"""One conversation with a relay, on aiosmtplib: how it begins, and how a mail is handed over.

What aiosmtplib leaves open and the promise "never twice" depends on: whether the relay can have
got the final dot. `SMTP.data` writes text and dot at once, so a broken connection says nothing.
Here the text is written and drained first, then comes the dot: until then a lost connection means
that the relay can't have the mail, and from then on that nobody knows.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPServerDisconnected

from agents.mailer.compose import Mail
from agents.mailer.replies import (
    Accepted,
    Dropped,
    Refused,
    Result,
    Stage,
    Unknown,
    reason_text,
)
from streams.mail.relay import Relay

QUIT_TIMEOUT = 1.0
"""Seconds for a polite goodbye; nothing depends on it."""

CLOSING = 421
START_INPUT = 354


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is asked of the relay. Times in seconds."""

    connections: int = 10
    """What common relays allow one client (Postfix: 50 in all)."""
    mails: int = 100
    """Per connection; relays close it at some number of their own."""
    idle: float = 30.0
    connect: float = 30.0
    """For greeting, TLS and login together."""
    reply: float = 30.0
    """For each reply before the text."""
    data: float = 60.0
    """For the text, and again for the reply to the final dot."""


class Opening:
    """Greeting, TLS, login; knows at which of them it failed."""

    def __init__(self, relay: Relay, limits: Limits) -> None:
        self._relay = relay
        self._limits = limits
        self._stage = "connect"
        self._client: SMTP | None = None

    async def run(self, context: ssl.SSLContext | None, helo: str) -> SMTP:
        """Open a conversation. Raises SMTPException, OSError."""
        relay = self._relay
        client = self._client = SMTP(
            hostname=relay.host,
            port=relay.port,
            timeout=self._limits.reply,
            local_hostname=helo,
            use_tls=relay.tls == "implicit",
            start_tls=False,
            tls_context=context,
        )
        await client.connect()
        await client.ehlo()
        if relay.tls == "required" or (
            relay.tls == "opportunistic" and client.supports_extension("starttls")
        ):
            self._stage = "tls"
            await client.starttls()
            await client.ehlo()
        if relay.username:
            self._stage = "auth"
            await self._login(client)
        return client

    async def _login(self, client: SMTP) -> None:
        encrypted = client.get_transport_info("sslcontext") is not None
        if not encrypted and not self._relay.plain_password:
            self._stage = "tls"
            raise SMTPException("no TLS, and a password is not sent without it")
        await client.login(self._relay.username, self._relay.password)

    def blame(self, error: BaseException) -> str:
        """Return what a failure was about: connect, tls or auth."""
        tls = isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError)
        return "tls" if tls else self._stage

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()


class Connection:
    """One conversation with the relay."""

    def __init__(self, client: SMTP, limits: Limits) -> None:
        self._client = client
        self._limits = limits
        # Kept, because a StreamWriter that is garbage collected closes its transport.
        self._writer: asyncio.StreamWriter | None = None
        self.mails = 0
        self.idle_since = 0.0
        self.dotted = False
        """Whether the final dot of the current mail may have left."""

    @property
    def connected(self) -> bool:
        """Whether the relay is still there, as far as is known."""
        return self._client.is_connected

    @property
    def usable(self) -> bool:
        """Whether another mail can go this way."""
        return self._client.is_connected and self.mails < self._limits.mails

    @property
    def smtputf8(self) -> bool:
        """Whether the relay takes international local parts."""
        return self._client.supports_extension("smtputf8")

    async def deliver(self, mail: Mail) -> Result:
        """Hand one mail over. Never raises, except when cancelled; see `dotted` then."""
        self.mails += 1
        self.dotted = False
        stage: Stage = "mail"
        try:
            await self._mail_from(mail)
            stage = "rcpt"
            await self._client.rcpt(mail.recipient.address, encoding=_encoding(mail))
            stage = "data"
            start = await self._client.execute_command(b"DATA", timeout=self._limits.reply)
            if start.code != START_INPUT:
                raise SMTPResponseException(start.code, start.message)
            await self._text(mail.message)
            stage = "dot"
            return await self._dot()
        except SMTPResponseException as reply:
            return await self._refused(stage, reply.code, reply.message)
        except (SMTPException, OSError) as error:  # TimeoutError is an OSError
            self.close()
            return _broken(stage, error)

    async def alive(self) -> bool:
        """Ask whether the relay still listens."""
        try:
            await self._client.rset(timeout=self._limits.reply)
        except (SMTPException, OSError):
            self.close()
            return False
        return self._client.is_connected

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    async def quit(self) -> None:
        """Say goodbye and hang up."""
        try:
            await self._client.quit(timeout=QUIT_TIMEOUT)
        except (SMTPException, OSError):
            self.close()

    async def _mail_from(self, mail: Mail) -> None:
        options = ["SMTPUTF8"] if mail.recipient.smtputf8 else []
        await self._client.mail(mail.sender, options=options, encoding=_encoding(mail))

    async def _text(self, message: bytes) -> None:
        """Write the text and wait until it has left this process."""
        transport, protocol = self._client.transport, self._client.protocol
        if transport is None or protocol is None:
            raise SMTPServerDisconnected("Connection lost")
        stuffed = message.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        if self._writer is None:
            loop = asyncio.get_running_loop()
            self._writer = asyncio.StreamWriter(transport, protocol, None, loop)  # type: ignore[arg-type]  # aiosmtplib says BaseTransport and means the one it writes to
            self._writer.transport.set_write_buffer_limits(high=0)  # drain waits for all
        async with asyncio.timeout(self._limits.data):
            protocol.write(stuffed)
            await self._writer.drain()
            await asyncio.sleep(0)  # a hang-up that has arrived by now is noticed
        if not self._client.is_connected:
            raise SMTPServerDisconnected("Connection lost")

    async def _dot(self) -> Result:
        protocol = self._client.protocol
        if protocol is None:
            raise SMTPServerDisconnected("Connection lost")
        self.dotted = True
        protocol.write(b".\r\n")
        reply = await protocol.read_response(timeout=self._limits.data)
        if reply.code // 100 == 2:
            return Accepted(reply.code, reason_text(reply.message))
        raise SMTPResponseException(reply.code, reply.message)

    async def _refused(self, stage: Stage, code: int, text: str) -> Result:
        if not 400 <= code <= 599:  # no reply that SMTP knows here
            self.close()
            return _broken(stage, SMTPException(f"unexpected reply {code} {text}"))
        if code == CLOSING:
            self.close()
        elif stage != "dot":
            await self.alive()  # RSET also forgets the half-begun mail
        return Refused(stage, code, reason_text(text))


def _broken(stage: Stage, error: Exception) -> Result:
    reason = reason_text(str(error)) or type(error).__name__
    return Unknown(reason) if stage == "dot" else Dropped(stage, reason)


def _encoding(mail: Mail) -> str:
    return "utf-8" if mail.recipient.smtputf8 else "ascii"
