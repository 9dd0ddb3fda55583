"""Relays to talk to: a scripted one that misbehaves at any stage, and a real one (aiosmtpd)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

CERTIFICATE = Path(__file__).parent / "tls" / "relay.pem"

GREETING = "greeting"
EHLO = "ehlo"
MAIL = "mail"
RCPT = "rcpt"
DATA = "data"
TEXT = "text"
DOT = "dot"
STARTTLS = "starttls"
AUTH = "auth"

DROP = "drop"
"""Instead of a reply: hang up."""
SILENCE = "silence"
"""Instead of a reply: say nothing, for ever."""
DRIP = "drip"
"""Instead of a reply: one byte after the other, never a whole line, until the client hangs up."""

PIPELINING = "250-relay.test\r\n250-PIPELINING\r\n250 SMTPUTF8"
"""A reply to EHLO."""

REPLIES = {
    GREETING: "220 relay.test",
    EHLO: "250-relay.test\r\n250 SMTPUTF8",
    "helo": "250 relay.test",
    MAIL: "250 2.1.0 ok",
    RCPT: "250 2.1.5 ok",
    DATA: "354 go ahead",
    DOT: "250 2.0.0 queued",
    STARTTLS: "220 2.0.0 go ahead",
    AUTH: "235 2.7.0 welcome",
    "rset": "250 2.0.0 ok",
    "noop": "250 2.0.0 ok",
    "quit": "221 2.0.0 bye",
}


@dataclass
class ScriptedRelay:
    """Speaks just enough SMTP. `script` maps a stage to the replies of its next occurrences."""

    script: dict[str, list[str]] = field(default_factory=dict)
    by_recipient: dict[str, str] = field(default_factory=dict)
    """Replies to RCPT for these, whatever the script says."""
    mails: list[bytes] = field(default_factory=list)
    """What was received up to a final dot, whatever was replied to it."""
    taken: list[bytes] = field(default_factory=list)
    """Of those, what the relay has said that it took."""
    recipients: list[str] = field(default_factory=list)
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    port: int = 0
    tls: ssl.SSLContext | None = None
    """For STARTTLS."""
    encrypted: list[str] = field(default_factory=list)
    """Commands that came through TLS."""
    on_text: Callable[[], None] | None = None
    """Called when a mail is complete, before the reply to its final dot."""
    seen: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"smtp://127.0.0.1:{self.port}"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to have been said."""
        async with asyncio.timeout(10), self.seen:
            await self.seen.wait_for(condition)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        self.connections += 1
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, _HangUpError):
            pass  # the client's or the script's wish; a client that refuses our certificate, too
        finally:
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._reply(GREETING, reader, writer)
        recipients = 0  # of the mail that is begun
        while line := await reader.readline():
            command = line.decode("utf-8", "replace").strip()
            verb = command.split(" ")[0].split(":")[0].lower()
            self.commands.append(command)
            if writer.get_extra_info("sslcontext") is not None:
                self.encrypted.append(command)
            named = self.by_recipient.get(command.partition("<")[2].partition(">")[0])
            if verb == RCPT and named is not None:
                self.script.setdefault(RCPT, []).insert(0, named)
            reply = await self._reply(verb, reader, writer)
            if verb in (MAIL, "rset"):
                recipients = 0
            if verb == RCPT and reply.startswith("250"):
                self.recipients.append(command.split("<", 1)[1].split(">")[0])
                recipients += 1
            if verb == DATA and reply.startswith("354"):
                await self._text(reader, writer, recipients)
            if verb == STARTTLS and reply.startswith("220") and self.tls is not None:
                await writer.start_tls(self.tls)
            if verb == "quit":
                return

    async def _text(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, recipients: int
    ) -> None:
        if self.script.get(TEXT):
            await self._reply(TEXT, reader, writer)
        text = await reader.readuntil(b"\n")
        if text != b".\r\n":
            text += await reader.readuntil(b"\r\n.\r\n")
        if recipients == 0:
            writer.write(b"554 5.5.1 no valid recipients\r\n")
            return
        self.mails.append(text[: -len(b".\r\n")].replace(b"\r\n..", b"\r\n."))
        if self.on_text is not None:
            self.on_text()
        if (await self._reply(DOT, reader, writer)).startswith("250"):
            self.taken.append(self.mails[-1])

    async def _reply(
        self, stage: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str:
        planned = self.script.get(stage)
        reply = planned.pop(0) if planned else REPLIES.get(stage, "502 5.5.1 what?")
        async with self.seen:
            self.seen.notify_all()
        if reply == DROP:
            raise _HangUpError
        if reply == SILENCE:
            await reader.read()  # until the client hangs up
            raise _HangUpError
        if reply == DRIP:
            await self._drip(reader, writer)
        writer.write(reply.encode() + b"\r\n")
        await writer.drain()
        return reply

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = asyncio.create_task(reader.read())
        while not gone.done():
            writer.write(b"2")
            await asyncio.wait({gone}, timeout=0.005)
        raise _HangUpError


class _HangUpError(Exception):
    pass


@asynccontextmanager
async def scripted(
    script: dict[str, list[str]] | None = None, *, smtps: bool = False
) -> AsyncIterator[ScriptedRelay]:
    """Run a scripted relay on a free port. `smtps`: TLS from the first byte."""
    relay = ScriptedRelay(script or {}, tls=server_tls())
    implicit = relay.tls if smtps else None
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, ssl=implicit, limit=1 << 22)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()


def server_tls() -> ssl.SSLContext:
    """Return the relay's side of TLS: a certificate that signs itself, for `localhost` alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_suffix(".key"))
    return context


def parse(message: bytes) -> EmailMessage:
    """Read a mail with the standard library, the judge of all we build."""
    parsed = message_from_bytes(message, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed
