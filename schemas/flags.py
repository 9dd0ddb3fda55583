"""Yes and no, in every spelling that shops' systems have for them."""

from __future__ import annotations

from typing import Any

_YES = frozenset(
    {"true", "t", "yes", "y", "on", "1", "1.0", "checked", "enabled"}
    | {"sì", "si", "s", "vero", "sí", "ja", "wahr", "oui", "vrai", "sim"}
)
_NO = frozenset(
    {"false", "f", "no", "n", "off", "0", "0.0", "unchecked", "disabled"}
    | {"falso", "nein", "falsch", "non", "faux", "não", "nao"}
)


def read_flag(value: Any) -> bool | None:
    """Return what a value says, None when that is neither yes nor no."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return bool(value) if value in (0, 1) else None
    if not isinstance(value, str):
        return None
    word = value.strip().strip("\u200b\ufeff\"'").casefold()
    return True if word in _YES else False if word in _NO else None
