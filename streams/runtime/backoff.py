"""Backoff: pauses that double from one failure to the next."""

from __future__ import annotations

from typing import NamedTuple

_DOUBLINGS = 20
"""At most: 2.0 ** 1100 overflows after a day of failing."""


class Backoff(NamedTuple):
    """The first pause and the longest one, in seconds."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """Return the pause after so many failures in a row, the first one being 1."""
        return min(self.first * 2.0 ** min(failures - 1, _DOUBLINGS), self.longest)
