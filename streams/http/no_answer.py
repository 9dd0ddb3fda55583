"""Why a request got no answer, in words for whoever wrote the address."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientPayloadError,
    ClientSSLError,
    InvalidURL,
    ServerDisconnectedError,
)

_REFUSED = (errno.ECONNREFUSED,)
_NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
_BROKEN = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)

MAX_SAID = 200
"""Characters of what a library says."""


def why_no_answer(error: BaseException) -> str:
    """Return why aiohttp has raised `error`: without the URL's path and query, which may hold a
    key."""
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words(error)
    return f"no answer ({type(error).__name__})"


def _unconnected(where: str, error: OSError) -> str:
    if error.errno in _REFUSED:
        return f"the connection to {where} is refused: nothing listens there"
    if error.errno in _NO_NETWORK:
        return f"{where} can't be reached: there is no way to its network"
    if error.errno in _BROKEN:
        return f"{where} broke off the connection"
    return f"{where} can't be reached: {_said(error)}"


def _said(error: BaseException) -> str:
    of_certificate = getattr(error, "certificate_error", None)
    said = getattr(of_certificate, "verify_message", "") or getattr(error, "strerror", "")
    return " ".join(str(said or of_certificate or error).split())[:MAX_SAID]


# The first that fits counts: each is a kind of one below it.
_WORDS: tuple[tuple[type[BaseException], Callable[[Any], str]], ...] = (
    (ClientConnectorDNSError, lambda error: (
        f"the name {error.host} is not known (DNS): it is misspelled, there is no such host, or "
        "this machine reaches no name server"
    )),
    (ClientConnectorCertificateError, lambda error: (
        f"the certificate of {error.host} can't be trusted: {_said(error)}"
    )),
    (ClientSSLError, lambda error: (
        f"no TLS with {error.host}:{error.port}: is it https, and the port right?"
    )),
    (ClientConnectorError, lambda error: (
        _unconnected(f"{error.host}:{error.port}", error.os_error)
    )),
    (ServerDisconnectedError, lambda _: "it hung up without an answer"),
    (ClientPayloadError, lambda _: "its answer breaks off"),
    (InvalidURL, lambda _: "the address is no URL"),
    (TimeoutError, lambda _: "no answer in time"),
    (OSError, lambda error: _unconnected("it", error)),
)  # fmt: skip
