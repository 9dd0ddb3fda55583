"""What a batch of records has changed in a partition, and where an actor has failed at one."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agents.effects import Effect
from schemas.customer.named import RunInFlight
from schemas.events import Event
from schemas.events.odd import OddField
from schemas.set_aside import SetAside, What
from schemas.stored import Progress


class TracedEvent(NamedTuple):
    """An event that belongs to a trace, and was applied."""

    traceparent: str
    type: str
    offset: int
    appended: int
    """ms since the epoch."""


@dataclass(slots=True)
class BatchCounts:
    """What happened, for the metrics. Replaying a batch counts it again."""

    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(type, result): applied, repeated, ignored, refused, forwarded, moved, undeclared…"""
    ignored: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(verdict, why): what came back of mails and did not count."""
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
    odd: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(type, field, problem): what of events was read otherwise or left out."""
    shared_by_many: Counter[str] = field(default_factory=Counter)
    """Links that so many have by now that they are nobody's, by kind."""
    unsigned: Counter[str] = field(default_factory=Counter)
    """Records that only Ritorno may write and that are believed without a signature, by type."""
    append_times: Counter[int] = field(default_factory=Counter)
    """When the records were appended, ms since the epoch; those of one append have the same."""
    runs: Counter[RunInFlight] = field(default_factory=Counter)
    """By how much the number of runs in flight has changed."""
    undeclared: Counter[str] = field(default_factory=Counter)
    """A shop's own events that what is live doesn't declare, by type: they change nothing."""
    traced: list[TracedEvent] = field(default_factory=list)
    failed_expressions: int = 0
    """Expressions that failed, such as a division by nothing; their conditions didn't hold."""

    def note_odd(self, event: Event, found: Sequence[OddField] = ()) -> None:
        """Count what of an applied event was odd, and what its actor has found to be. What is
        passed on was counted where it came in."""
        odd = found if event.forwarded else (*event.odd, *found)
        self.odd.update((event.type, each.name, each.problem) for each in odd)


@dataclass(slots=True)
class BatchChanges:
    """What a batch has changed, in the order in which the commit protocol writes it."""

    effects: list[Effect]
    states: list[tuple[bytes, bytes | None]]
    progress: Progress
    counts: BatchCounts


class FailureSite(NamedTuple):
    """Where in the log an actor failed; see `schemas/set_aside.py`."""

    offset: int
    what: What
    name: str = ""


class Poisoned(Exception):
    """An actor failed: a defect of ours, which must neither stop the partition nor be passed over
    in silence. The second time at a site, it is set aside: the actors are built again with
    it in their progress, where they pass over it and say so in a dead letter."""

    def __init__(self, site: FailureSite, error: BaseException) -> None:
        super().__init__(f"offset {site.offset}: {type(error).__name__}: {error}"[:300])
        self.site = site
        self.set_aside = SetAside(*site, error=_location(error))


class Unwritable(Exception):
    """Something that was decided can't be written as bytes. Which record led to it shows when the
    records are absorbed one by one; see `PartitionActors.absorb`."""


def _location(error: BaseException) -> str:
    """Which error, and where in our code it was raised: no word of what a customer said."""
    name = type(error).__name__
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        _, found, inside = frame.filename.rpartition("/agents/")
        if found:
            return f"{name} in agents/{inside}, line {frame.lineno}"
    return name
