"""Who sends, and whether they may: the key, the page it stands in, and how much has come."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import NamedTuple

from aiohttp import web

from streams.clock import Clock
from streams.http.ingest.keys import WriteKey, WriteKeys
from streams.http.ingest.keys_file import KeysFile
from streams.http.ingest.origins import RefusedOrigins, hint
from streams.http.ingest.rates import ADDRESS_RATE, RateLimits
from streams.http.server.proxies import IPV6_NETWORK, NamedProxies

UNKNOWN = "unknown"
"""The label of all keys that are none."""

PREFLIGHT_SECONDS = 3_600
"""For which a browser remembers that it may send; what it may say is looked at each time."""

_LONGEST_KEY = 400
_HEADER_NAMES = re.compile(r"[A-Za-z0-9 ,_-]{0,400}")


class RequestRefused(Exception):
    """A request that isn't taken."""

    def __init__(
        self, status: int, reason: str, error: str, *, key: str = UNKNOWN, retry_after: int = 0
    ) -> None:
        """`reason` is a word of a closed set, `error` a sentence without secrets, `key` the id of
        the key or UNKNOWN, `retry_after` in seconds."""
        super().__init__(error)
        self.status = status
        self.reason = reason
        self.error = error
        self.key = key
        self.retry_after = retry_after


class Admitted(NamedTuple):
    """A request whose key may be used as it was."""

    key: WriteKey
    keys: WriteKeys
    address: str
    """Of whoever asks; empty where its rate is nobody's business."""
    agent: str
    """The name of the program that has sent it."""


def label(admitted: Admitted | None) -> str:
    """Return the label of a request in metrics."""
    return UNKNOWN if admitted is None else admitted.key.id


def unknown_key(problem: str) -> RequestRefused:
    """Return what is to be raised without a key that is one of ours."""
    return RequestRefused(401, "unknown_key", problem)


def unreadable(admitted: Admitted | None, reason: str, problem: str) -> RequestRefused:
    """Return what is to be raised for what can't be read."""
    return RequestRefused(400, reason, problem, key=label(admitted))


class Access:
    """Looks at keys, origins and rates."""

    def __init__(self, file: KeysFile, proxies: NamedProxies, clock: Clock) -> None:
        """What `proxies` say of whose request it is counts."""
        self._file = file
        self._refused = RefusedOrigins(clock)
        self._proxies = proxies
        self._rates = RateLimits()

    def of_head(self, request: web.Request, now: int) -> Admitted | None:
        """Return who sends, by the head of a request; None when it names no key.

        Raises RequestRefused.
        """
        value = _of_header(request.headers.get("Authorization", ""))
        if value:
            return self._admitted(request, value, now)
        value = request.query.get("writeKey", "")
        if not value:
            return None
        return self._admitted(request, value, now, in_address=True)

    def of_body(self, request: web.Request, write_key: str, now: int) -> Admitted:
        """Return who sends, by the key in a body. Raises RequestRefused."""
        if not write_key:
            raise unknown_key("no write key: send it as Basic authentication or as writeKey")
        return self._admitted(request, write_key, now)

    def take(self, admitted: Admitted, events: int, now: int) -> None:
        """So many events are being taken."""
        key = admitted.key
        self._rates.take(key.id, "", key.rate, events, now)
        if admitted.address:
            self._rates.take(key.id, admitted.address, _address_rate(key), events, now)

    async def preflight(self, request: web.Request) -> web.Response:
        """Answer a browser that asks whether a page may send."""
        origin = request.headers.get("Origin", "")
        response = web.Response(status=204)
        if origin not in self._file.current.origins:
            self._refused.note("any", origin, self._file.current.origins)
            response.set_status(403)
            return response
        self.allow(request, response)
        names = request.headers.get("Access-Control-Request-Headers", "")
        response.headers["Access-Control-Allow-Methods"] = "POST"
        if names and _HEADER_NAMES.fullmatch(names):
            response.headers["Access-Control-Allow-Headers"] = names
        response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response

    def allow(self, request: web.Request, response: web.Response) -> None:
        """Let a page of ours read the answer. Beacons come with credentials, of which we look at
        none; without this a browser would call them failed."""
        origin = request.headers.get("Origin")
        if origin is None:
            return
        response.headers["Vary"] = "Origin"
        if origin in self._file.current.origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
            response.headers["Access-Control-Expose-Headers"] = "Retry-After"

    def _admitted(
        self, request: web.Request, value: str, now: int, *, in_address: bool = False
    ) -> Admitted:
        keys = self._file.current
        key = keys.find(value) if len(value) <= _LONGEST_KEY else None
        if key is None:
            raise unknown_key("the write key is none of ours")
        if key.revoked is not None:
            raise RequestRefused(401, "revoked_key", "the write key is revoked", key=key.id)
        if in_address and not key.is_public:
            problem = "a secret key has no place in an address, which is logged everywhere"
            raise RequestRefused(401, "secret_in_address", problem, key=key.id)
        origin = request.headers.get("Origin")
        if origin is not None and origin not in key.origins:
            self._refused.note(key.id, origin, key.origins)
            problem = (
                f"Origin: {origin[:100]!r} is none of this key's; {hint(origin, key.origins)}"
                if key.is_public
                else "a secret key has no place in a page"
            )
            raise RequestRefused(403, "origin", problem, key=key.id)
        address = _network(self._proxies.address(request)) if _address_rate(key) else ""
        self._see_that_there_is_room(key, address, now)
        return Admitted(key, keys, address, request.headers.get("User-Agent", ""))

    def _see_that_there_is_room(self, key: WriteKey, address: str, now: int) -> None:
        wait = self._rates.wait(key.id, "", key.rate, now)
        reason = "key_rate"
        if not wait and address:
            wait = self._rates.wait(key.id, address, _address_rate(key), now)
            reason = "address_rate"
        if wait:
            problem = f"too many events; come again in {wait} s"
            raise RequestRefused(429, reason, problem, key=key.id, retry_after=wait)


def _address_rate(key: WriteKey) -> float | None:
    return key.address_rate or (ADDRESS_RATE if key.is_public else None)


def _of_header(header: str) -> str:
    """Return the key of an `Authorization`: the user of Basic, or a bearer's token."""
    scheme, _, rest = header.partition(" ")
    match scheme.lower():
        case "basic":
            try:
                text = base64.b64decode(rest.strip(), validate=True).decode()
            except (binascii.Error, ValueError):
                raise unknown_key("Authorization: no Basic authentication") from None
            return text.partition(":")[0]
        case "bearer":
            return rest.strip()
    return ""


def _network(address: str) -> str:
    """Return what counts as one address: of IPv6 a customer of a provider may choose 64 bits."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], IPV6_NETWORK), strict=False))
    except ValueError:
        return address
