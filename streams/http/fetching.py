"""Asks addresses that somebody has written into a file or a form, without being led astray.

A URL may name a host that resolves to this machine or to a neighbour of it (SSRF), another one at
the second look (DNS rebinding), or one that redirects there. So what is looked at is neither the
URL nor what a resolver has said of it but the address of each connection at the moment at which it
is made: only public addresses get a socket. It is the same for every redirect, each of which is a
connection of its own.

    is_public           which addresses are some
    public_connector    for an own session of aiohttp's; it must not be given a proxy
    check_url           what a URL must be before it is asked
    Fetcher             downloads: conditionally, with limits of size and time
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import BinaryIO, NamedTuple

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, TCPConnector
from yarl import URL

from schemas.failures import Failure
from streams.http.no_answer import why_no_answer
from streams.messages.plurals import several

CHUNK = 65_536

USER_AGENT = "Ritorno"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_IPV4_IN_IPV6 = (
    IPv6Network("::/96"),  # compatible, deprecated
    IPv6Network("64:ff9b::/96"),  # NAT64
)
"""Where the last 32 bits are an IPv4 address that is reached."""


_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that is given out of IPv6 so far (RFC 4291)."""


class FetchError(Failure):
    """Nothing was downloaded; the text says why and holds no secret."""


class FetchRefused(FetchError):
    """It is not asked, or not to the end, whenever it is tried: the URL, the address or the size
    is none that is taken."""


class FetchFailed(FetchError):
    """It may go better another time."""

    def __init__(self, text: str, *, status: int = 0, retry_after: int | None = None) -> None:
        """`status`: of HTTP; 0 where there was no answer. `retry_after`: seconds, as it asks."""
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after


class FetchLimits(NamedTuple):
    """What one download may take."""

    bytes: int = 200 << 20
    """As they travel, which may be compressed."""
    seconds: float = 300.0
    """From the first connection to the last byte, with all redirects."""
    redirects: int = 5


class Validators(NamedTuple):
    """By what a server knows which version somebody has (RFC 9110, 8.8)."""

    etag: str = ""
    last_modified: str = ""

    def headers(self) -> dict[str, str]:
        """Return the conditions of a request."""
        found = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in found.items() if value}


class Download(NamedTuple):
    """An answer."""

    url: str
    """Where it came from in the end."""
    changed: bool
    """False: it is still as the validators say, and nothing was written."""
    validators: Validators = Validators()
    size: int = 0


class _NotPublic(OSError):
    """The address of a connection is none that may be asked. All have the same text, by which it
    outlives being one of several addresses that were tried."""

    def __init__(self) -> None:
        super().__init__("it leads to an address that is not public")


def is_public(text: str) -> bool:
    """Whether an IP address is one that the whole internet reaches: not private, loopback,
    link-local, multicast, reserved, nor an IPv6 address in which such an IPv4 one is."""
    try:
        address = ip_address(text)
    except ValueError:  # an IPv6 address with a zone (`fe80::1%eth0`) that can't be read, a path
        return False
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if (inner := _ipv4_in(address)) is not None:
            return is_public(str(inner))
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _ipv4_in(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address to which an IPv6 address leads, None where it is of its own."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _IPV4_IN_IPV6):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def _is_loopback(text: str) -> bool:
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False


def public_connector(
    *, loopback: bool = False, connections: int = 16, per_host: int = 4
) -> TCPConnector:
    """Return a connector that reaches public addresses only; `loopback`: this machine too, for
    tests. What it refuses is a ClientConnectorError like what can't be reached; `was_refused` tells
    them apart."""

    def opened(
        info: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]],
    ) -> socket.socket:
        family, type_, proto, _, address = info
        if not is_public(address[0]) and not (loopback and _is_loopback(address[0])):
            raise _NotPublic
        return socket.socket(family, type_, proto)

    return TCPConnector(limit=connections, limit_per_host=per_host, socket_factory=opened)


def was_refused(error: BaseException) -> bool:
    """Whether a request has failed because its host is no public one."""
    return isinstance(error, ClientConnectorError) and isinstance(error.os_error, _NotPublic)


def check_url(text: str) -> URL:
    """Return a URL that may be asked. Raises FetchRefused naming it, without what may be secret."""
    try:
        url = URL(text)
        has_port = url.port is not None
    except ValueError:
        raise FetchRefused("not a URL that can be asked") from None
    if url.scheme not in ("http", "https") or not url.host or not has_port:
        raise FetchRefused(f"{shown_url(url)}: expected http:// or https:// and a host")
    if url.user is not None or url.password is not None:
        raise FetchRefused(f"{shown_url(url)}: no user and password in a URL, it is shown to many")
    return url.with_fragment(None)


def shown_url(url: URL) -> str:
    """Return a URL for a message: what follows the path may be a key."""
    return str(url.with_user(None).with_query(None).with_fragment(None)) if url.host else "the URL"


class Fetcher:
    """Downloads one thing at a time or several. `close` it."""

    def __init__(self, *, loopback: bool = False, limits: FetchLimits | None = None) -> None:
        """`loopback`: this machine may be asked too, for tests."""
        self._limits = limits or FetchLimits()
        self._loopback = loopback
        self._session: ClientSession | None = None

    async def fetch(
        self,
        url: str,
        into: BinaryIO,
        known: Validators | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Download:
        """Download into a file, as it travels: gzip stays gzip. `known`: of the version that is
        there already. `headers` go to the host that is named, to no other that redirects name.

        Raises FetchError.
        """
        asked = check_url(url)
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._follow(asked, into, known or Validators(), headers or {})
        except TimeoutError:
            text = f"{shown_url(asked)}: no end after {self._limits.seconds:g} s"
            raise FetchFailed(text) from None
        except ClientError as error:
            if was_refused(error):
                raise FetchRefused(f"{shown_url(asked)}: {_NotPublic()}") from None
            raise FetchFailed(f"{shown_url(asked)}: {why_no_answer(error)}") from None
        except ValueError as error:  # what aiohttp says of a redirect to nonsense
            raise FetchFailed(f"{shown_url(asked)}: {str(error)[:200]}") from None

    async def close(self) -> None:
        """Hang up."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _follow(
        self, url: URL, into: BinaryIO, known: Validators, headers: Mapping[str, str]
    ) -> Download:
        session = self._opened()
        for _ in range(self._limits.redirects + 1):
            conditions = {**known.headers(), **headers, "Accept-Encoding": "gzip"}
            async with session.get(url, headers=conditions, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    if response.status == 304 and known.headers():
                        return Download(str(url), changed=False, validators=known)
                    if response.status != 200:
                        raise FetchFailed(
                            f"{shown_url(url)}: HTTP {response.status}",
                            status=response.status,
                            retry_after=seconds_of(response.headers.get("Retry-After", "")),
                        )
                    encoding = response.headers.get("Content-Encoding", "").strip().lower()
                    if encoding not in ("", "identity", "gzip", "x-gzip"):
                        raise FetchFailed(f"{shown_url(url)}: Content-Encoding {encoding[:40]!r}")
                    size = 0
                    async for chunk in response.content.iter_chunked(CHUNK):
                        size += len(chunk)
                        if size > self._limits.bytes:
                            raise FetchRefused(
                                f"{shown_url(url)}: more than {several(self._limits.bytes, 'byte')}"
                            )
                        into.write(chunk)
                    validators = Validators(
                        response.headers.get("ETag", "")[:1_000],
                        response.headers.get("Last-Modified", "")[:100],
                    )
                    return Download(str(url), changed=True, validators=validators, size=size)
                target = response.headers.get("Location", "")
            onward = check_url(str(url.join(URL(target))))
            if url.scheme == "https" and onward.scheme != "https":
                raise FetchRefused(f"{shown_url(url)}: it redirects from https to http")
            if onward.origin() != url.origin():
                headers = {}
            url = onward
        raise FetchRefused(
            f"{shown_url(url)}: more than {several(self._limits.redirects, 'redirect')}"
        )

    def _opened(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                connector=public_connector(loopback=self._loopback),
                timeout=ClientTimeout(total=None, connect=20.0, sock_read=60.0),
                headers={"User-Agent": USER_AGENT},
                auto_decompress=False,
                trust_env=False,  # a proxy would resolve the name again, where nobody looks
            )
        return self._session


def seconds_of(retry_after: str) -> int | None:
    """Return the seconds of a Retry-After, of Shopify's `2.5` 3; None for a date, which few send,
    and for nonsense."""
    plain = re.fullmatch(r"([0-9]{1,7})(\.[0-9]{1,9})?", retry_after.strip())
    if plain is None:
        return None
    return int(plain[1]) + bool((plain[2] or "").strip(".0"))
