"""What is set and not published, and decides all the same: it is the same for every worker and in
replay, or they decide otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.time_units import DAY_MS

REMEMBERED_MS = 7 * DAY_MS
"""A week: a queue that was stuck over the holidays, or a file that is published again after
somebody has looked at what failed."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Which sources of events are one shop's."""

    shops: Mapping[str, str] = field(default_factory=dict)
    """What a source begins with → the shop; of several that fit the longest counts."""

    def of(self, source: str) -> str:
        """Return the name under which a source's ids are known: the shop's, else its own."""
        return self._named(source) or source

    def shop(self, source: str) -> str:
        """Return the shop to which the order numbers of a source belong; empty: the only one."""
        if not self.shops:
            return ""
        return self._named(source) if len(set(self.shops.values())) > 1 else ""

    def _named(self, source: str) -> str:
        fitting = [prefix for prefix in self.shops if source.startswith(prefix)]
        return self.shops[max(fitting, key=len)] if fitting else ""


@dataclass(frozen=True, slots=True)
class DeduplicationRules:
    """What is set about it. The same for every worker and in replay, or they decide otherwise."""

    remembered: int = REMEMBERED_MS
    """How long an id is remembered, ms of the log's time."""
    sources: Sources = field(default_factory=Sources)


class VisitorLimits(NamedTuple):
    """For how long visitors are kept, and how many may arrive."""

    days: int | None = None
    """Silent for longer than these days, they are forgotten; None: never."""
    per_second: float | None = None
    """New ones per second and partition, on the average of an hour; None: as many as come."""


NO_LIMITS = VisitorLimits()
