"""What was posted, or that it can't be read: whatever is wrong with a form is who posts it to
blame, and no defect of ours."""

from __future__ import annotations

import codecs

from aiohttp import web

CHARSETS = ("utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252")
"""In which forms are written, by Python's names. Of the hundred that Python has, some are no
character sets, and one (idna) takes ages for a long text."""


def is_known_charset(name: str | None) -> bool:
    """Whether forms may say that they are written so; who says nothing means UTF-8."""
    if name is None:
        return True
    try:
        return codecs.lookup(name).name in CHARSETS
    except (LookupError, ValueError):  # ValueError: a NUL in it
        return False


def content_encoding(request: web.Request) -> str:
    """Return how a body is packed, `identity` where it isn't."""
    return request.headers.get("Content-Encoding", "").strip().lower() or "identity"


async def read_form_fields(request: web.Request) -> dict[str, str]:
    """Return the fields of a form; of several with one name, the last.

    Raises web.HTTPException: too large, packed, no form, or with files.
    """
    if not is_known_charset(request.charset) or content_encoding(request) != "identity":
        raise web.HTTPBadRequest
    if (request.content_length or 0) > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size)
    try:
        form = await request.post()
    except (ValueError, LookupError, RuntimeError, AssertionError) as error:
        # By aiohttp: a charset or an encoding that there isn't, of the form or of a part of it; a
        # boundary that doesn't come; percent signs that are no UTF-8.
        raise web.HTTPBadRequest from error
    if not all(isinstance(value, str) for value in form.values()):
        raise web.HTTPBadRequest
    return {name: str(value) for name, value in form.items()}
