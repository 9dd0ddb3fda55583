"""An IMAP mailbox to which reports are sent.

`imaplib` blocks, so each of its steps runs in a thread; between two of them the message is taken
in. A mailbox is opened for each poll: servers hang up on idle clients, and a few seconds' delay
does not matter to a bounce. What a server says is bounded in size and in time
(`imap_connection.py`): it is somebody else's, and may be broken or taken over.
"""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from agents.mail.bounces.limits import LARGEST
from streams.mail.inbound.imap_connection import (
    LONGEST_LINES,
    LONGEST_LIST,
    ImapAllowance,
    PlainConnection,
    TlsConnection,
)
from streams.mail.inbound.intake import ReturnIntake

PORTS = {"imap": 143, "imaps": 993}
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

TIMEOUT = 10.0
"""Seconds for each reply. A worker that is told to stop waits as long, at worst."""

BATCH = 200
"""Messages of one poll; the rest comes with the next one."""

DEADLINE = 120.0
"""Seconds for a whole poll, or a look, however little a server says at a time."""

GOODBYE = 2.0
"""Seconds for a polite goodbye; nothing depends on it."""

ENOUGH = 60.0
"""Seconds after which a poll leaves the rest to the next one."""

_UID = re.compile(rb"[1-9][0-9]{0,9}")


class ImapError(Exception):
    """The mailbox can't be reached or used. The text says why and holds no password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """Where it is."""

    host: str
    port: int
    tls: bool
    """From the start; otherwise STARTTLS, which only a server on loopback may lack."""
    username: str
    password: str
    folder: str = "INBOX"
    done: str = ""
    """Folder to which messages go once they are taken in. Empty: they stay, marked as seen."""
    ca_file: Path | None = None


def parse_imap(url: str, *, done: str = "", ca_file: Path | None = None) -> Mailbox:
    """Read `imaps://USER:PASSWORD@HOST[:PORT][/FOLDER]`.

    Raises ValueError, whose text holds no password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in PORTS or not parts.hostname or not parts.username or not parts.password:
        raise ValueError("expected imaps://USER:PASSWORD@HOST[:PORT][/FOLDER]")
    return Mailbox(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        tls=parts.scheme == "imaps",
        username=unquote(parts.username),
        password=unquote(parts.password),
        folder=unquote(parts.path.strip("/")) or "INBOX",
        done=done,
        ca_file=ca_file,
    )


class ImapPoller:
    """Takes in the unseen messages of a mailbox."""

    def __init__(
        self, mailbox: Mailbox, intake: ReturnIntake, *, deadline: float = DEADLINE
    ) -> None:
        """`deadline`: seconds for one poll."""
        self.mailbox = mailbox
        """Which one the next poll opens, and how."""
        self._intake = intake
        self._deadline = deadline

    async def poll(self) -> int:
        """Take in what is unseen and return how many messages that were.

        Raises ImapError, LogError, OSError; what is done by then is done.
        """
        loop = asyncio.get_running_loop()
        enough = loop.time() + ENOUGH
        taken = 0
        async with _opened(self.mailbox, self._deadline) as session:
            for uid in await _in_thread(session.unseen):
                raw = await _in_thread(session.fetch, uid)
                if raw is not None:  # else it was deleted meanwhile
                    await self._intake.accept(raw, "imap")
                    await _in_thread(session.finish, uid)
                taken += 1
                if loop.time() > enough:
                    break
        return taken


async def look(mailbox: Mailbox) -> int:
    """Log in, open the folders, and return how many messages are unseen; nothing is changed.

    Raises ImapError.
    """
    async with _opened(mailbox, DEADLINE, readonly=True) as session:
        await _in_thread(session.find_done)
        return len(await _in_thread(session.unseen))


@asynccontextmanager
async def _opened(
    mailbox: Mailbox, deadline: float, *, readonly: bool = False
) -> AsyncIterator[_Session]:
    """Open a mailbox for at most `deadline` seconds. Raises ImapError."""
    session = _Session(mailbox)
    try:
        async with asyncio.timeout(deadline):
            await _in_thread(session.open, readonly)
            yield session
    except TimeoutError:
        session.hang_up()
        raise ImapError(f"the mailbox takes longer than {deadline:g} s") from None
    except asyncio.CancelledError:
        session.hang_up()
        raise
    finally:
        try:
            async with asyncio.timeout(GOODBYE):
                await asyncio.to_thread(session.close)
        except TimeoutError:
            session.hang_up()


async def _in_thread(step: Any, *arguments: Any) -> Any:
    """Run one step of a session. Raises ImapError."""
    try:
        return await asyncio.to_thread(step, *arguments)
    except imaplib.IMAP4.error as error:
        raise ImapError(_plain(error)) from None
    except (OSError, ValueError) as error:  # ssl's errors are of the first kind
        raise ImapError(str(error) or type(error).__name__) from error


class _Session:
    """One connection; its methods block."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._client: PlainConnection | TlsConnection | None = None
        self._can: frozenset[str] = frozenset()
        self._allowance = ImapAllowance()

    def open(self, readonly: bool = False) -> None:
        """Connect, log in, open the folder."""
        box = self._mailbox
        context = ssl.create_default_context(cafile=box.ca_file)
        if box.tls:
            self._client = TlsConnection(box.host, box.port, context, self._allowance, TIMEOUT)
        else:
            self._client = PlainConnection(box.host, box.port, self._allowance, TIMEOUT)
            self._start_tls(self._client, context)
        self._connected.login(box.username, box.password)
        # Asked again: servers say what they can do only to those they know.
        self._can = frozenset(self._connected.capability()[1][0].decode("ascii").upper().split())
        opened = self._connected.select(_quoted(box.folder), readonly)
        self._expect(opened, f"folder {box.folder}")

    def find_done(self) -> None:
        """See whether there is the folder to which messages are to be moved, if any."""
        if folder := self._mailbox.done:
            found = self._connected.status(_quoted(folder), "(MESSAGES)")
            self._expect(found, f"folder {folder}")

    def unseen(self) -> list[bytes]:
        """Return the UIDs of unseen messages, oldest first."""
        _, found = self._command("SEARCH", "UNSEEN", "UNDELETED", lines=LONGEST_LIST)
        uids = (found[0] or b"").split()[:BATCH] if found else []
        for uid in uids:
            if not _UID.fullmatch(uid):
                raise ImapError(f"the server names a message {_plain(uid[:40])!r}, which is no UID")
        return uids

    def fetch(self, uid: bytes) -> bytes | None:
        """Return as much of a message as is looked at, None when it has gone.

        It is not seen by that: only `finish` says so.
        """
        wanted = f"(BODY.PEEK[]<0.{LARGEST}>)"
        _, found = self._command("FETCH", uid.decode(), wanted, literals=LARGEST)
        return next((part[1] for part in found if isinstance(part, tuple)), None)

    def finish(self, uid: bytes) -> None:
        """Mark a message as seen, and move it away where that is wanted."""
        self._command("STORE", uid.decode(), "+FLAGS.SILENT", r"(\Seen)")
        if not self._mailbox.done:
            return
        target = _quoted(self._mailbox.done)
        if "MOVE" in self._can:
            self._command("MOVE", uid.decode(), target)
            return
        self._command("COPY", uid.decode(), target)
        self._command("STORE", uid.decode(), "+FLAGS.SILENT", r"(\Deleted)")
        if "UIDPLUS" in self._can:
            self._command("EXPUNGE", uid.decode())  # of this one; others are not ours to delete

    def close(self) -> None:
        """Say goodbye, if anybody listens."""
        if self._client is not None:
            self._allowance.expect(LONGEST_LINES, 0)
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                self._client.logout()
            with contextlib.suppress(OSError):
                self._client.shutdown()

    def hang_up(self) -> None:
        """End the step that runs in a thread; it fails, and the message comes again."""
        self._allowance.cut()

    @property
    def _connected(self) -> PlainConnection | TlsConnection:
        if self._client is None:
            raise ImapError("not connected")
        return self._client

    def _start_tls(self, client: imaplib.IMAP4, context: ssl.SSLContext) -> None:
        if "STARTTLS" in client.capabilities:
            client.starttls(context)
        elif self._mailbox.host not in LOOPBACK:
            raise ImapError("the server offers no TLS, and a password is not sent without it")

    def _command(
        self, *arguments: str, lines: int = LONGEST_LINES, literals: int = 0
    ) -> tuple[str, list[Any]]:
        self._allowance.expect(lines, literals)
        answer = self._connected.uid(*arguments)
        self._expect(answer, arguments[0])
        return answer

    @staticmethod
    def _expect(answer: tuple[str, list[Any]], what: str) -> None:
        if answer[0] != "OK":
            raise ImapError(f"{what}: {_plain(answer[1][0] if answer[1] else '')}")


def _quoted(folder: str) -> str:
    escaped = folder.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _plain(said: object) -> str:
    """A server's words as text."""
    words = said.args[0] if isinstance(said, Exception) and said.args else said
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
