"""Event types for people: which there are, and which one somebody may have meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

from schemas.events import EVENT_TYPES, INTERNAL_TYPES
from schemas.events.custom import CUSTOM
from schemas.segment import SEGMENT_NAMES
from schemas.spelling import spelled
from schemas.suggestions import did_you_mean

_UNKNOWN = re.compile(r"(type|event): unknown '(.*)'")
"""How `schemas/validation.py` and `schemas/segment.py` say it."""


class ListedType(NamedTuple):
    """A type that a shop may send."""

    name: str
    segment: str
    """Name of the `track` call."""
    about: str
    """What such an event says."""
    properties: tuple[str, ...]
    needed: tuple[str, ...]
    """Those of them that may not be missing."""


def listed() -> Iterator[ListedType]:
    """Yield all types that may be published, in the order of their rows."""
    in_segment = {type_: name for name, type_ in SEGMENT_NAMES.items()}
    for name, each in EVENT_TYPES.items():
        if name in INTERNAL_TYPES:
            continue
        fields = each.data.model_fields
        yield ListedType(
            name,
            in_segment[name],
            " ".join((each.data.__doc__ or "").partition("\n\n")[0].split()),
            tuple(fields),
            tuple(field for field, info in fields.items() if info.is_required()),
        )


def near_own(type_: str) -> str:
    """Return the same clause for an event of the shop's own, whose name may be a misspelt one of
    ours."""
    known = {spelled(name): name for name in SEGMENT_NAMES}
    near = get_close_matches(type_.removeprefix(CUSTOM)[:64], known, n=1, cutoff=0.8)
    return f"; did you mean {known[near[0]]}?" if near else ""


def suggestion(detail: str) -> str:
    """Return a clause to go behind what was wrong with a record: which event type was meant, if it
    names one that is unknown and another is near."""
    unknown = _UNKNOWN.fullmatch(detail)
    if unknown is None:
        return ""
    known = EVENT_TYPES.keys() - INTERNAL_TYPES if unknown[1] == "type" else SEGMENT_NAMES
    return did_you_mean(unknown[2], known)
