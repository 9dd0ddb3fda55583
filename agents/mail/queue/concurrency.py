"""Concurrency limits of a relay: which mail may use it next, by delivery class, budget and
provider.

| class         | connections of ten                   | order                                 |
|---------------|--------------------------------------|---------------------------------------|
| transactional | ten                                  | first                                 |
| automated     | eight: receipts find two free        | then                                  |
| bulk          | eight, six while automated ones go   | last, but a fifth of the marketing    |
| notify        | ten; webhooks use no relay           |                                       |

Of a provider's connections (`providers.LIMITS`) marketing leaves one to receipts as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from agents.mail.providers import LIMITS, UNLIMITED, Limit
from agents.mail.queue.lanes import Lane
from agents.mail.queue.throttle import Bucket
from schemas.stored import NEVER

BULK_SHARE = 5
"""Of so many marketing mails one is bulk while both wait: nothing waits for ever."""


class ConcurrencyLimits:
    """The budgets of one relay."""

    def __init__(
        self,
        connections: int,
        limits: Mapping[str, Limit] = LIMITS,
        *,
        default: Limit = UNLIMITED,
    ) -> None:
        """`limits` by provider, `default` for the others."""
        self.connections = connections
        self._limits = limits
        self._default = default
        self._busy: Counter[str] = Counter()
        self._at: Counter[str] = Counter()
        self._buckets: dict[Lane, Bucket] = {}
        self._since_bulk = 0

    @property
    def busy(self) -> int:
        """How many mails are under way."""
        return self._busy.total()

    def order(self, lanes: Iterable[Lane]) -> list[Lane]:
        """Return the lanes in the order in which they are to be served; equals stay as they are."""
        return sorted(lanes, key=self._rank)

    def opens(self, lane: Lane, now: int) -> int:
        """Return when a mail of a lane may begin: `now`, later, or NEVER: once another ends."""
        if self.busy >= self.connections or not self._within_budget(lane):
            return NEVER
        bucket = self._buckets.get(lane)
        return now if bucket is None else bucket.opens(now)

    def begin(self, lane: Lane, now: int) -> None:
        """A mail begins."""
        self._busy[lane.delivery] += 1
        self._at[lane.provider] += 1
        self._buckets.setdefault(lane, Bucket()).take(now)
        if lane.delivery == "bulk":
            self._since_bulk = 0
        elif lane.delivery == "automated":
            self._since_bulk += 1

    def end(self, lane: Lane) -> None:
        """A mail has ended."""
        self._busy[lane.delivery] -= 1
        self._at[lane.provider] -= 1

    def throttled(self, lane: Lane, now: int) -> bool:
        """The provider throttles. Returns whether the lane's rate was cut."""
        return self._buckets.setdefault(lane, Bucket()).throttled(now)

    def rate(self, lane: Lane, now: int) -> float | None:
        """Return the mails a second that a lane is allowed, None when there is no bound."""
        bucket = self._buckets.get(lane)
        return None if bucket is None else bucket.rate(now)

    def _rank(self, lane: Lane) -> float:
        overdue = lane.delivery == "bulk" and self._since_bulk >= BULK_SHARE - 1
        return lane.urgency - 1.5 if overdue else lane.urgency

    def _within_budget(self, lane: Lane) -> bool:
        marketing = lane.delivery in ("automated", "bulk")
        limit = self._limits.get(lane.provider, self._default).connections
        if limit is not None and self._at[lane.provider] >= max(1, limit - marketing):
            return False
        if not marketing:
            return True
        fifth = self.connections // 5
        beside = lane.delivery == "bulk" and self._busy["automated"] > 0
        if beside and self._busy["bulk"] >= self.connections - 2 * fifth:
            return False
        return self._busy["automated"] + self._busy["bulk"] < self.connections - fifth
