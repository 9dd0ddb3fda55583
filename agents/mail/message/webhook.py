"""Webhooks: what is posted, and how the receiver can tell that it comes from us.

Signed as Standard Webhooks says (standardwebhooks.com), for which there are libraries in every
language: `webhook-signature` is `v1,` and the base64 of the HMAC-SHA256 of `ID.TIMESTAMP.BODY`, the
very bytes. Id and time are signed with the body, so that whoever has recorded a request can neither
send it again under another id nor once it is old: the receiver refuses what is more than five
minutes away, and an id that it has had.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from schemas.commands import NotifyCommand
from schemas.trace import TRACEPARENT

ID_HEADER = "webhook-id"
"""The same for each repetition."""
TIME_HEADER = "webhook-timestamp"
"""Of this attempt, in seconds since the epoch."""
SIGNATURE_HEADER = "webhook-signature"
"""One for each secret, with blanks in between: while one is exchanged either verifies."""

_BASE64 = "whsec_"


class InvalidUrl(ValueError):
    """Nothing can be posted there. The text says why, without what a query may hold."""


class Request(NamedTuple):
    """One POST: of the same command always the same body and id, each time with its own time."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def read_secrets(text: str) -> tuple[bytes, ...]:
    """Read `SECRET[,SECRET]`; `whsec_` and base64 is those bytes, as the libraries expect, anything
    else its own. Raises ValueError."""
    return tuple(_secret(part.strip()) for part in text.split(",") if part.strip())


def request(command: NotifyCommand, secrets: Sequence[bytes], now: int) -> Request:
    """Return what is posted at `now` (ms), unsigned when there is no secret. Raises InvalidUrl."""
    body = json.dumps(command.body, ensure_ascii=False, separators=(",", ":")).encode()
    posted = signed_request(command.url, command.id, body, secrets, now)
    if not command.traceparent:
        return posted
    return posted._replace(headers={**posted.headers, TRACEPARENT: command.traceparent})


def signed_request(url: str, id_: str, body: bytes, secrets: Sequence[bytes], now: int) -> Request:
    """Return the POST of a JSON text at `now` (ms), signed by each secret. Raises InvalidUrl."""
    check_url(url)
    seconds = str(now // 1000)
    headers = {"Content-Type": "application/json", ID_HEADER: id_, TIME_HEADER: seconds}
    if secrets:
        each = (signature(secret, id_, seconds, body) for secret in secrets)
        headers[SIGNATURE_HEADER] = " ".join(each)
    return Request(url, headers, body)


def signature(secret: bytes, id_: str, seconds: str, body: bytes) -> str:
    """Return one signature, as it stands in the header."""
    digest = hmac.digest(secret, b".".join((id_.encode(), seconds.encode(), body)), hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def _secret(text: str) -> bytes:
    if not text.startswith(_BASE64):
        return text.encode()
    try:
        secret = base64.b64decode(text.removeprefix(_BASE64), validate=True)
    except binascii.Error:
        raise ValueError(f"what follows {_BASE64} must be base64") from None
    if len(secret) < 24:  # what Standard Webhooks asks for
        raise ValueError(f"what follows {_BASE64} must stand for 24 bytes or more")
    return secret


def check_url(url: str) -> None:
    """Raise InvalidUrl for what nothing can be posted to."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(ord(character) <= 32 for character in url):
        raise InvalidUrl(f"url: expected https://HOST[/PATH] (got {url[:64]!r})")
