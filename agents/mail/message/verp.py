"""Return addresses: a mail's envelope sender says which mail a bounce is about (VERP).

    <token>@bounces.shop.example

A token names the command and the customer. Nobody can read one (a customer's id may be an address)
or make one; the shop's keys seal it as they do its links. Servers on the way may turn a local part
into lower case and need not take more than 64 characters (RFC 5321, 4.5.3.1.1), so it is base32,
and says of a customer with a long id only that the command is ours. Every mail has the whole token
in a header as well, which comes back with most reports and complaints.

    token  = form, base32(tag, command, sealed)     form: how the id is written, and whose
    sealed = customer xor HMAC(key, pad, command)   a command's id is used once, so is its pad
    tag    = HMAC(key, form, command, sealed)       the first 7 bytes
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from base64 import b32decode, b32encode
from binascii import Error
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agents.mail.settings import SigningKey
from schemas.key_ring import follow
from schemas.reference import id_of, is_visitors, of_visitor

HEADER = "X-Ritorno-Mail"
"""The whole token, in every mail."""

LONGEST_LOCAL_PART = 64

TAG_BYTES = 7
"""Guessing takes 2⁵⁵ mails, and wins the loss of one customer's mails. One byte more, and the
command's 16 and an UUID's 16 would not fit into 64 characters."""

COMMAND_BYTES = 16
"""A command's id is 32 hex digits (`agents/digests.py`)."""

MAX_TOKEN = 900
"""Characters: a header's line has at most 998, and folding would damage it. An id of a customer
may have 200 characters; a longer token is for nobody but 200 emoji, and does without them."""

GENERIC = "bounce"
"""Local part of the sender of a mail whose command can't be named: its id is none of ours."""

FEEDBACK = "feedback"
"""Local part to which providers may be told to send complaints."""

_PURPOSE = b"ritorno.return"


class BadReference(ValueError):
    """Not sealed by us, or by a key that is no longer listed."""


class Reference(NamedTuple):
    """Which mail it was."""

    command_id: str
    customer: str
    """Empty where the token had no room for it."""


class ReturnAddresses:
    """Makes and reads return addresses."""

    def __init__(self, keys: Sequence[SigningKey], domain: str = "") -> None:
        """The first of `keys` seals, all of them open. Without a domain there are only headers."""
        follow(keys, self._derive)
        self.domain = domain.lower()

    def _derive(self, keys: Sequence[SigningKey]) -> None:
        self._keys = [hashlib.sha256(_PURPOSE + key.secret.encode()).digest() for key in keys]

    def sender(self, command_id: str, customer: str) -> str:
        """Return the envelope sender of a mail; only with a domain."""
        local = self.token(command_id, customer)
        if len(local) > LONGEST_LOCAL_PART:
            local = self.token(command_id, "")
        return f"{local or GENERIC}@{self.domain}"

    def token(self, command_id: str, customer: str) -> str:
        """Return the token, empty for a command whose id is none of ours."""
        command = _command_bytes(command_id)
        if command is None:
            return ""
        token = self._sealed(command, customer)
        return token if len(token) <= MAX_TOKEN else self._sealed(command, "")

    def _sealed(self, command: bytes, customer: str) -> str:
        form, plain = _packed(customer)
        key = self._keys[0]
        sealed = _xor(plain, _pad(key, command, len(plain)))
        content = _tag(key, form, command, sealed) + command + sealed
        return form + b32encode(content).decode("ascii").rstrip("=").lower()

    def read(self, token: str) -> Reference:
        """Return what a token says. Raises BadReference."""
        form, content = token[:1].lower(), _decoded(token[1:])
        tag, command = content[:TAG_BYTES], content[TAG_BYTES : TAG_BYTES + COMMAND_BYTES]
        sealed = content[TAG_BYTES + COMMAND_BYTES :]
        if form not in _FORMS or len(command) < COMMAND_BYTES:
            raise BadReference
        for key in self._keys:
            if hmac.compare_digest(tag, _tag(key, form, command, sealed)):
                plain = _xor(sealed, _pad(key, command, len(sealed)))
                return Reference(command.hex(), _unpacked(form, plain))
        raise BadReference

    def local_part(self, address: str) -> str | None:
        """Return the local part of an address at our domain, None for another's."""
        local, at, domain = address.rpartition("@")
        return local if at and self.domain and domain.lower() == self.domain else None


# How a customer's id is written: not at all, an UUID as its bytes, decimal digits, any text; and a
# visitor's id likewise.
_OF_VISITORS = {"u": "v", "d": "e", "t": "w"}
_FORMS = frozenset("n") | frozenset(_OF_VISITORS) | frozenset(_OF_VISITORS.values())


def _packed(customer: str) -> tuple[str, bytes]:
    if not customer:
        return "n", b""
    if is_visitors(customer):
        form, plain = _packed(id_of(customer))
        return _OF_VISITORS[form], plain
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", customer):
        return "u", uuid.UUID(customer).bytes
    if re.fullmatch(r"[1-9][0-9]{0,37}", customer):
        number = int(customer)
        return "d", number.to_bytes((number.bit_length() + 7) // 8, "big")
    return "t", customer.encode()


def _unpacked(form: str, plain: bytes) -> str:
    for customers, visitors in _OF_VISITORS.items():
        if form == visitors:
            return of_visitor(_unpacked(customers, plain))
    match form:
        case "u":
            return str(uuid.UUID(bytes=plain))
        case "d":
            return str(int.from_bytes(plain, "big"))
        case _:
            return plain.decode()


def _command_bytes(command_id: str) -> bytes | None:
    return bytes.fromhex(command_id) if re.fullmatch(r"[0-9a-f]{32}", command_id) else None


def _decoded(text: str) -> bytes:
    """Read base32 without padding, in either case."""
    if len(text) > MAX_TOKEN:
        raise BadReference
    try:
        return b32decode(text.upper() + "=" * (-len(text) % 8))
    except (Error, ValueError):
        raise BadReference from None


def _tag(key: bytes, form: str, command: bytes, sealed: bytes) -> bytes:
    return _mac(key, b"tag", form.encode(), command, sealed)[:TAG_BYTES]


def _pad(key: bytes, command: bytes, length: int) -> bytes:
    """Return as many bytes as are needed, which nobody without the key can tell from chance."""
    return b"".join(_pad_blocks(key, command, length))[:length]


def _pad_blocks(key: bytes, command: bytes, length: int) -> Iterator[bytes]:
    for number in range(-(-length // hashlib.sha256().digest_size)):
        yield _mac(key, b"pad", number.to_bytes(1, "big"), command)


def _mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(parts), "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
