"""Builds the bytes of a mail: the same bytes for the same command, so that a resend is a copy.

The headers are folded by the standard library, except those in UNFOLDED: `policy.SMTP` turns a
`List-Unsubscribe` of 78 characters and more into encoded words, and one-click ends there. The body
is put together here: two base64 parts; `EmailMessage` takes 3 to 8 ms for what takes 0.1.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from email.headerregistry import Address
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any, NamedTuple

from agents.mailer.addresses import Recipient, clean, read_recipient
from agents.mailer.render import Rendered, Renderer
from agents.mailer.settings import MailSettings
from agents.mailer.tokens import Tokens, Unsubscribe
from schemas.commands import SendCommand
from schemas.instant import to_datetime

UNFOLDED = frozenset(
    {"list-unsubscribe", "list-unsubscribe-post", "list-id", "message-id", "feedback-id"}
    | {"date", "content-language", "auto-submitted", "mime-version", "content-type"}
)
"""Written as they are: URLs and ids in ASCII, which folding could only damage, and words of our
own, which need none. Parsing and folding all headers of a mail takes as long as rendering it."""

BASE64_LINE = 57
"""Bytes that make 76 characters, the longest line MIME allows."""


class MailPolicy(EmailPolicy):
    """`policy.SMTP` that leaves the headers in UNFOLDED alone."""

    def fold(self, name: str, value: Any) -> str:
        """Return the header as it goes into the mail."""
        if name.lower() in UNFOLDED:
            # A line has at most 998 characters, so a second link goes on a line of its own.
            return f"{name}: {value}".replace(">, <", f">,{self.linesep} <") + self.linesep
        folded: str = super().fold(name, value)
        return folded

    def fold_binary(self, name: str, value: Any) -> bytes:
        """Return the header as it goes onto the wire."""
        if name.lower() in UNFOLDED:
            return self.fold(name, value).encode("ascii")
        folded: bytes = super().fold_binary(name, value)
        return folded


POLICY = MailPolicy(linesep="\r\n")
POLICY_UTF8 = MailPolicy(linesep="\r\n", utf8=True)
"""For recipients that need SMTPUTF8: their address has no ASCII form."""


class Mail(NamedTuple):
    """A mail as the relay gets it."""

    command_id: str
    sender: str
    """MAIL FROM."""
    recipient: Recipient
    message: bytes
    message_id: str


class Composer:
    """Makes mails of commands."""

    def __init__(self, settings: MailSettings, renderer: Renderer) -> None:
        self._settings = settings
        self._renderer = renderer
        self._tokens = Tokens(settings.signing_keys)
        sender = _address(settings.from_name, read_recipient(settings.from_address, ""))
        self._sender_lines = _folded("From", str(sender), POLICY)
        if settings.reply_to:
            self._sender_lines += _folded("Reply-To", settings.reply_to, POLICY)
        self._envelope_from = read_recipient(
            settings.envelope_from or settings.from_address, ""
        ).address

    def message_id(self, command_id: str) -> str:
        """Return the Message-ID that every attempt at this command has."""
        return f"<{_digest(command_id)}@{self._envelope_from.rpartition('@')[2]}>"

    def compose(self, command: SendCommand) -> Mail:
        """Render and build one mail. Raises InvalidAddress, RenderError."""
        recipient = read_recipient(command.email, command.name)
        unsubscribe = self._unsubscribe_url(command)
        words = self._renderer.render(
            command.template, command.locale, self._variables(command, unsubscribe)
        )
        headers = self._headers(command, recipient, words, unsubscribe)
        message = headers + _body(words, _digest(command.id))
        return Mail(
            command.id, self._envelope_from, recipient, message, self.message_id(command.id)
        )

    def _unsubscribe_url(self, command: SendCommand) -> str:
        token = self._tokens.make(Unsubscribe(command.customer, command.id))
        return f"{self._settings.public_url.rstrip('/')}/u/{token}"

    def _variables(self, command: SendCommand, unsubscribe: str) -> dict[str, Any]:
        """What templates know: the command's variables, and ours, which win."""
        marketing = command.mail_class == "marketing"
        return {
            **command.variables,
            "shop": self._settings.shop,
            "zone": command.zone,
            "unsubscribe_url": unsubscribe if marketing else None,
        }

    def _headers(
        self, command: SendCommand, recipient: Recipient, words: Rendered, unsubscribe: str
    ) -> bytes:
        policy = POLICY_UTF8 if recipient.smtputf8 else POLICY
        lines = [
            self._sender_lines,
            _folded("To", str(_address(recipient.name, recipient)), policy),
            _folded("Subject", words.subject, policy),
        ]
        for name, value in self._plain_headers(command, words, unsubscribe):
            lines.append(policy.fold_binary(name, value))
        return b"".join(lines)

    def _plain_headers(
        self, command: SendCommand, words: Rendered, unsubscribe: str
    ) -> Iterator[tuple[str, str]]:
        settings = self._settings
        yield "Date", format_datetime(to_datetime(command.time))
        yield "Message-ID", self.message_id(command.id)
        yield "Content-Language", words.locale
        if command.mail_class == "marketing":
            yield "List-Id", f"<{settings.list_id or 'news.' + settings.sender_domain}>"
            yield "List-Unsubscribe", self._list_unsubscribe(unsubscribe)
            yield "List-Unsubscribe-Post", "List-Unsubscribe=One-Click"
        else:
            yield "Auto-Submitted", "auto-generated"
        if settings.feedback_sender:
            fields = (command.workflow, command.template, command.mail_class)
            yield "Feedback-ID", ":".join([*map(_feedback_field, fields), settings.feedback_sender])
        yield "MIME-Version", "1.0"
        boundary = _boundary(_digest(command.id))
        yield "Content-Type", f'multipart/alternative; boundary="{boundary}"'

    def _list_unsubscribe(self, unsubscribe: str) -> str:
        mailbox = self._settings.unsubscribe_mailbox
        second = f", <mailto:{mailbox}?subject=unsubscribe>" if mailbox else ""
        return f"<{unsubscribe}>{second}"


def _folded(name: str, value: str, policy: MailPolicy) -> bytes:
    """Return a header with words of people, encoded and folded as they need."""
    return policy.fold_binary(*policy.header_store_parse(name, value))


def _address(name: str, recipient: Recipient) -> Address:
    local, _, domain = recipient.address.rpartition("@")
    return Address(display_name=clean(name), username=local, domain=domain)


def _digest(command_id: str) -> str:
    return hashlib.sha256(command_id.encode()).hexdigest()[:40]


def _boundary(digest: str) -> str:
    """An underscore never occurs in base64, so no part can hold the boundary."""
    return f"_{digest[:24]}_"


def _feedback_field(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text)


def _body(words: Rendered, digest: str) -> bytes:
    boundary = b"--" + _boundary(digest).encode()
    return b"\r\n".join(
        (
            b"",
            boundary,
            _part("plain", words.text),
            boundary,
            _part("html", words.html),
            boundary + b"--",
            b"",
        )
    )


def _part(subtype: str, text: str) -> bytes:
    content = text.replace("\r\n", "\n").replace("\n", "\r\n").encode()
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n'
    lines = (
        base64.b64encode(content[start : start + BASE64_LINE])
        for start in range(0, len(content), BASE64_LINE)
    )
    return head.encode() + b"\r\n" + b"\r\n".join(lines)


Compose = Callable[[SendCommand], Mail]
"""`Composer.compose`; raises InvalidAddress, RenderError."""
