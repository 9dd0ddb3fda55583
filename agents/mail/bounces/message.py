"""A message as classification needs it: headers, the words written for people, what is returned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from functools import cached_property
from html import unescape

from agents.mail.bounces.addresses import addresses
from agents.mail.bounces.limits import LONGEST_HEADER, parse, parse_headers
from agents.mail.bounces.verdict import Returned
from agents.mail.message.verp import HEADER as TOKEN_HEADER

LONGEST_WORDS = 16_000
"""Characters of the words for people that are looked at."""

MOST_OF_OURS = 10
"""Addresses that a mail may have been from; a mail of ours names two or three."""

RETURNED_TYPES = frozenset({"message/rfc822", "text/rfc822-headers", "text/rfc822-header"})
"""The last one is wrong and common."""

# Where a notice ends and the returned mail begins, in plain text.
_CUT = re.compile(
    r"^(?:"
    r"[-=_*> \t]{0,60}(?:this is a copy of|below this line|enclosed is a copy|original message|"
    r"unsent message|returned message|message headers?|the body of the message|"
    r"messaggio originale|copia del messaggio|original mail)[^\n]*"
    r"|(?:original )?message (?:headers )?follows?\.?"
    r"|(?:Received|Return-Path|DKIM-Signature|X-Received|X-Google-DKIM-Signature):.*"
    r")$",
    re.IGNORECASE | re.MULTILINE,
)


class Arrived:
    """A message that came back."""

    def __init__(self, raw: bytes) -> None:
        """Raises TooMuchError."""
        self.raw = raw
        self.root: Message = parse(raw)
        self._parts = list(_flat(self.root))

    def header(self, name: str) -> str:
        """Return a header of the message itself, decoded, on one line; empty when there is none."""
        return _header(self.root, name)

    def part(self, content_type: str) -> Message | None:
        """Return the first part of a type."""
        return next((p for p in self._parts if p.get_content_type() == content_type), None)

    @cached_property
    def words(self) -> str:
        """The words for people, without the mail that is returned behind them."""
        return self._all_words[0]

    @cached_property
    def tail(self) -> str:
        """What stands behind them in the same part."""
        return self._all_words[1]

    @cached_property
    def _all_words(self) -> tuple[str, str]:
        plain = [_text(part) for part in self._parts if self._is_for_people(part)]
        if not any(text.strip() for text in plain):
            plain = [
                _without_tags(_text(part))
                for part in self._parts
                if part.get_content_type() == "text/html"
            ]
        if not any(text.strip() for text in plain):  # MIME of which nothing can be made
            plain = [_text(part) for part in self._parts]
        text = "\n".join(plain)[: 4 * LONGEST_WORDS]
        cut = _CUT.search(text)
        end = len(text) if cut is None else cut.start()
        return text[: min(end, LONGEST_WORDS)], text[end : end + LONGEST_WORDS]

    @cached_property
    def returned_headers(self) -> Message:
        """The headers of the mail that came back; empty when they did not come with it."""
        for part in self._parts:
            if self._is_returned(part):
                payload = part.get_payload()
                if isinstance(payload, list) and payload and isinstance(payload[0], Message):
                    return payload[0]
                if part["Message-ID"]:
                    return part
                return parse_headers(_text(part).lstrip())
        start = re.search(r"^(?:[A-Z][A-Za-z-]+: ?\S)", self.tail, re.MULTILINE)
        return parse_headers(self.tail[start.start() :] if start else "")

    def _is_returned(self, part: Message) -> bool:
        """Some attach the mail as it is, with its headers as those of the part."""
        return part is not self.root and (
            part.get_content_type() in RETURNED_TYPES or part["Received"] is not None
        )

    def _is_for_people(self, part: Message) -> bool:
        # Not the exact type: `text/plain` and a parameter without a semicolon is all one word.
        return part.get_content_type().startswith("text/plain") and not self._is_returned(part)

    @cached_property
    def returned(self) -> Returned:
        """What says which of our mails this was."""
        headers = self.returned_headers
        return Returned(
            message_id=_header(headers, "Message-ID"),
            list_unsubscribe=_header(headers, "List-Unsubscribe"),
            token=_header(headers, TOKEN_HEADER),
            senders=tuple(dict.fromkeys(self._senders())),
        )

    @cached_property
    def ours(self) -> tuple[str, ...]:
        """Addresses that the mail was from, as far as this message tells."""
        written = addresses(_header(self.returned_headers, "From"))
        return tuple(dict.fromkeys((*self.returned.senders, *written)))[:MOST_OF_OURS]

    def _senders(self) -> Iterator[str]:
        for name in ("Delivered-To", "X-Original-To", "Envelope-To", "To", "Cc"):
            for value in self.root.get_all(name, []):
                yield from addresses(str(value)[:LONGEST_HEADER])
        yield from addresses(_header(self.returned_headers, "Return-Path"))
        for group in self.fields:
            for name in ("Original-Mail-From", "X-Postfix-Sender", "Original-Envelope-Id"):
                yield from addresses(_header(group, name))

    @cached_property
    def fields(self) -> list[Message]:
        """The groups of fields of a delivery or feedback report."""
        for content_type in ("message/delivery-status", "message/feedback-report"):
            part = self.part(content_type)
            if part is None:
                continue
            payload = part.get_payload()
            groups = payload if isinstance(payload, list) else [payload]
            return [
                group if isinstance(group, Message) and group.keys() else _parsed(group)
                for group in groups
            ]
        return []


def _parsed(group: object) -> Message:
    """Read fields that the standard library has taken for text."""
    text = group.get_payload() if isinstance(group, Message) else group
    return parse_headers(str(text).lstrip())


def _flat(message: Message) -> Iterator[Message]:
    """Yield the parts of the message itself, not those of a mail that is attached to it."""
    if message.get_content_type() in RETURNED_TYPES or not message.is_multipart():
        yield message
        return
    if message.get_content_maintype() == "message":  # a report: its "parts" are groups of fields
        yield message
        return
    for part in message.get_payload():
        if isinstance(part, Message):
            yield from _flat(part)


def field(message: Message, name: str) -> str:
    """Return a header or a report's field as it is written; empty when there is none.

    Some write it in UTF-8 or Latin-1 as it is, of which the standard library makes question marks.
    """
    wanted = name.lower()
    value = next((str(raw) for key, raw in message.raw_items() if key.lower() == wanted), "")
    value = value[:LONGEST_HEADER]
    if value.isascii():
        return value
    octets = value.encode("utf-8", "surrogateescape")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _header(message: Message, name: str) -> str:
    text = field(message, name)
    # It may be anything but what it says it is.
    with suppress(MessageError, LookupError, ValueError):
        text = str(make_header(decode_header(text)))
    return " ".join(text.split())


def _text(part: Message) -> str:
    """Return the text of a part, whatever its charset claims to be."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    try:
        return payload.decode(part.get_content_charset() or "utf-8", "replace").replace("\r", "")
    except (LookupError, ValueError):
        return payload.decode("latin-1").replace("\r", "")


def _without_tags(html: str) -> str:
    # Not html.parser: on a page of nothing but `<a <a <a` it takes the square of its length.
    visible, *rest = re.split(r"<(?:script|style|title)\b", html[: 4 * LONGEST_WORDS], flags=re.I)
    text = visible + "".join(part.partition("</")[2] for part in rest)
    return unescape(_TAG.sub(" ", _BLOCK.sub("\n<", text)))


_BLOCK = re.compile(r"<(?=/?(?:br|p|div|tr|li|h\d)\b)", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
