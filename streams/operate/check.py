"""The outcome of one check of `ritorno doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check."""

    name: str
    status: CheckStatus
    text: str
    remedy: str = ""
    """What to do, for a shopkeeper; empty when there is nothing to do."""


def aligned(sender: str, other: str) -> bool:
    """Whether one domain is the other or lies below it, as DMARC asks, and as far as can be said
    without the list of public suffixes."""
    return f".{sender}".endswith(f".{other}") or f".{other}".endswith(f".{sender}")
