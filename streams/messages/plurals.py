"""Numbers of things in remarks, which are in English only; what is told in every language has its
forms in the catalogues."""

from __future__ import annotations


def several(count: int, noun: str) -> str:
    """Return `1 mail`, `2 mails`, `1,000 mails`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
