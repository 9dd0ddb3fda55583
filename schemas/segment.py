"""Segment's form of an event: the names of its `track` calls, and what its calls say in ours."""

from __future__ import annotations

from typing import Any

from schemas.events import EVENT_TYPES
from schemas.validation import Unreadable, checked_object

SEGMENT_NAMES = {
    each.segment or each.name.replace(".", " ").replace("_", " ").title(): each.name
    for each in EVENT_TYPES.values()
}
"""Name of a `track` call → event type."""


def is_call(body: dict[str, Any]) -> bool:
    """Return whether `body` is one of Segment's objects."""
    return isinstance(body.get("type"), str) and body["type"] in _CALLS


def translated(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return type and data of the event that a Segment object is. Raises Unreadable."""
    return _CALLS[body["type"]](body)


def _track(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = body.get("event")
    if not isinstance(name, str) or name not in SEGMENT_NAMES:
        raise Unreadable("unknown_type", f"event: unknown {str(name)[:64]!r}")
    return SEGMENT_NAMES[name], checked_object(body, "properties")


def _identify(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    traits = checked_object(body, "traits")
    if body.get("userId") is not None and body.get("anonymousId") is not None:
        return "customer.identified", {
            **traits, "anonymous_id": body["anonymousId"], "customer_id": body["userId"]
        }  # fmt: skip
    return "customer.updated", traits


def _alias(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "customer.identified", {
        "anonymous_id": body.get("previousId"), "customer_id": body.get("userId")
    }  # fmt: skip


def _page(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "page.viewed", {"name": body.get("name"), **checked_object(body, "properties")}


_CALLS = {
    "track": _track,
    "identify": _identify,
    "alias": _alias,
    "page": _page,
    "screen": _page,
}
