"""What another system's answer means for what was sent there, and when it is asked again.

Times are milliseconds since the epoch, spans milliseconds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar, Literal

from schemas.time_units import HOUR_MS, MINUTE_MS, SECOND_MS

Meaning = Literal["delivered", "refused", "failed"]
"""refused: it never wants this very message. failed: it is down, busy or set up wrongly, which says
nothing of the message."""

_OF_THE_MESSAGE = frozenset({400, 413, 415, 422})
"""All other refusals are about the endpoint: who has exchanged a key (401), moved a path (404) or
closed for good (410) would lose every message meanwhile."""

JITTER = 0.2
"""Endpoints that went down together must not be asked together: ±20 %."""


def meaning(status: int) -> Meaning:
    """Return what a status of HTTP means."""
    if status // 100 == 2:
        return "delivered"
    return "refused" if status in _OF_THE_MESSAGE else "failed"


@dataclass(slots=True)
class Circuit:
    """How one endpoint fares. While it fails it is asked by one message at a time, in growing gaps:
    5 s, 10 s, 20 s … 15 min."""

    failures: int = 0
    """In a row, whichever messages they met."""
    failing_since: int = 0
    until: int = 0
    """Not to be asked before."""

    FIRST: ClassVar[int] = 5 * SECOND_MS
    LONGEST: ClassVar[int] = 15 * MINUTE_MS
    LONGEST_ASKED: ClassVar[int] = HOUR_MS
    """As far as a Retry-After is obeyed."""
    TRIES: ClassVar[int] = 3
    """Failures before anything is given up: a message may be old since we were away."""

    def succeeded(self) -> None:
        """It answers as it should, or at least about the message."""
        self.failures = self.failing_since = self.until = 0

    def failed(self, now: int, *, name: str, retry_after: int | None = None) -> None:
        """Note a failure; of several that were under way together, one. `name` decides about the
        jitter; `retry_after`: seconds, as it asks."""
        if now < self.until:
            return
        if not self.failures:
            self.failing_since = now
        self.failures += 1
        gap = min(self.FIRST << min(self.failures - 1, 20), self.LONGEST)
        gap = int(gap * (1 - JITTER + 2 * JITTER * _share(f"{name}/{self.failures}")))
        if retry_after is not None:
            gap = max(gap, min(retry_after * SECOND_MS, self.LONGEST_ASKED))
        self.until = now + gap

    def gives_up(self, sent: int, now: int, budget: int) -> bool:
        """Whether a message that is there since `sent` is given up: it is older than `budget`, and
        the endpoint doesn't answer."""
        return self.failures >= self.TRIES and now - sent >= budget


def _share(text: str) -> float:
    """Return a number in [0, 1) that depends on `text` alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
