"""What somebody may have meant who named something that isn't there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LOOKED_AT = 64
"""Characters of a name: none of ours is longer, and comparing takes the longer the longer it is."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a clause for the end of a message that names the nearest of `known`; empty when none
    is near."""
    near = get_close_matches(name[:_LOOKED_AT], known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
