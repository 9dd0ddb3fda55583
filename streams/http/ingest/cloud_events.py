"""CloudEvents over HTTP (CloudEvents 1.0, HTTP protocol binding 1.0.2): binary, structured and
batched, as objects in structured mode."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from pydantic_core import to_json

from schemas import halved, history
from schemas.events import Event
from schemas.instant import to_rfc3339
from schemas.notation import Notation
from schemas.validation import Unreadable
from schemas.wire import parse_sent

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"

BATCH_EVENTS = 2_500

_PREFIX = "ce-"


def is_binary(headers: Mapping[str, str]) -> bool:
    """Whether the attributes stand in the headers of a request."""
    return "ce-specversion" in headers or "ce-type" in headers


def of_headers(headers: Iterable[tuple[str, str]], data: Any) -> dict[str, Any]:
    """Return an event in binary mode. Attributes are percent-encoded where they are not ASCII.
    Raises Unreadable for one that is no UTF-8."""
    found: dict[str, Any] = {}
    for name, value in headers:
        attribute = name.lower()
        if not attribute.startswith(_PREFIX):
            continue
        try:
            found[attribute.removeprefix(_PREFIX)] = unquote(value.strip('"'), errors="strict")
        except UnicodeDecodeError:
            raise Unreadable("invalid_event", f"{name}: not UTF-8 (got {value[:64]!r})") from None
    found.setdefault("specversion", "1.0")
    found.pop("data", None)
    return found if data is None else {**found, "data": data}


def read_event(body: Any, received_at: int, source: str, notation: Notation) -> Event:
    """Return the event that an object in structured mode is; `source` is that of one that names
    none, `received_at` (ms) the time of one that says none and is no history. Raises
    Unreadable."""
    if not isinstance(body, dict):
        raise Unreadable("invalid_event", f"not an object but {type(body).__name__}")
    if "specversion" not in body:
        raise Unreadable("invalid_event", "specversion: missing, so it is no CloudEvent")
    if body.get("data") is None and body.get("data_base64") is not None:
        body = {**body, "data": _decoded(body["data_base64"])}
    event = parse_sent(history.placed(body), notation, source=source)
    if event.time is not None or event.backfill:
        return event
    return event._replace(time=received_at)


def timed(body: dict[str, Any], received_at: int) -> dict[str, Any]:
    """Return an event that was refused as it is to be read later: at the time at which it came, if
    it says none."""
    if body.get("time") is not None or history.may_be_said(to_json(body, inf_nan_mode="constants")):
        return body
    return {**body, "time": to_rfc3339(received_at)}


def _decoded(value: Any) -> Any:
    try:
        found, _ = halved.read(base64.b64decode(value, validate=True))
    except (binascii.Error, TypeError, ValueError):
        raise Unreadable("invalid_event", "data_base64: no JSON in base64") from None
    return found
