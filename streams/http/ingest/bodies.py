"""Bodies of requests: read within a bound, and as the JSON that they are, whatever they are called.

Pages send JSON as `text/plain`, which asks the server nothing before; `sendBeacon` likewise. A
body in gzip is bounded by what becomes of it (`Application.client_max_size`).
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from schemas import halved
from streams.http.ingest.access import Admitted, RequestRefused, label, unreadable
from streams.messages.plurals import several


async def read_body(request: web.Request, most: int, admitted: Admitted | None) -> bytes:
    """Return a body of at most `most` bytes. Raises RequestRefused, and web.HTTPException."""
    if (request.content_length or 0) <= most:
        raw = await request.read()
        if len(raw) <= most:
            return raw
    problem = f"the body has more than {several(most, 'byte')}"
    raise RequestRefused(413, "too_large", problem, key=label(admitted))


def parsed(raw: bytes, request: web.Request, admitted: Admitted | None) -> Any:
    """Return the JSON of a body. Raises RequestRefused."""
    charset = request.charset
    try:
        if charset is not None and charset.lower() not in ("utf-8", "utf8", "us-ascii"):
            raw = raw.decode(charset).encode()
        return halved.read(raw)[0]
    except (ValueError, RecursionError) as error:
        raise unreadable(admitted, "invalid_json", f"not JSON: {str(error)[:200]}") from None
