"""Whom an event is about, where its ids are written in other ways than ours.

An id that is empty is absent. One that stands for nobody in particular (`schemas/everybodys.py`)
beside a visitor's own id is none either: it would make one customer of all visitors.
"""

from __future__ import annotations

from typing import Any

from schemas.events.odd import OddField, shown
from schemas.everybodys import is_everybodys
from schemas.validation import Unreadable, checked_id, decoded, is_no_id, is_not_said

Body = dict[str, Any]


def segment(body: Body) -> tuple[Body, list[OddField]]:
    """Return a Segment object without the ids that are none, and what was odd of them."""
    body, odd = _without_empty(body, ("userId", "anonymousId", "previousId"))
    if "userId" not in body or "anonymousId" not in body or body.get("type") == "alias":
        return body, odd  # an alias has nothing but ids
    if is_the_visitors(body["userId"], body["anonymousId"], "userId", odd):
        return {name: body[name] for name in body if name != "userId"}, odd
    return body, odd


def structured(body: Body) -> tuple[Body, list[OddField]]:
    """Return a CloudEvent without the ids that are none, and what was odd of them."""
    return _without_empty(body, ("subject", "anonymousid"))


def recorded(headers: Body) -> Body:
    """Return the headers of a recorded line without the ids that are none."""
    return _without_empty(headers, ("ce_subject", "ce_anonymousid"))[0]


def _without_empty(body: Body, names: tuple[str, ...]) -> tuple[Body, list[OddField]]:
    empty = [name for name in names if name in body and is_no_id(body[name])]
    if not empty:
        return body, []
    odd = [
        OddField(name, shown(body[name]), "empty", kept=True)
        for name in empty
        if not is_not_said(body[name])
    ]
    return {name: body[name] for name in body if name not in empty}, odd


def visitor_beside(field: str, given: Any, odd: list[OddField]) -> str | None:
    """Return the visitor's id of an event whose customer is known. One that can't be read costs
    itself only, and is added to `odd`."""
    try:
        text = decoded(field, given) if isinstance(given, bytes) else given
        return None if is_no_id(text) else checked_id(field, text)
    except Unreadable:
        odd.append(OddField(field, shown(given), "unreadable", kept=False))
        return None


def is_the_visitors(customer: Any, visitor: Any, field: str, odd: list[OddField]) -> bool:
    """Whether an event is the visitor's alone, since the id of its customer is everybody's and the
    visitor's own is not; that is added to `odd`."""
    if not _is_everybodys(customer) or _is_everybodys(visitor):
        return False
    if isinstance(visitor, bool) or not isinstance(visitor, str | int):
        return False
    odd.append(OddField(field, shown(customer), "unknown_word", kept=False))
    return True


def _is_everybodys(id_: Any) -> bool:
    if isinstance(id_, str):
        return is_everybodys(id_)
    return id_ == 0 and isinstance(id_, int)  # a number may be an id
