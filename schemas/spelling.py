"""Names that differ in nothing but their spelling."""

from __future__ import annotations

import re

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN = re.compile(r"[\W_]+")

_LOOKED_AT = 200
"""Characters of a name that count."""


def spelled(name: str) -> str:
    """Return a name in small letters, its words joined by `_`: `Order Completed`,
    `order.completed`, `orderCompleted` and ` ORDER  COMPLETED ` are all `order_completed`."""
    return _BETWEEN.sub("_", _WORDS.sub("_", name[:_LOOKED_AT])).strip("_").casefold()
