"""Whose request it is: who is connected, or, where that is a proxy of ours, who it says it is.

Anybody can write an `X-Forwarded-For`. It is believed from proxies that are named
(`RITORNO_PUBLIC_PROXIES`), read from its end, as far as named proxies go: the first address that is
none of them is what the last of them has seen.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from aiohttp import web

IPV6_NETWORK = 64
"""Bits that a customer of a provider has in common; the rest they may choose as they like."""

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class NamedProxies:
    """The proxies whose word is taken."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """`networks`: ADDRESS or ADDRESS/BITS of each. Raises ValueError."""
        self._networks = [ipaddress.ip_network(each, strict=False) for each in networks]

    def address(self, request: web.BaseRequest) -> str:
        """Return the address of whoever asks, empty when there is none (a socket file)."""
        return self._read(request)[0]

    def told(self, request: web.BaseRequest) -> str | None:
        """Return what counts as one asker, when a named proxy tells; None for all others: behind
        one address that connects there may be a whole company, or a proxy that isn't named."""
        address, is_told = self._read(request)
        if not is_told:
            return None
        ip = _ip(address)
        if isinstance(ip, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((ip, IPV6_NETWORK), strict=False))
        return address

    def _read(self, request: web.BaseRequest) -> tuple[str, bool]:
        address, is_told = request.remote or "", False
        if not self._networks:
            return address, False
        for said in reversed(_forwarded(request.headers.getall("X-Forwarded-For", []))):
            if not self._is_named(address):
                break
            ip = _ip(said)
            if ip is None:  # what comes before it nobody vouches for
                break
            address, is_told = str(ip), True
        return address, is_told

    def _is_named(self, address: str) -> bool:
        ip = _ip(address)
        return ip is not None and any(ip in network for network in self._networks)


def _forwarded(headers: Sequence[str]) -> list[str]:
    return [each.strip() for header in headers for each in header.split(",")]


def _ip(text: str) -> Ip | None:
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip
