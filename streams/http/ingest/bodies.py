"""Bodies of requests: read within a bound, and as the JSON that they are, whatever they are called.

Pages send JSON as `text/plain`, which asks the server nothing before; `sendBeacon` likewise. A
body in gzip is bounded by what becomes of it, and no more is inflated than that: 400 kB may hold
400 MB, and anybody may send them.
"""

from __future__ import annotations

import zlib
from typing import Any

from aiohttp import web

from schemas import halved
from streams.http.ingest.access import Admitted, RequestRefused, label, unreadable
from streams.http.server.forms import content_encoding
from streams.messages.plurals import several

_PACKED = ("gzip", "x-gzip", "deflate")
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS
"""By its first bytes."""


async def read_body(request: web.Request, most: int, admitted: Admitted | None) -> bytes:
    """Return a body of at most `most` bytes, packed as well as not. Raises RequestRefused, and
    web.HTTPException."""
    if (request.content_length or 0) > most:
        raise _too_large(most, admitted)
    encoding = content_encoding(request)
    if encoding in _PACKED:
        return await _inflated(request, most, admitted)
    if encoding != "identity":
        problem = f"Content-Encoding: expected gzip or none (got {encoding[:64]!r})"
        raise unreadable(admitted, "invalid_json", problem)
    raw = await request.read()
    if len(raw) > most:
        raise _too_large(most, admitted)
    return raw


async def _inflated(request: web.Request, most: int, admitted: Admitted | None) -> bytes:
    """Return what a packed body holds. Raises RequestRefused as soon as it holds more than `most`
    bytes, or has more itself."""
    inflater = zlib.decompressobj(_ZLIB_OR_GZIP)
    inflated, packed_bytes = bytearray(), 0
    while chunk := await request.content.readany():
        packed_bytes += len(chunk)
        try:
            inflated += inflater.decompress(chunk, most + 1 - len(inflated))
        except zlib.error as error:
            raise unreadable(admitted, "invalid_json", f"not gzip: {error}") from None
        if len(inflated) > most or packed_bytes > most:
            raise _too_large(most, admitted)
        if inflater.unused_data:
            raise unreadable(admitted, "invalid_json", "bytes behind what gzip has packed")
    if not inflater.eof:
        raise unreadable(admitted, "invalid_json", "what gzip has packed ends in the middle")
    return bytes(inflated)


def _too_large(most: int, admitted: Admitted | None) -> RequestRefused:
    problem = f"the body has more than {several(most, 'byte')}"
    return RequestRefused(413, "too_large", problem, key=label(admitted))


def parsed(raw: bytes, request: web.Request, admitted: Admitted | None) -> Any:
    """Return the JSON of a body. Raises RequestRefused."""
    charset = request.charset
    try:
        if charset is not None and charset.lower() not in ("utf-8", "utf8", "us-ascii"):
            raw = raw.decode(charset).encode()
        return halved.read(raw)[0]
    except (ValueError, RecursionError) as error:
        raise unreadable(admitted, "invalid_json", f"not JSON: {str(error)[:200]}") from None
