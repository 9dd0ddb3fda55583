"""How fast something gets through a topic, measured the same way for the worker and its peers.

The clock starts when the first events are done and stops with the last ones (or when the time is
up), so neither starting up nor joining a group counts; what was done when the clock started is not
counted either.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class Pace:
    """Tell it how far you are; it knows when it has seen enough."""

    enough: int
    """Events."""
    seconds: float
    """Longest time to look."""
    _first: tuple[int, float] | None = field(default=None, init=False)
    _last: tuple[int, float] | None = field(default=None, init=False)

    def reached(self, events: int) -> None:
        """Note that `events` are done by now."""
        now = time.monotonic()
        if self._first is None:
            self._first = (events, now)
        if self._last is None or events > self._last[0]:
            self._last = (events, now)

    @property
    def over(self) -> bool:
        """Whether all events are done, or the time is up."""
        if self._first is None or self._last is None:
            return False
        return self._last[0] >= self.enough or time.monotonic() - self._first[1] >= self.seconds

    @property
    def events(self) -> int:
        """Events done so far."""
        return 0 if self._last is None else self._last[0]

    def measured(self) -> Measured:
        """Return what was seen. Raises ValueError when that was too little."""
        if self._first is None or self._last is None or self._last[1] <= self._first[1]:
            raise ValueError("nothing was processed")
        (from_events, began), (to_events, ended) = self._first, self._last
        return Measured(to_events - from_events, ended - began)

    def as_json(self) -> str:
        """Return what was seen, as `from_json` reads it."""
        return json.dumps(asdict(self.measured()))


@dataclass(frozen=True, slots=True)
class Measured:
    """Events and the seconds they took."""

    events: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def from_json(line: bytes | str) -> Measured:
    """Read what a peer has printed."""
    return Measured(**json.loads(line))
