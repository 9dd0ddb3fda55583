"""Tokens: what the links in our mails say, sealed.

A token is `KEYID.SEALED`. Nobody can read one (ids may be addresses, and a shop's reports none of
their business), change one, or use one for another purpose than its own, since each purpose has
a key of its own. The key id lets the shop change its secret: new links are sealed with the first
key, old links stay valid while their key is listed.

AES-SIV seals the same content to the same token, which others must not do: a mail that is sent
again must have the same bytes, and in anonymous tracking everybody's link must be the same.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from agents.mail.settings import SigningKey
from schemas.commands import MailClass, TrackingMode
from schemas.key_ring import follow

MAX_TOKEN = 6_000
"""A link of 2,048 characters, the longest that an event may bring, and ids of 200 each, in base64.
Anything longer was not made by us."""


class BadToken(ValueError):
    """Not made by us, or by a key that is no longer listed, or for another purpose."""


class Unsubscribe(msgspec.Struct, frozen=True, array_like=True):
    """Ends marketing. Never expires."""

    customer: str
    command_id: str
    time: int = 0
    """When the mail was decided, ms since the epoch."""


class Preferences(msgspec.Struct, frozen=True, array_like=True):
    """Opens the page on which customers say what they want."""

    customer: str
    command_id: str
    time: int
    lists: tuple[str, ...] = ()
    """Lists that the mail asks about, which the customer may never have heard of."""


class View(msgspec.Struct, frozen=True, array_like=True):
    """Shows a mail in the browser, as long as its command is kept."""

    customer: str
    command_id: str
    time: int


class Confirm(msgspec.Struct, frozen=True, array_like=True):
    """Confirms a subscription (double opt-in)."""

    customer: str
    command_id: str
    list: str
    expires: int
    """ms since the epoch."""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """Answers the question of a mail. Never expires."""

    customer: str
    command_id: str
    survey: str
    answer: str
    """What it means, for workflows."""
    question: str = ""
    """As the mail asks it, as is the next one: for the page."""
    label: str = ""


class HitSource(msgspec.Struct, frozen=True, array_like=True):
    """Which mail a hit belongs to, as closely as the mode allows."""

    mode: TrackingMode
    workflow: str
    step: str
    template: str
    mail_class: MailClass
    time: int = 0
    """When it was decided; 0 where the token is everybody's."""
    mail: str = ""
    """Stands for the mail; empty where the token is everybody's."""
    person: str = ""
    """Stands for the recipient, for a month; empty likewise."""
    customer: str = ""
    """Only in identified mode, as is the next one."""
    command_id: str = ""


class OpenToken(msgspec.Struct, frozen=True, array_like=True):
    """Counts an opening."""

    source: HitSource


class Click(msgspec.Struct, frozen=True, array_like=True):
    """Leads to a page, and counts that somebody went there."""

    source: HitSource
    link: int
    """Which of the mail's links, counted from 1."""
    links: int
    """How many there are."""
    target: str


Content = Unsubscribe | Preferences | View | Confirm | Answer | OpenToken | Click
ContentT = TypeVar("ContentT", Unsubscribe, Preferences, View, Confirm, Answer, OpenToken, Click)

_PURPOSES: dict[type[Content], bytes] = {
    Unsubscribe: b"unsubscribe",
    Preferences: b"preferences",
    View: b"view",
    Confirm: b"confirm",
    Answer: b"answer",
    OpenToken: b"open",
    Click: b"click",
}

_KEY_BYTES = 64
"""AES-SIV takes two keys of 256 bits as one."""


class Tokens:
    """Makes and reads tokens."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        """The first of `keys` seals, all of them open."""
        follow(keys, self._derive)

    def _derive(self, keys: Sequence[SigningKey]) -> None:
        self._current = keys[0].id
        self._seals = {
            (key.id, kind): AESSIV(derive(key, b"ritorno." + purpose, _KEY_BYTES))
            for key in keys
            for kind, purpose in _PURPOSES.items()
        }

    def make(self, content: Content) -> str:
        """Return the token, safe in a URL's path."""
        seal = self._seals[self._current, type(content)]
        sealed = seal.encrypt(msgspec.msgpack.encode(content), None)
        return f"{self._current}.{urlsafe_b64encode(sealed).decode('ascii').rstrip('=')}"

    def read(self, token: str, kind: type[ContentT]) -> ContentT:
        """Return what a token of a kind says. Raises BadToken."""
        key_id, dot, sealed = token.partition(".")
        seal = self._seals.get((key_id, kind))
        if not dot or seal is None or len(token) > MAX_TOKEN:
            raise BadToken
        try:
            content = seal.decrypt(_bytes(sealed), None)
            return msgspec.msgpack.decode(content, type=kind)
        except (InvalidTag, Error, ValueError):  # ValueError: not ASCII, or not of this kind
            raise BadToken from None


def derive(key: SigningKey, purpose: bytes, length: int) -> bytes:
    """Return a key of its own for a purpose, made of the shop's secret."""
    return HKDF(SHA512(), length, salt=None, info=purpose).derive(key.secret.encode())


def _bytes(sealed: str) -> bytes:
    """Read base64 without padding; only as it was written, so that a token has one form."""
    content = urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    if urlsafe_b64encode(content).decode("ascii").rstrip("=") != sealed:
        raise BadToken
    return content
