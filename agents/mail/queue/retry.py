"""When a mail, or a relay, is tried again. Milliseconds throughout."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from schemas.time_units import HOUR_MS, MINUTE_MS, SECOND_MS

# Somebody waits for a receipt, so the first tries come soon; greylisting lets a mail pass after
# 1 to 5 minutes, which the second and third meet.
URGENT = (30 * SECOND_MS, 2 * MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS)
URGENT_LAST = HOUR_MS

MARKETING_FIRST = 5 * MINUTE_MS
MARKETING_GROWTH = 1.5
MARKETING_LONGEST = 4 * HOUR_MS
JITTER = 0.2
"""A campaign that was refused at once must not come back at once: ±20 %."""


def retry_delay(*, urgent: bool, attempt: int, command_id: str) -> int:
    """Return how long to wait after attempt number `attempt` (from 1) failed."""
    if urgent:
        return URGENT[attempt - 1] if attempt <= len(URGENT) else URGENT_LAST
    # Capped before the power is taken: 1.5 to the thousandth is no float.
    plain = MARKETING_FIRST * MARKETING_GROWTH ** min(attempt - 1, 20)
    factor = 1 - JITTER + 2 * JITTER * _share(f"{command_id}/{attempt}")
    return min(int(plain * factor), MARKETING_LONGEST)


def _share(text: str) -> float:
    """Return a number in [0, 1) that depends on `text` alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


@dataclass(slots=True)
class Breaker:
    """Leaves a relay alone that can't be reached, so that no mail is worn out on it.

    1 s, 2 s, 4 s … 60 s: a relay that restarts is met again soon, one that is down for a day is
    asked once a minute.
    """

    failures: int = 0
    until: int = 0
    """Not to be tried before; ms since the epoch."""

    FIRST: ClassVar[int] = SECOND_MS
    LONGEST: ClassVar[int] = MINUTE_MS

    def closed(self, now: int) -> bool:
        """Whether the relay may be tried."""
        return now >= self.until

    def failed(self, now: int) -> int:
        """Note a failure and return until when to wait. Failures while waiting count once."""
        if self.closed(now):
            self.failures += 1
            self.until = now + min(self.FIRST << min(self.failures - 1, 10), self.LONGEST)
        return self.until

    def succeeded(self) -> None:
        """The relay answers again."""
        self.failures = 0
        self.until = 0
