"""Events as NDJSON, one CloudEvents object in structured mode a line."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from schemas.events import Event
from schemas.instant import to_rfc3339


def to_line(event: Event) -> bytes:
    """Return an event as a line that every command which reads events accepts."""
    data: BaseModel = event.data
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.customer,
    }
    if event.time is not None:
        body["time"] = to_rfc3339(event.time)
    if event.anonymous_id is not None:
        body["anonymousid"] = event.anonymous_id
    if event.backfill:
        body["backfill"] = True
    body["data"] = data.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
