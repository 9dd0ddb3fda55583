"""How much each key and each network address may send: token buckets, of which one holds what
`BURST_SECONDS` of its rate bring.

What a request costs is the number of its events, and it is known only when it was read: so a
bucket may be overdrawn by one request, and whoever comes next waits until it is full enough again.
"""

from __future__ import annotations

import math
from collections import OrderedDict

ADDRESS_RATE = 50.0
"""Events a second of one address with a public key, where the key says nothing else. A page sends
some five when it is opened; behind one address there may be a whole company."""

BURST_SECONDS = 10.0

MOST_ADDRESSES = 20_000
"""Remembered by one process, some 4 MB. Who is forgotten begins with a full bucket."""

LONGEST_SECONDS = 600
"""That anybody is told to wait."""


class _Bucket:
    __slots__ = ("rate", "time", "tokens")

    def __init__(self, rate: float, now: int) -> None:
        self.rate = rate
        self.tokens = rate * BURST_SECONDS
        self.time = now

    def fill(self, rate: float, now: int) -> None:
        """Let time pass. A clock that goes back brings nothing."""
        self.rate = rate
        passed = max(0, now - self.time) / 1000
        self.time = max(self.time, now)
        self.tokens = min(rate * BURST_SECONDS, self.tokens + passed * rate)

    def wait(self) -> int:
        """Return after how many seconds something may be taken again, 0 for at once."""
        if self.tokens > 0:
            return 0
        return min(LONGEST_SECONDS, max(1, math.ceil((1 - self.tokens) / self.rate)))


class RateLimits:
    """The buckets of one process."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def wait(self, key: str, address: str, rate: float | None, now: int) -> int:
        """Return for how many seconds whoever it is has to wait, 0 when a request may be taken.

        `address` is empty for the key itself; without a rate nobody waits. `now` in ms.
        """
        if rate is None:
            return 0
        return self._bucket(key, address, rate, now).wait()

    def take(self, key: str, address: str, rate: float | None, events: int, now: int) -> None:
        """So many events were taken."""
        if rate is not None:
            self._bucket(key, address, rate, now).tokens -= events

    def _bucket(self, key: str, address: str, rate: float, now: int) -> _Bucket:
        name = key, address
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(rate, now)
            if len(self._buckets) > MOST_ADDRESSES:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
            bucket.fill(rate, now)
        return bucket
