"""W3C Trace Context: which request of the shop an event comes from, and so a command, its mail and
what became of it.

What a sender gives as `traceparent` is passed on as it is, to the last: it is data of the log like
any other, so that live and replay write the same bytes. Whoever draws spans (the shop's own
services, `streams/operate/tracing.py`) makes them children of it. What has another form is no trace
and is left out, as the recommendation says; an event is never refused on account of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import StringConstraints

TRACEPARENT = "traceparent"
"""The name of the header, of records and of requests."""

TRACEPARENT_BYTES = 55

_FORM = r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"

TraceParent = Annotated[str, StringConstraints(pattern=_FORM)]
"""Version, trace, span, flags."""

_form = re.compile(_FORM.strip("^$"))
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


def traceparent(text: object) -> str:
    """Return what a sender gives as `traceparent` if it is one, else nothing."""
    if not isinstance(text, str) or not _form.fullmatch(text):
        return ""
    _, trace, span, _ = text.split("-")
    return "" if trace == _NO_TRACE or span == _NO_SPAN else text


def of_headers(headers: Mapping[str, bytes]) -> str:
    """Return the trace that a record's headers name: as Kafka's tracing libraries write it, or as
    an attribute of a CloudEvent."""
    given = headers.get(TRACEPARENT) or headers.get("ce_traceparent")
    return traceparent(given.decode("ascii", "replace")) if given else ""
