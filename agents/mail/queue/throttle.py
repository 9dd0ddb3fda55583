"""How fast mails may go to one provider: as fast as it takes them, until it says too much.

A token bucket that has no bound until the provider throttles (421, 450, 451, 454, 4.7.x). Then the
rate is half of what was really sent, and grows by a fixed amount from there: down at once, up
slowly, as TCP does it. Instants are ms since the epoch.
"""

from __future__ import annotations

from collections import deque
from math import ceil

from schemas.time_units import MINUTE_MS

SLOWEST = 1 / 60
"""Mails a second: one a minute still finds out when the provider has calmed down."""

UNKNOWN = 10.0
"""Mails a second: what is assumed when too few went out to know how fast they did."""

DEAF_MS = 5_000
"""Mails under way at the first refusal bring theirs too; a burst of refusals counts once."""

STEP_MS = 30_000
STEPS = 20
"""Every 30 s a twentieth of the old rate comes back: from the half to the whole in 5 minutes."""

FORGOTTEN = 4
"""At so many times the old rate nothing has been refused for half an hour: no bound any more."""

_SEEN = 1_000
"""Departures remembered to know the real rate: a second's worth at the fastest."""


class Bucket:
    """The rate of one lane at one relay."""

    def __init__(self) -> None:
        self._departures: deque[int] = deque(maxlen=_SEEN)
        self._cut_at = 0
        self._cut_to = 0.0
        self._before = 0.0
        self._tokens = 0.0
        self._counted_at = 0

    def rate(self, now: int) -> float | None:
        """Return the mails a second that are allowed; None: as many as there are."""
        if not self._cut_to:
            return None
        grown = self._cut_to + (now - self._cut_at) // STEP_MS * self._before / STEPS
        if grown > FORGOTTEN * self._before:
            self._cut_to = 0.0
            return None
        return grown

    def opens(self, now: int) -> int:
        """Return when the next mail may go: `now`, or later."""
        rate = self.rate(now)
        if rate is None:
            return now
        self._refill(now, rate)
        # A hair less than a token is a token: 0.1 × 10 is not always 1.
        missing = 1 - self._tokens - 1e-9
        return now if missing <= 0 else now + ceil(missing / rate * 1000)

    def take(self, now: int) -> None:
        """A mail goes."""
        self._departures.append(now)
        rate = self.rate(now)
        if rate is not None:
            self._refill(now, rate)
            self._tokens -= 1

    def throttled(self, now: int) -> bool:
        """The provider says that it is too much. Returns whether the rate was cut."""
        if self._cut_to and now < self._cut_at + DEAF_MS:
            return False
        bounds = [each for each in (self.rate(now), self._observed(now)) if each is not None]
        self._before = max(min(bounds, default=UNKNOWN), 2 * SLOWEST)
        self._cut_to = self._before / 2
        self._cut_at = self._counted_at = now
        self._tokens = 0.0
        return True

    def _observed(self, now: int) -> float | None:
        """Return the real rate of late; None when there is too little to tell."""
        recent = [each for each in self._departures if each > now - MINUTE_MS]
        if len(recent) < 5:
            return None
        return len(recent) * 1000 / max(now - recent[0], 1_000)

    def _refill(self, now: int, rate: float) -> None:
        # At most a second's worth, so that a pause is not followed by a burst.
        most = max(1.0, rate)
        self._tokens = min(most, self._tokens + max(now - self._counted_at, 0) * rate / 1000)
        self._counted_at = max(now, self._counted_at)
