"""Events of the shop's own: a `track` name that is nobody else's, as type `custom.NAME`.

What they mean is declared in a published file (`schemas/definitions/custom_events.py`). So they are
read as they come, and the actors look at what was live then: of one that is declared they take what
is declared of it, any other is counted and changes nothing.
"""

from __future__ import annotations

import re

from pydantic import ConfigDict

from schemas.events.fields import Payload
from schemas.spelling import spelled

CUSTOM = "custom."
"""Begins the types of the shop's own events."""

CUSTOM_NAME = r"[a-z][a-z0-9_]{0,40}"
"""What a declared event may be called."""

_DECLARABLE = re.compile(re.escape(CUSTOM) + CUSTOM_NAME)


class CustomProperties(Payload):
    """Properties of an event of the shop's own."""

    model_config = ConfigDict(extra="allow")


def custom_type(name: str) -> str:
    """Return the type of a shop's own event, whatever the spelling of its name."""
    return CUSTOM + spelled(name)


def is_custom(type_: str) -> bool:
    """Return whether a type is one of a shop's own."""
    return type_.startswith(CUSTOM)


def is_declarable(type_: str) -> bool:
    """Return whether a type is one that a shop may declare, and so a workflow name."""
    return _DECLARABLE.fullmatch(type_) is not None
