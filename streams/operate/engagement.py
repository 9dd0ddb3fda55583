"""Reads from `facts` how mails were received."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from agents.insights.engagement_statistics import EngagementStatistics
from schemas.facts import is_fact
from schemas.tracking import Hit
from streams.log import Log, OnProgress, scan
from streams.operate.timeline import decision_of
from streams.topology import FACTS

_HIT = Hit.model_fields["fact"].default


async def read_engagement(log: Log, *, since: int, on_progress: OnProgress) -> EngagementStatistics:
    """Sum up what was decided and noted from `since` on (ms). Raises LogError."""
    statistics = EngagementStatistics()
    async for record in scan(log, FACTS, on_progress=on_progress):
        if not is_fact(record):
            _take(statistics, record.value, since)
    return statistics


def _take(statistics: EngagementStatistics, value: bytes | None, since: int) -> None:
    """Take in one fact; there may be others than are summed here."""
    fact = _fact(value)
    if fact.get("fact") == _HIT:
        try:
            hit = Hit.model_validate(fact)
        except ValidationError:
            return
        if hit.time >= since:
            statistics.noted(hit)
    elif (decision := decision_of(fact)) is not None and decision.time >= since:
        statistics.decided(decision)


def _fact(value: bytes | None) -> dict[str, Any]:
    try:
        fact = from_json(value or b"{}")
    except ValueError:
        return {}
    return fact if isinstance(fact, dict) else {}
