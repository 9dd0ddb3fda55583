"""What becomes of foreign records: counted for the metrics and for whoever asks a process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

Outcome = Literal["mapped", "dropped", "refused", "repeated"]
Pause = Literal["none", "registry", "topic", "log", "defect"]
"""What a mapping waits for: a schema registry, the foreign topic or its broker, our own log; or a
defect of ours."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
PAUSES: tuple[Pause, ...] = tuple(each for each in get_args(Pause) if each != "none")
CHANGES = ("recreated", "shrunk", "gone", "partitions")


@dataclass(slots=True)
class MappingCounts:
    """Of one mapping, since the process began."""

    records: Counter[Outcome] = field(default_factory=lambda: Counter(dict.fromkeys(OUTCOMES, 0)))
    events: int = 0
    failed_expressions: int = 0
    changes: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(CHANGES, 0)))
    lost: int = 0
    """Records that were deleted before they could be mapped."""
    lag: int = 0
    """Records that are there and not mapped yet, in the partitions that are ours."""
    partitions: int = 0
    pause: Pause = "none"


def total_lag(each: Iterable[MappingCounts]) -> int:
    """Return how many records wait in all."""
    return sum(counts.lag for counts in each)
