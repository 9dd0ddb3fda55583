"""Asking a shop's API, within its limits and ours.

A request is tried a few times: again after what the shop says (`Retry-After`) when it is asked too
often (429, Shopify also 430) or is busy (503), after growing pauses where it fails or doesn't
answer. Redirects are not followed, and the next page that an answer names is asked for only where
it is on the shop's own host: our key goes with it. Sums are read as decimals, never as floats.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    TCPConnector,
)

from schemas import halved
from schemas.instant import from_datetime
from streams.connect.connector import ShopRefuses, ShopUnavailable
from streams.http.fetching import seconds_of
from streams.http.no_answer import why_no_answer

ATTEMPTS = 5
"""Of one request. With the pauses below a shop may be away for half a minute."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds; each pause is twice the one before it, and between a half and all of that."""
LONGEST_RETRY_AFTER = 60.0
"""Seconds that a shop may have us wait; who says more is asked again at the next poll."""
SECONDS = 30.0
"""For one answer."""
MOST_BYTES = 33_554_432
"""Of one answer: 250 orders of 100 lines have some 20 MB."""
AT_ONCE = 4
"""Connections to one shop."""

THROTTLED = frozenset({429, 430})
_BUSY = frozenset({408, 425, 500, 502, 503, 504, 520, 522, 524})
_REFUSED = frozenset({401, 402, 403, 404, 405, 406, 410, 422, 423})

Pause = Callable[[float], Awaitable[None]]


class ShopAnswer(NamedTuple):
    """What a shop has answered."""

    status: int
    headers: Mapping[str, str]
    body: Any
    """Parsed JSON; numbers with a point are decimals."""

    def rows(self, name: str = "") -> list[dict[str, Any]]:
        """Return the objects of the list that was asked for, below a `name` where the shop gives
        it one. Raises ShopUnavailable for an answer without a list, as of a page that says that
        the shop is closed for a moment: it is not the end of what there is."""
        found = self.body
        if name:
            found = found.get(name) if isinstance(found, dict) else None
        if not isinstance(found, list):
            raise ShopUnavailable(f"The answer has no list{f' of {name}' if name else ''}")
        return [each for each in found if isinstance(each, dict)]

    def one(self, name: str) -> dict[str, Any]:
        """Return the object that was asked for, which the shop gives a `name`. Raises
        ShopUnavailable for an answer without it: a shop that has no such thing says 404."""
        found = self.body.get(name) if isinstance(self.body, dict) else None
        if not isinstance(found, dict):
            raise ShopUnavailable(f"The answer has no {name}")
        return found

    def next_link(self) -> str:
        """Return the address of the next page (`Link: <…>; rel="next"`, RFC 8288), empty at the
        last one."""
        for target, parameters in _LINK.findall(self.headers.get("Link", "")):
            if _NEXT.search(parameters):
                return str(target)
        return ""

    def number(self, header: str) -> int | None:
        """Return what a header counts; None where it counts nothing."""
        text = self.headers.get(header, "").strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


_LINK = re.compile(r"<([^<>]{1,4096})>((?:\s*;\s*[^,;]{1,200})*)")
_NEXT = re.compile(r"""\brel\s*=\s*"?next\b""", re.IGNORECASE)


class ShopApi:
    """One shop's API. `close` it."""

    def __init__(
        self,
        base: str,
        headers: Callable[[], Mapping[str, str]],
        *,
        pause: Pause = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        seconds: float = SECONDS,
    ) -> None:
        """`base`: what all paths begin with. `headers`: who asks, read for each request, since keys
        are exchanged. `pause` and `chance` (from 0 to 1) are for tests to replace."""
        self.base = base.rstrip("/")
        self._headers = headers
        self._pause = pause
        self._chance = chance
        self._timeout = ClientTimeout(total=seconds)
        self._session: ClientSession | None = None
        self.skew_ms: int | None = None
        """By how much the shop's clock is ahead of ours, as its last answer has told; to the
        second."""
        self.now: Callable[[], int] | None = None
        """Our clock, where the skew is wanted."""

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> ShopAnswer:
        """Ask for something; `path` below the base, or a whole address of the shop's. Raises
        ShopUnavailable, ShopRefuses."""
        return await self.ask("GET", path, query=query)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        attempts: int = ATTEMPTS,
        seconds: float | None = None,
    ) -> ShopAnswer:
        """Send a request until it is answered. `seconds`: for all attempts together. Raises
        ShopUnavailable, ShopRefuses."""
        url = self._url(path)
        asked = f"{method} {urlsplit(url).path}"
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(method, url, asked, query, body, attempts)
        except TimeoutError:
            raise ShopUnavailable(f"{asked}: no answer within {seconds} s") from None

    async def close(self) -> None:
        """Hang up."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _url(self, path: str) -> str:
        if "://" not in path:
            return f"{self.base}/{path.lstrip('/')}"
        there, ours = urlsplit(path), urlsplit(self.base)
        if (there.scheme, there.netloc) != (ours.scheme, ours.netloc):
            raise ShopUnavailable(f"The next page is said to be at {there.netloc[:100]!r}, which "
                                  "is another host: our key is not sent there")  # fmt: skip
        return path

    async def _ask(
        self,
        method: str,
        url: str,
        asked: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        attempts: int,
    ) -> ShopAnswer:
        for attempt in range(1, attempts + 1):
            problem, wait, unreached = "", 0.0, False
            try:
                answer = await self._once(method, url, query, body)
            except (TimeoutError, ClientError, OSError) as error:
                problem = f"{asked}: {why_no_answer(error)}"
                unreached = isinstance(error, ClientConnectorError)
            except ValueError as error:  # not JSON, or too much of it
                problem = f"{asked}: {error}"
            else:
                if answer.status < 300:
                    return answer
                problem = f"{asked}: {answer.status}{_explanation(answer.body)}"
                if answer.status in _REFUSED:
                    raise ShopRefuses(problem)
                if answer.status not in THROTTLED and answer.status not in _BUSY:
                    raise ShopUnavailable(problem)
                wait = float(seconds_of(answer.headers.get("Retry-After", "")) or 0)
                if wait > LONGEST_RETRY_AFTER:
                    raise ShopUnavailable(f"{problem}: to be asked again in {wait:.0f} s")
            if attempt == attempts:
                break
            grown = min(FIRST_PAUSE * 2.0 ** (attempt - 1), LONGEST_PAUSE)
            await self._pause(wait + grown * (0.5 + self._chance() / 2))
        raise ShopUnavailable(f"{problem}, {attempts} times", unreached=unreached)

    async def _once(
        self,
        method: str,
        url: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> ShopAnswer:
        if self._session is None:
            self._session = ClientSession(
                timeout=self._timeout,
                connector=TCPConnector(limit=AT_ONCE),
                headers={"User-Agent": "Ritorno", "Accept": "application/json"},
            )
        async with self._session.request(
            method,
            url,
            params=query,
            json=body,
            headers=self._headers(),
            allow_redirects=False,
        ) as response:
            content = await _read(response)
            self._note_skew(response.headers.get("Date", ""))
            parsed = _parsed(content, response.status) if content.strip() else None
            return ShopAnswer(response.status, response.headers, parsed)

    def _note_skew(self, date: str) -> None:
        if self.now is None:
            return
        try:
            told = from_datetime(parsedate_to_datetime(date))
        except (ValueError, TypeError, IndexError):
            return
        self.skew_ms = told - self.now() // 1000 * 1000


async def _read(response: ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_chunked(65_536):
        size += len(chunk)
        if size > MOST_BYTES:
            raise ValueError(f"an answer of more than {MOST_BYTES:,} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _parsed(content: bytes, status: int) -> Any:
    """Return what an answer says; None for an error that is explained in HTML. Raises ValueError
    for an answer that is no JSON, as a PHP warning or a page of maintenance is."""
    try:
        return parse_json(content)
    except ValueError:
        if status >= 300 and content.lstrip()[:1] == b"<":
            return None
        raise ValueError("the answer is no JSON") from None


def parse_json(content: bytes) -> Any:
    """Return what JSON says, numbers with a point as decimals; for half of an emoji, which PHP and
    JavaScript write, there is U+FFFD. Raises ValueError."""
    if b"\\ud" in content or b"\\uD" in content:
        content = halved.whole(content)
    try:
        return json.loads(content, parse_float=_decimal, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _decimal(text: str) -> Decimal:
    if len(text) > 40:
        raise ValueError(f"a number of {len(text)} digits")
    return Decimal(text)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _explanation(body: Any) -> str:
    """Return what a shop says of why not, as far as it is short."""
    if not isinstance(body, dict):
        return ""
    said = body.get("errors", body.get("message", body.get("error")))
    text = said if isinstance(said, str) else json.dumps(said, default=str) if said else ""
    plain = "".join(each if each.isprintable() else " " for each in text[:200])
    return f" ({plain})" if plain else ""
