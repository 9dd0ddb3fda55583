"""Patterns of event types: a name, `cart.*` for all that begin so, `*` for all."""

from __future__ import annotations

from collections.abc import Iterable


def matches(type_: str, patterns: Iterable[str]) -> bool:
    """Whether a type is one of those that the patterns stand for."""
    return any(
        pattern in ("*", type_) or (pattern.endswith(".*") and type_.startswith(pattern[:-1]))
        for pattern in patterns
    )
