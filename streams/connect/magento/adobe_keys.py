"""Whether an event is signed by Adobe: RSA-SHA256 over the body as it came, by one of two keys.

The headers name where the public keys lie, and anybody may write headers. So nothing is asked for a
body that doesn't name our project, and only a path is taken from them, of a form that Adobe's have,
below the one host that has them; a key is asked for once and kept, and so is that there is none.
Who knows the project and makes up paths causes a few requests in a minute and no more: what comes
beyond that is to be sent again. A key that was Adobe's is asked for again besides, and goes on
counting while nobody answers.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from schemas.time_units import HOUR_MS, MINUTE_MS
from streams.connect.connector import ShopUnavailable
from streams.http.no_answer import why_no_answer

HOST = "https://static.adobeioevents.com"
KEPT_MS = 24 * HOUR_MS
"""After which a key is asked for again. Adobe exchanges them by naming others."""
ABSENT_MS = MINUTE_MS
"""For how long it is known that there is no such key."""
MOST_KEYS = 32
ASKED_PER_MINUTE = 8
SECONDS = 4.0
"""For the key; Adobe waits ten seconds for the answer to its event."""
MOST_BYTES = 16_384
LEAST_BITS, MOST_BITS = 2_048, 8_192

_PATH = re.compile(r"/(?:[A-Za-z0-9_-]{1,64}/){0,4}[A-Za-z0-9_-]{1,128}\.pem")
"""`/prod/keys/pub-key-….pem`, as Adobe's own library describes it."""

Fetch = Callable[[str], Awaitable[bytes | None]]
"""Returns what lies at a path of Adobe's host, None for nothing. Raises ShopUnavailable."""


class _KeptKey(NamedTuple):
    key: RSAPublicKey | None
    until: int


class AdobeKeys:
    """The public keys of Adobe's that are known."""

    def __init__(self, now: Callable[[], int], fetch: Fetch | None = None) -> None:
        """`now`: ms since the epoch. `fetch`: for tests to replace."""
        self._now = now
        self._fetch = fetch or fetch_key
        self._kept: dict[str, _KeptKey] = {}
        self._asked: list[int] = []
        self._asking = asyncio.Lock()

    async def is_signed(self, body: bytes, headers: Mapping[str, str], client_id: str) -> bool:
        """Whether one of the two signatures is Adobe's, of what names our project (`client_id`).
        `headers`: names in small letters. Raises ShopUnavailable when the key can't be had now."""
        if client_id.encode() not in body:
            return False
        for number in ("1", "2"):
            signature = _signature(headers.get(f"x-adobe-digital-signature-{number}", ""))
            path = headers.get(f"x-adobe-public-key{number}-path", "")
            if not signature or not _PATH.fullmatch(path):
                continue
            key = await self._key(path)
            if key is not None and _verifies(key, signature, body):
                return True
        return False

    async def _key(self, path: str) -> RSAPublicKey | None:
        kept = self._kept.get(path)
        if kept is not None and self._now() < kept.until:
            return kept.key
        async with self._asking:
            kept, now = self._kept.get(path), self._now()
            if kept is not None and now < kept.until:
                return kept.key
            if kept is not None and kept.key is not None:
                return await self._renewed(path, kept.key, now)
            self._asked = [each for each in self._asked if now - each < MINUTE_MS]
            if len(self._asked) >= ASKED_PER_MINUTE:
                raise ShopUnavailable("too many unknown keys of Adobe's are named")
            self._asked.append(now)
            content = await self._fetch(path)
            key = None if content is None else _public_key(content)
            self._kept.pop(path, None)
            while len(self._kept) >= MOST_KEYS:
                del self._kept[self._least_wanted()]
            self._kept[path] = _KeptKey(key, now + (KEPT_MS if key is not None else ABSENT_MS))
            return key

    async def _renewed(self, path: str, key: RSAPublicKey, now: int) -> RSAPublicKey | None:
        """Ask again for a key that was Adobe's; it stays where nobody answers."""
        try:
            content = await self._fetch(path)
        except ShopUnavailable:
            self._kept[path] = _KeptKey(key, now + ABSENT_MS)
            return key
        found = None if content is None else _public_key(content)
        self._kept[path] = _KeptKey(found, now + (ABSENT_MS if found is None else KEPT_MS))
        return found

    def _least_wanted(self) -> str:
        """Return a path where no key is, else the key that was asked for first."""
        absent = (path for path, kept in self._kept.items() if kept.key is None)
        return next(absent, next(iter(self._kept)))


async def fetch_key(path: str) -> bytes | None:
    """Return what lies at a path of Adobe's host. Raises ShopUnavailable."""
    timeout = ClientTimeout(total=SECONDS)
    try:
        async with (
            ClientSession(timeout=timeout) as session,
            session.get(HOST + path, allow_redirects=False) as response,
        ):
            if response.status in (403, 404):
                return None
            if response.status != 200:
                raise ShopUnavailable(f"{HOST}: {response.status}")
            content = await response.content.read(MOST_BYTES + 1)
            return content if len(content) <= MOST_BYTES else None
    except (TimeoutError, ClientError, OSError) as error:
        raise ShopUnavailable(f"{HOST}: {why_no_answer(error)}") from None


def _signature(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True) if len(text) <= 2_000 else b""
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return b""


def _public_key(content: bytes) -> RSAPublicKey | None:
    try:
        key = load_pem_public_key(content)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, RSAPublicKey) or not LEAST_BITS <= key.key_size <= MOST_BITS:
        return None
    return key


def _verifies(key: RSAPublicKey, signature: bytes, body: bytes) -> bool:
    try:
        key.verify(signature, body, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
