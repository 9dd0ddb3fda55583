"""One SMTP session with a relay: aiosmtplib begins it (TLS, login), mails are handed over here.

What the promise "never twice" depends on is whether the relay can have got the final dot. So the
text is written and drained first, then comes the dot: until then a lost connection means that the
relay can't have the mail, and from then on that nobody knows.

MAIL, RCPT and DATA go out together where the relay offers PIPELINING (RFC 2920): two round trips a
mail instead of four. Each has its reply all the same, and the first that is a refusal counts. DATA
may have been accepted then; see `_forget`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from dataclasses import dataclass
from typing import cast

from aiosmtplib import SMTP, SMTPException, SMTPServerDisconnected

from agents.mail.bounces.addresses import marked
from agents.mail.message.compose import ComposedMail
from agents.mail.providers import LIMITS, UNLIMITED
from agents.mail.replies import (
    LONGEST_REPLY,
    Dropped,
    RelayAccepted,
    RelayRefused,
    Result,
    Stage,
    Unknown,
    reason_text,
)
from streams.mail.relay import Relay
from streams.mail.smtp_dialogue import Dialogue, Reply

QUIT_TIMEOUT = 1.0
"""Seconds for a polite goodbye; nothing depends on it."""

CLOSING = 421
START_INPUT = 354


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpLimits:
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

    def __init__(self, relay: Relay, limits: SmtpLimits) -> None:
        self._relay = relay
        self._limits = limits
        self._stage = "connect"
        self._client: SMTP | None = None

    async def run(self, context: ssl.SSLContext | None, helo: str) -> SMTP:
        """Open a session. Raises SMTPException, OSError."""
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
        if client.transport is None:
            raise SMTPServerDisconnected("Connection lost")
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


class _RefusedError(Exception):
    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class Connection:
    """One session with the relay, from login to goodbye."""

    def __init__(self, client: SMTP, limits: SmtpLimits, relay: Relay | None = None) -> None:
        """Take over the transport of `client`, which `Opening` has just brought here; `relay` is
        how it logged in."""
        self.relay = relay
        # aiosmtplib says BaseTransport and means the one it writes to.
        self._dialogue = Dialogue(cast(asyncio.Transport, client.transport))
        self._limits = limits
        self._stage: Stage = "mail"
        self.pipelining = client.supports_extension("pipelining")
        """Whether the relay takes several commands at once."""
        self.smtputf8 = client.supports_extension("smtputf8")
        """Whether the relay takes international local parts."""
        self.mails = 0
        self._mails_for: Counter[str] = Counter()
        self.idle_since = 0.0
        self.dotted = False
        """Whether the final dot of the current mail may have left."""

    @property
    def connected(self) -> bool:
        """Whether the relay is still there, as far as is known."""
        return self._dialogue.open

    @property
    def usable(self) -> bool:
        """Whether another mail can go this way."""
        return self.connected and self.mails < self._limits.mails

    def takes(self, provider: str) -> bool:
        """Whether one more mail to `provider` may go this way."""
        most = LIMITS.get(provider, UNLIMITED).mails
        return most is None or self._mails_for[provider] < most

    def lent_for(self, provider: str) -> None:
        """The next mail is for `provider`."""
        self._mails_for[provider] += 1

    async def deliver(self, mail: ComposedMail) -> Result:
        """Hand one mail over. Never raises, except when cancelled; see `dotted` then."""
        self.mails += 1
        self.dotted = False
        self._stage = "mail"
        try:
            await self._envelope(mail)
            await self._text(mail.message)
            return await self._dot()
        except _RefusedError as refused:
            return await self._refused(refused.reply, mail)
        except (SMTPException, OSError) as error:  # TimeoutError is an OSError
            self.close()
            return self._broken(error)

    async def alive(self) -> bool:
        """Ask whether the relay still listens; also forgets a mail that was begun."""
        try:
            self._dialogue.send(b"RSET")
            if (await self._reply()).positive:
                return self.connected
        except (SMTPException, OSError):
            pass  # it doesn't, which is the answer
        self.close()
        return False

    def close(self) -> None:
        """Hang up."""
        self._dialogue.close()

    async def quit(self) -> None:
        """Say goodbye and hang up."""
        try:
            self._dialogue.send(b"QUIT")
            await self._dialogue.reply(QUIT_TIMEOUT)
        except (SMTPException, OSError):
            pass  # gone already, which is what was wanted
        finally:
            self.close()

    # In the order in which a mail goes.

    async def _envelope(self, mail: ComposedMail) -> None:
        sender, recipient, option = mail.sender, mail.recipient.address, ""
        if mail.recipient.smtputf8:
            option = " SMTPUTF8"
        commands: dict[Stage, bytes] = {
            "mail": f"MAIL FROM:<{sender}>{option}".encode(),
            "rcpt": f"RCPT TO:<{recipient}>".encode(),
            "data": b"DATA",
        }
        if self.pipelining:
            self._dialogue.send(*commands.values())
        for self._stage, command in commands.items():
            if not self.pipelining:
                self._dialogue.send(command)
            reply = await self._reply()
            if not (reply.code == START_INPUT if self._stage == "data" else reply.positive):
                raise _RefusedError(reply)

    async def _text(self, message: bytes) -> None:
        """Write the text and wait until it has left this process."""
        stuffed = message.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        self._dialogue.write(stuffed)
        async with asyncio.timeout(self._limits.data):
            await self._dialogue.written()

    async def _dot(self) -> Result:
        self._dialogue.send(b".")
        self._stage, self.dotted = "dot", True
        reply = await self._dialogue.reply(self._limits.data)
        if not reply.positive:
            raise _RefusedError(reply)
        return RelayAccepted(reply.code, reason_text(reply.text))

    async def _reply(self) -> Reply:
        return await self._dialogue.reply(self._limits.reply)

    # When it does not go.

    async def _refused(self, reply: Reply, mail: ComposedMail) -> Result:
        if not 400 <= reply.code <= 599:  # no reply that SMTP knows here
            self.close()
            return self._broken(SMTPException(f"unexpected reply {reply.code} {reply.text}"))
        if reply.code == CLOSING:
            self.close()
        elif self._stage != "dot":
            await self._forget()
        ours = (mail.sender, mail.author)
        said = marked(reply.text[:LONGEST_REPLY], ours, mail.recipient.address)
        return RelayRefused(self._stage, reply.code, reason_text(said, LONGEST_REPLY))

    async def _forget(self) -> None:
        """Bring the relay back to where a mail can begin, or hang up.

        What was sent together with the refused command has its replies, too. When the relay wants
        the text of a mail that has no recipient, it gets an empty one (RFC 2920, 3.1) and refuses
        that. Had it taken a recipient, that one would be sent an empty mail: hanging up ends a mail
        in DATA without anything being delivered.
        """
        try:
            replies = [await self._reply() for _ in range(self._dialogue.owed)]
            if not any(reply.code == START_INPUT for reply in replies):
                await self.alive()
            elif any(reply.positive for reply in replies):
                self.close()
            else:
                self._dialogue.send(b".")
                await self._dialogue.reply(self._limits.data)
        except (SMTPException, OSError):
            self.close()

    def _broken(self, error: Exception) -> Result:
        reason = reason_text(str(error)) or type(error).__name__
        return Unknown(reason) if self._stage == "dot" else Dropped(self._stage, reason)
