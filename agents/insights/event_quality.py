"""Which producer sends what wrongly: odd fields and refused events, by source.

Bounded however many events there are: by the sources, kinds of oddity and examples that are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from schemas.events import Event
from schemas.events.odd import OddField

SOURCES_KEPT = 200
"""Sources that are told apart; a shop has a handful. What others send counts as `OTHER`'s."""
KINDS_KEPT = 5_000
"""Kinds of oddity and refusal that are told apart, of all sources; the rest is only counted."""
EXAMPLES_KEPT = 3
EXAMPLE_CHARACTERS = 200
OTHER = "(others)"
UNKNOWN = "(unknown)"
"""Source or type of what was refused before it could be read."""
OWN = "custom"
"""Type as which all events of the shop's own are summed up that aren't declared."""


_Kind = TypeVar("_Kind", "OddKind", "RefusedKind", str)


class OddKind(NamedTuple):
    """One thing that a source sends wrongly."""

    type: str
    field: str
    problem: str
    kept: bool
    """Something else was taken for it; else it was left out."""

    @property
    def became(self) -> str:
        """What became of the field, in a word or two."""
        if not self.kept:
            return "left out"
        return "absent" if self.problem == "empty" else "read"


class RefusedKind(NamedTuple):
    """One reason for which a source's events are refused."""

    type: str
    reason: str


@dataclass(slots=True)
class Occurrences:
    """How often something was seen, and when."""

    count: int = 0
    first: int = 0
    """ms since the epoch; 0 where no time is known."""
    last: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, time: int, example: str) -> None:
        """Count it once more."""
        self.count += 1
        if time:
            self.first = min(self.first or time, time)
            self.last = max(self.last, time)
        if example and len(self.examples) < EXAMPLES_KEPT and example not in self.examples:
            self.examples.append(example[:EXAMPLE_CHARACTERS])


@dataclass(slots=True)
class SourceQuality:
    """What one source has sent."""

    events: Counter[str] = field(default_factory=Counter)
    """Events that could be read, by type."""
    with_odd: int = 0
    """How many of them had an odd field."""
    odd: dict[OddKind, Occurrences] = field(default_factory=dict)
    refused: dict[RefusedKind, Occurrences] = field(default_factory=dict)
    own: dict[str, Occurrences] = field(default_factory=dict)
    """Events of the shop's own that aren't declared, by type: they change nothing."""


class EventQuality:
    """Sums up events and refusals."""

    def __init__(self, understood: Callable[[Event], Event | None] = lambda event: event) -> None:
        """`understood`: how actors take an event, None where it isn't declared."""
        self._understood = understood
        self.sources: dict[str, SourceQuality] = {}
        self.beyond = 0
        """Odd fields, refusals and own events of kinds for which there was no room."""
        self._kinds = 0

    def read(self, event: Event, time: int) -> None:
        """An event was read at `time` (ms, 0 if unknown)."""
        source = self._source(event.source)
        understood = self._understood(event)
        type_ = event.type if understood is None else understood.type
        if understood is None:  # there is no end of their names
            self._note(source.own, type_[:EXAMPLE_CHARACTERS], time, "")
            type_ = OWN
        else:
            event = understood
        source.events[type_] += 1
        if event.odd:
            source.with_odd += 1
            for each in event.odd:
                self._note(source.odd, _kind(type_, each), time, each.value)

    def refused(self, source: str, type_: str, reason: str, detail: str, time: int) -> None:
        """An event was refused at `time` (ms, 0 if unknown)."""
        kind = RefusedKind(type_ or UNKNOWN, reason)
        self._note(self._source(source or UNKNOWN).refused, kind, time, detail)

    def _source(self, name: str) -> SourceQuality:
        known = self.sources.get(name)
        if known is None:
            name = name if len(self.sources) < SOURCES_KEPT else OTHER
            known = self.sources.setdefault(name, SourceQuality())
        return known

    def _note(self, kinds: dict[_Kind, Occurrences], kind: _Kind, time: int, example: str) -> None:
        known = kinds.get(kind)
        if known is None:
            if self._kinds >= KINDS_KEPT:
                self.beyond += 1
                return
            self._kinds += 1
            known = kinds[kind] = Occurrences()
        known.note(time, example)


def _kind(type_: str, odd: OddField) -> OddKind:
    return OddKind(type_, odd.name, odd.problem, odd.kept)
