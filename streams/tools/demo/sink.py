"""The demo's mail relay: takes mails on a free port of this machine and lays them out to be read.

Each mail becomes an .eml file (as it came) and an .html page (headers, HTML part, text part);
`index.html` lists them all. It refuses the addresses it is told to and can be switched off for a
while, as relays are.
"""

from __future__ import annotations

import asyncio
import email
import html
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aiosmtpd.smtp import SMTP, Envelope, Session

from schemas.instant import to_datetime, to_rfc3339
from streams.clock import Clock
from streams.messages.plurals import several

LOOPBACK = "127.0.0.1"

ZONE = ZoneInfo("Europe/Rome")

Verdict = Callable[[str, int], str]
"""(address, how often it was tried before) → the reply that refuses it, empty to accept."""


@dataclass(frozen=True, slots=True)
class SinkMail:
    """One mail that was accepted."""

    name: str
    """Of its files, without suffix."""
    arrived: int
    recipient: str
    subject: str


class Sink:
    """A relay that delivers nowhere."""

    def __init__(self, directory: Path, clock: Clock, verdict: Verdict) -> None:
        self.directory = directory
        self.taken: list[SinkMail] = []
        self.refused = 0
        self._clock = clock
        self._verdict = verdict
        self._tried: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._transports: set[asyncio.Transport] = set()
        self.port = 0
        """Known once it has been opened."""

    def prepare(self) -> None:
        """Make an empty directory for the mails. Raises OSError."""
        if (self.directory / "index.html").exists():  # ours, of an earlier demo
            shutil.rmtree(self.directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    async def open(self) -> None:
        """Listen, always on the same port. Safe to call twice. Raises OSError."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _SinkConnection(self._transports, _SinkHandler(self)), LOOPBACK, self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Hang up and listen no more. Safe to call twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for transport in list(self._transports):
            transport.close()
        await server.wait_closed()

    def write_index(self) -> Path:
        """Write the page that lists all mails and return its path. Raises OSError."""
        path = self.directory / "index.html"
        path.write_text(_index(self.taken), encoding="utf-8")
        return path

    def refusal(self, address: str) -> str:
        """Return the reply that refuses an address, empty to accept it."""
        reply = self._verdict(address, self._tried[address])
        self._tried[address] += 1
        self.refused += bool(reply)
        return reply

    def take(self, recipient: str, content: bytes) -> None:
        """Keep one mail. Raises OSError."""
        message = email.message_from_bytes(content, policy=policy.default)
        now = self._clock.now()
        mail = SinkMail(self._name(message, now), now, recipient, str(message["Subject"]))
        (self.directory / f"{mail.name}.eml").write_bytes(content)
        page = _page(mail, message)
        (self.directory / f"{mail.name}.html").write_text(page, encoding="utf-8")
        self.taken.append(mail)

    def _name(self, message: EmailMessage, now: int) -> str:
        """Name a mail by when it came and what it is: the same demo gives the same names."""
        stamp = to_rfc3339(now)[:16].replace(":", "").replace("-", "").replace("T", "-")
        name = f"{stamp}-{str(message['Message-ID']).strip('<>')[:12]}"
        copies = sum(mail.name.startswith(name) for mail in self.taken)
        return f"{name}-{copies + 1}" if copies else name


class _SinkConnection(SMTP):  # type: ignore[misc]  # aiosmtpd ships without type information
    """One connection, which the sink can cut."""

    def __init__(self, transports: set[asyncio.Transport], handler: _SinkHandler) -> None:
        super().__init__(handler, hostname="sink.example", ident="demo", enable_SMTPUTF8=True)
        self._all = transports
        self._mine: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._mine = transport
        self._all.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._mine is not None:
            self._all.discard(self._mine)
        super().connection_lost(error)


class _SinkHandler:
    """Hooks that aiosmtpd calls by name."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name for it
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        reply = self._sink.refusal(address)
        if reply:
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name for it
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        self._sink.take(envelope.rcpt_tos[0], envelope.original_content)
        return "250 2.0.0 taken"


_STYLE = """
body{margin:0;font:15px/1.5 system-ui,sans-serif;color:#222;background:#f4f4f1}
a{color:#1f5c3d;text-decoration:none}a:hover{text-decoration:underline}
h1{font-size:19px;margin:0;padding:14px 16px}
.all{display:grid;grid-template-columns:minmax(320px,32%) 1fr;height:100vh}
nav{overflow:auto;border-right:1px solid #ddd;background:#fff}
nav ol{list-style:none;margin:0;padding:0}nav li{border-top:1px solid #eee;padding:8px 16px}
nav small{color:#666;display:block}iframe{border:0;width:100%;height:100%}
.mail{padding:16px 20px}dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 12px}
dt{color:#666}dd{margin:0;overflow-wrap:anywhere}
.mail iframe{height:820px;border:1px solid #ddd;background:#fff}
pre{white-space:pre-wrap;background:#fff;border:1px solid #ddd;padding:16px}
"""


def _index(mails: list[SinkMail]) -> str:
    items = "\n".join(
        f'<li><a href="{html.escape(mail.name)}.html" target="mail">{html.escape(mail.subject)}</a>'
        f"<small>{_when(mail.arrived)} · {html.escape(mail.recipient)}</small></li>"
        for mail in sorted(mails, key=lambda mail: (mail.arrived, mail.name))
    )
    first = f"{mails[0].name}.html" if mails else ""
    return _document(
        several(len(mails), "mail"),
        f'<div class="all"><nav><h1>{several(len(mails), "mail")}</h1><ol>\n{items}\n</ol></nav>'
        f'<iframe name="mail" title="mail" src="{html.escape(first)}"></iframe></div>',
    )


def _page(mail: SinkMail, message: EmailMessage) -> str:
    rows = "".join(
        f"<dt>{name}</dt><dd>{html.escape(str(message[name]))}</dd>"
        for name in ("From", "To", "Subject", "List-Unsubscribe")
        if message[name]
    )
    content = html.escape(_part(message, "html"))
    return _document(
        mail.subject,
        f'<div class="mail"><dl>{rows}<dt>Arrived</dt><dd>{_when(mail.arrived)}</dd></dl>'
        f'<p><a href="{html.escape(mail.name)}.eml">The mail as it came (.eml)</a></p>'
        f'<h2>HTML</h2><iframe sandbox title="HTML part" srcdoc="{content}"></iframe>'
        f"<h2>Text</h2><pre>{html.escape(_part(message, 'plain'))}</pre></div>",
    )


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _part(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    return "" if part is None else str(part.get_content())


def _when(instant: int) -> str:
    return f"{to_datetime(instant).astimezone(ZONE):%d.%m.%Y %H:%M}"
