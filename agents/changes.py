"""What a batch of records has changed in a partition, and where an actor has failed at one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from agents.effects import Effect
from schemas.stored import Progress


@dataclass(slots=True)
class Counts:
    """What happened, for the metrics. Replaying a batch counts it again."""

    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(type, result): applied, repeated, refused, forwarded, moved."""
    refused: Counter[str] = field(default_factory=Counter)
    """By reason."""
    ages: list[int] = field(default_factory=list)
    """ms from each applied event to the time of the log."""
    lateness: list[int] = field(default_factory=list)
    """ms from each fired timer's due time to the time of the log."""
    scores: Counter[str] = field(default_factory=Counter)
    """Engagement changes by direction: up, down."""
    refused_fields: Counter[str] = field(default_factory=Counter)
    """Custom fields whose value was of another type."""
    failed_expressions: int = 0
    """Expressions that failed, such as a division by nothing; their conditions didn't hold."""


@dataclass(slots=True)
class Changes:
    """What a batch has changed, in the order in which the commit protocol writes it."""

    effects: list[Effect]
    states: list[tuple[bytes, bytes | None]]
    progress: Progress
    counts: Counts


class Place(NamedTuple):
    """Where an actor failed."""

    offset: int
    timer_of: bytes | None
    """The customer whose timer was due at that record; None when it was the record itself."""


class Poisoned(Exception):
    """An actor failed at a record: a defect of ours, which must neither stop the partition nor be
    passed over in silence. The partition is opened again with the place among its `poison`, where
    the record is refused or the customer's timer is given up."""

    def __init__(self, place: Place, error: Exception) -> None:
        super().__init__(f"offset {place.offset}: {type(error).__name__}: {error}"[:300])
        self.place = place
