"""Whether what came is signed with one of a shop's secrets.

It is the bytes as they came that are signed: JSON that was read and written again has other blanks
and escapes. All secrets are tried whatever the first says, and each is compared in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable

TIMESTAMP_TOLERANCE_MS = 300_000
"""By how much the time of a timestamped signature may differ from ours, either way."""

_DIGEST_BYTES = 32


def is_signed_base64(body: bytes, given: str, secrets: Iterable[bytes]) -> bool:
    """Whether `given` is the base64 of the body's HMAC-SHA256, as Shopify and WooCommerce write
    it."""
    return _is_one_of(_from_base64(given), body, secrets)


def is_signed_timestamped(
    body: bytes, given: str, timestamp: str, secrets: Iterable[bytes], *, now: int
) -> bool:
    """Whether `given` (hex, with or without `sha256=`) signs `TIMESTAMP.BODY`, and the timestamp,
    in seconds or ms since the epoch, is of now (ms)."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 16):
        return False
    time = int(timestamp) * (1 if len(timestamp) > 11 else 1000)
    signed = timestamp.encode() + b"." + body
    is_signed = _is_one_of(_from_hex(given.removeprefix("sha256=")), signed, secrets)
    return is_signed and abs(time - now) <= TIMESTAMP_TOLERANCE_MS


def sign_base64(body: bytes, secret: bytes) -> str:
    """Return the signature of a body as Shopify and WooCommerce write it."""
    return base64.b64encode(hmac.digest(secret, body, "sha256")).decode()


def _is_one_of(given: bytes, signed: bytes, secrets: Iterable[bytes]) -> bool:
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(hmac.digest(secret, signed, "sha256"), given)
    return found


def _from_base64(text: str) -> bytes:
    """Return what a signature says; nothing that any body has where it is none."""
    try:
        given = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return b""
    # Another text for the same bytes (`…x1=` and `…x0=`) is none that a shop writes.
    same = base64.b64encode(given).decode() == text
    return given if same and len(given) == _DIGEST_BYTES else b""


def _from_hex(text: str) -> bytes:
    try:
        given = bytes.fromhex(text)
    except ValueError:
        return b""
    return given if len(text) == 2 * _DIGEST_BYTES else b""
