"""Who may ask what a worker keeps: whoever has one of `RITORNO_TOKEN_KEYS`.

A request is signed over its path and the time at which it was made, the answer over that signature
and what it says, so that neither can be made up by whoever reaches the port or stands in for it.
A request that somebody has listened to can be repeated for `WINDOW_MS`, and gets what it got: all
of them only read. Nothing is encrypted; the port belongs into the network of the workers.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

from agents.mail.settings import SigningKey
from schemas.key_ring import follow
from schemas.time_units import MINUTE_MS

HEADER = "X-Ritorno-Signature"

WINDOW_MS = MINUTE_MS
"""By so much the clocks of two machines may differ, and so long a request can be repeated."""


class Unsigned(Exception):
    """A request or an answer that nobody with our keys has made; the text says what is wrong."""


class Signature(NamedTuple):
    """`KEY:TIME:DIGEST` in a header."""

    key: str
    time: int
    digest: str

    def __str__(self) -> str:
        return f"{self.key}:{self.time}:{self.digest}"


class RequestSigner:
    """Signs and checks with keys derived from those of links."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        """The first of `keys` signs, all of them are accepted."""
        follow(keys, self._derive)

    def _derive(self, keys: Sequence[SigningKey]) -> None:
        self._first = keys[0].id
        self._keys = {
            each.id: hashlib.blake2b(
                each.secret.encode(), digest_size=32, person=b"lookups"
            ).digest()
            for each in keys
        }

    def request(self, path: str, now: int) -> Signature:
        """Sign a request for `path`, its query included, at `now` (ms)."""
        return Signature(self._first, now, self._digest(self._first, "ask", str(now), path))

    def check_request(self, header: str, path: str, now: int) -> Signature:
        """Return the signature of a request. Raises Unsigned."""
        signature = _read(header)
        if abs(now - signature.time) > WINDOW_MS:
            raise Unsigned(f"made {abs(now - signature.time) // 1000} s from now")
        self._compare(signature, "ask", str(signature.time), path)
        return signature

    def answer(self, asked: Signature, status: int, body: bytes) -> Signature:
        """Sign the answer to a request."""
        digest = self._digest(asked.key, "answer", asked.digest, str(status), body)
        return Signature(asked.key, asked.time, digest)

    def check_answer(self, header: str, asked: Signature, status: int, body: bytes) -> None:
        """Raise Unsigned unless this answers `asked`."""
        signature = _read(header)
        if (signature.key, signature.time) != (asked.key, asked.time):
            raise Unsigned("answers another request")
        self._compare(signature, "answer", asked.digest, str(status), body)

    def _compare(self, signature: Signature, *parts: str | bytes) -> None:
        if signature.key not in self._keys:
            raise Unsigned("signed with a key that is none of ours")
        if not hmac.compare_digest(self._digest(signature.key, *parts), signature.digest):
            raise Unsigned("the signature doesn't fit")

    def _digest(self, key: str, *parts: str | bytes) -> str:
        whole = hmac.new(self._keys[key], digestmod=hashlib.sha256)
        for part in parts:
            content = part.encode() if isinstance(part, str) else part
            whole.update(len(content).to_bytes(8) + content)  # so that no two parts run together
        return whole.hexdigest()


def _read(header: str) -> Signature:
    key, _, rest = header.partition(":")
    time, _, digest = rest.partition(":")
    if not (key and digest.isascii() and time.isascii() and time.isdigit() and len(time) < 16):
        raise Unsigned("carries no signature")
    return Signature(key, int(time), digest)
