"""Segment's form of an event: the names of its calls, and what they say in ours.

A name is read whatever its spelling: `Order Completed`, `order completed`, `order_completed`,
`OrderCompleted` and `order.completed` are one. What other mailers call their events is in
`schemas/foreign_mails.py`; a name that is nobody's is one of the shop's own
(`schemas/events/custom.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas import foreign_mails
from schemas.events import EVENT_TYPES, INTERNAL_TYPES
from schemas.events.custom import custom_type
from schemas.events.odd import OddField, shown
from schemas.spelling import spelled
from schemas.validation import Unreadable, checked_object

SEGMENT_NAMES = {
    each.segment or each.name.replace(".", " ").replace("_", " ").title(): each.name
    for each in EVENT_TYPES.values()
}
"""Name of a `track` call → event type."""

_SPELLINGS: Mapping[str, str] = {
    **{spelled(name): type_ for name, type_ in foreign_mails.NAMES.items()},
    **{spelled(type_): type_ for type_ in EVENT_TYPES if type_ not in INTERNAL_TYPES},
    **{spelled(n): type_ for n, type_ in SEGMENT_NAMES.items() if type_ not in INTERNAL_TYPES},
}
"""The same, our own types, and what other mailers say, whatever the spelling."""


def is_call(body: dict[str, Any]) -> bool:
    """Return whether `body` is one of Segment's objects."""
    return isinstance(body.get("type"), str) and body["type"] in _CALLS


def translated(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return type and data of the event that a Segment object is. Raises Unreadable."""
    return _CALLS[body["type"]](body)


def type_of(name: str) -> str | None:
    """Return the event type that a `track` call's name stands for, however it is spelled; None
    when it is none of ours."""
    return SEGMENT_NAMES.get(name) or _SPELLINGS.get(spelled(name))


def odd_name(body: dict[str, Any]) -> tuple[OddField, ...]:
    """Return what is odd about a call's name: it is one of ours, spelled in another way."""
    name = body.get("event")
    if body["type"] != "track" or not isinstance(name, str):
        return ()
    if name in SEGMENT_NAMES or name in foreign_mails.NAMES or type_of(name) is None:
        return ()
    return (OddField("event", shown(name), "format", kept=True),)


def _track(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = body.get("event")
    if not isinstance(name, str) or not name.strip():
        raise Unreadable("unknown_type", f"event: unknown {str(name)[:64]!r}")
    properties = checked_object(body, "properties")
    type_ = type_of(name)
    if type_ is None:
        return custom_type(name), properties
    if type_ in foreign_mails.TYPES:
        return type_, foreign_mails.told(type_, name, properties, _traits_beside(body))
    return type_, properties


def _identify(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    beside = {name: value for name, value in _traits_beside(body).items() if value is not None}
    traits = {**beside, **checked_object(body, "traits")}
    if body.get("userId") is not None and body.get("anonymousId") is not None:
        return "customer.identified", {
            **traits, "anonymous_id": body["anonymousId"], "customer_id": body["userId"]
        }  # fmt: skip
    return "customer.updated", traits


def _alias(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "customer.identified", {
        "anonymous_id": body.get("previousId") or body.get("anonymousId"),
        "customer_id": body.get("userId")
    }  # fmt: skip


def _group(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A company is known by what the shop has declared custom fields for: `group_id`, `company`
    (its name) and others of the group's traits as `company_…`."""
    traits = checked_object(body, "traits")
    named = {f"company_{name}": value for name, value in traits.items() if name != "name"}
    if "name" in traits:
        named["company"] = traits["name"]
    if body.get("groupId") is not None:
        named["group_id"] = body["groupId"]
    return "customer.grouped", named


def _page(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The page's place is in its properties, or where a library has put it: in the context."""
    context = _object(_object(body, "context"), "page")
    beside = {name: context[name] for name in _OF_A_PAGE if context.get(name)}
    return "page.viewed", {
        **beside,
        "name": body.get("name"),
        "category": body.get("category"),
        **checked_object(body, "properties"),
        "screen": body["type"] == "screen",
    }


_OF_A_PAGE = ("url", "path", "title", "referrer")


def _traits_beside(body: dict[str, Any]) -> dict[str, Any]:
    """Return the traits that a library sends along with each call."""
    return _object(_object(body, "context"), "traits")


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


_CALLS: Mapping[str, Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]] = {
    "track": _track,
    "identify": _identify,
    "alias": _alias,
    "group": _group,
    "page": _page,
    "screen": _page,
}
