"""Commands out, replies in: SMTP's lines over a connection that aiosmtplib has opened.

aiosmtplib reads one reply per command and throws away what comes behind it, so with it commands
can't be sent together (PIPELINING, RFC 2920). From login on the transport is ours: every reply
that is owed is counted, and one that nobody owes ends the session, because from there on each
reply would be taken for another command's.
"""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple

from aiosmtplib import SMTPException, SMTPServerDisconnected

MAX_REPLY = 32_768
"""Bytes of one reply. A real one has some hundred; more is a server that never ends."""

MAX_RECEIVED = 4 * MAX_REPLY
"""Bytes that wait to be read. At most three replies are owed at a time."""

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_LINE = re.compile(rb"(\d{3})([ -])?(.*)")


class Reply(NamedTuple):
    """What the relay has answered to one command."""

    code: int
    text: str
    """The lines of a long one stand below each other."""

    @property
    def positive(self) -> bool:
        """Whether what was asked is done."""
        return self.code // 100 == 2


class Dialogue(asyncio.Protocol):
    """Both directions of an open connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._received = bytearray()
        self._lost: Exception | None = None
        self._news = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self.owed = 0
        """Replies that have not been read."""
        transport.set_protocol(self)
        # `written` waits for all. asyncio's TLS takes "at the limit" for "above" it, so with 0 it
        # would pause at an empty buffer, for ever.
        encrypted = transport.get_extra_info("sslcontext") is not None
        transport.set_write_buffer_limits(high=1 if encrypted else 0, low=0)

    # What asyncio tells.

    def data_received(self, data: bytes) -> None:
        """Keep what the relay says."""
        self._received += data
        if len(self._received) > MAX_RECEIVED:
            self._lose(SMTPException("the relay says more than was asked"))
            self._transport.abort()
        self._news.set()

    def eof_received(self) -> bool:
        """The relay hangs up; what it said before can still be read."""
        self._lose(SMTPServerDisconnected("Connection lost"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over, by the relay's wish or ours."""
        self._lose(exc or SMTPServerDisconnected("Connection lost"))

    def pause_writing(self) -> None:
        """Something is still here."""
        self._written.clear()

    def resume_writing(self) -> None:
        """All has gone to the kernel."""
        self._written.set()

    # What a session does.

    @property
    def open(self) -> bool:
        """Whether the relay is still there, as far as is known."""
        return self._lost is None and not self._transport.is_closing()

    def send(self, *commands: bytes) -> None:
        """Write commands, together; a reply to each is owed from now on.

        Raises SMTPException, and nothing was written then.
        """
        for command in commands:
            if _CONTROL.search(command):
                raise ValueError(f"a control character in a command: {command!r}")
        self.write(b"".join(command + b"\r\n" for command in commands))
        self.owed += len(commands)

    def write(self, content: bytes) -> None:
        """Write what gets no reply. Raises SMTPException, and nothing was written then."""
        if not self.open:
            raise SMTPServerDisconnected("Connection lost")
        if self._received and not self.owed:
            said = bytes(self._received[:200]).decode("utf-8", "replace")
            raise SMTPServerDisconnected(f"the relay has spoken out of turn: {said}")
        self._transport.write(content)

    async def written(self) -> None:
        """Return once all has left this process. Raises SMTPException."""
        await self._written.wait()
        await asyncio.sleep(0)  # a hang-up that has arrived by now is noticed
        if not self.open:
            raise SMTPServerDisconnected("Connection lost")

    async def reply(self, timeout: float) -> Reply:  # noqa: ASYNC109  # each reply has its own
        """Return the next reply that is owed. Raises SMTPException, OSError."""
        async with asyncio.timeout(timeout):
            while (found := self._next_reply()) is None:
                if self._lost is not None:
                    raise self._lost
                self._news.clear()
                await self._news.wait()
        self.owed -= 1
        return found

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def _next_reply(self) -> Reply | None:
        """Take a reply from what was received; None when it isn't all there. Raises
        SMTPException when it is none."""
        lines: list[str] = []
        at = 0
        while (end := self._received.find(b"\n", at)) >= 0:
            line = _LINE.fullmatch(self._received[at:end].rstrip(b"\r"))
            if line is None:
                said = bytes(self._received[at:end]).decode("utf-8", "replace")
                raise SMTPException(f"not a reply: {said}")
            lines.append(line[3].decode("utf-8", "replace").strip())
            at = end + 1
            if at > MAX_REPLY:
                break
            if line[2] != b"-":
                del self._received[:at]
                return Reply(int(line[1]), "\n".join(lines))
        if len(self._received) > MAX_REPLY:  # of it, and there is no end
            raise SMTPException("a reply without an end")
        return None

    def _lose(self, why: Exception) -> None:
        self._lost = self._lost or why
        self._news.set()
        self._written.set()
