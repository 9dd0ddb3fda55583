"""What has to be looked at when something of a customer has changed, by what is live."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from agents.definitions.time_triggers import TimeTrigger, TimeTriggers
from agents.rules.fields import Part
from agents.rules.segments import NO_SEGMENTS, CompiledSegment, Segmentation


class Affected(NamedTuple):
    """What may be another one when something has changed."""

    segments: tuple[CompiledSegment, ...]
    time_triggers: tuple[TimeTrigger, ...]


@dataclass(frozen=True, slots=True)
class DerivedState:
    """What to look at, by the definitions that are live."""

    version: str = ""
    """Other definitions, another version; empty when there is nothing to look at."""
    segmentation: Segmentation = NO_SEGMENTS
    time_triggers: TimeTriggers = field(default_factory=TimeTriggers)
    _looks: dict[frozenset[Part], Affected] = field(default_factory=dict, repr=False, compare=False)

    def reading(self, parts: frozenset[Part]) -> Affected:
        """Return what has to be looked at when these parts have changed."""
        found = self._looks.get(parts)
        if found is None:
            found = Affected(self.segmentation.reading(parts), self.time_triggers.reading(parts))
            self._looks[parts] = found
        return found
