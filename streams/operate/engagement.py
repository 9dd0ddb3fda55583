"""Reads from `facts` how mails were received."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from agents.insights.engagement_statistics import Reception
from schemas.tracking import Hit
from streams.log import Log
from streams.operate.timeline import decision_of
from streams.topology import FACTS

_HIT = Hit.model_fields["fact"].default


async def read_reception(
    log: Log, *, since: int, on_progress: Callable[[int, int], None]
) -> Reception:
    """Sum up what was decided and noted from `since` on (ms). Raises LogError."""
    reception, done = Reception(), 0
    spans = await log.offsets(FACTS)
    total = sum(span.end - span.start for span in spans.values())
    for partition, span in sorted(spans.items()):
        async for chunk in log.read(FACTS, partition, span.start, span.end):
            for record in chunk:
                _take(reception, record.value, since)
            done += len(chunk)
            on_progress(done, total)
    return reception


def _take(reception: Reception, value: bytes | None, since: int) -> None:
    """Take in one fact; there may be others than are summed here."""
    fact = _fact(value)
    if fact.get("fact") == _HIT:
        try:
            hit = Hit.model_validate(fact)
        except ValidationError:
            return
        if hit.time >= since:
            reception.noted(hit)
    elif (decision := decision_of(fact)) is not None and decision.time >= since:
        reception.decided(decision)


def _fact(value: bytes | None) -> dict[str, Any]:
    try:
        fact = from_json(value or b"{}")
    except ValueError:
        return {}
    return fact if isinstance(fact, dict) else {}
