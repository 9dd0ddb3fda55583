"""Webhooks: what is posted, and how the receiver can tell that it comes from us.

The body is signed as Shopify and WooCommerce sign theirs, so a receiver that verifies those needs
nothing new: base64 of the HMAC-SHA256 of the very bytes of the body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from schemas.commands import NotifyCommand

ID_HEADER = "X-Ritorno-Id"
SIGNATURE_HEADER = "X-Ritorno-Signature"


class InvalidUrl(ValueError):
    """Nothing can be posted there. The text says why, without what a query may hold."""


class Request(NamedTuple):
    """One POST; the same bytes for the same command, however often it is sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def request(command: NotifyCommand, secret: str) -> Request:
    """Return what is posted, unsigned when there is no secret. Raises InvalidUrl."""
    _check(command.url)
    body = json.dumps(command.body, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json", ID_HEADER: command.id}
    if secret:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        headers[SIGNATURE_HEADER] = base64.b64encode(digest).decode()
    return Request(command.url, headers, body)


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(ord(character) <= 32 for character in url):
        raise InvalidUrl(f"url: expected https://HOST[/PATH] (got {url[:64]!r})")
