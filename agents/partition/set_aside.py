"""The places of one partition that are passed over; what they are is in `schemas/set_aside.py`."""

from __future__ import annotations

from collections.abc import Iterable

from agents.partition.batch import Place
from schemas.set_aside import SetAside, What

_FROM_THERE_ON: frozenset[What] = frozenset({"customer", "definition", "product"})
"""What is set aside from its record on, and not only at it."""


class Aside:
    """Those from the next record on."""

    def __init__(self, places: Iterable[SetAside]) -> None:
        self.errors = {Place(each.offset, each.what, each.name): each.error for each in places}
        """What was wrong where; asked at each record whether there is anything."""
        self._beginning = sorted(
            (place for place in self.errors if place.what in _FROM_THERE_ON), reverse=True
        )

    def error(self, place: Place) -> str | None:
        """Return what was wrong at a place, None when it isn't set aside."""
        return self.errors.get(place)

    def beginning(self, offset: int) -> list[SetAside]:
        """Take what is set aside from the record at `offset` on, in a fixed order."""
        found = []
        while self._beginning and self._beginning[-1].offset <= offset:
            place = self._beginning.pop()
            found.append(SetAside(*place, error=self.errors[place]))
        return found

    def left(self, next_offset: int) -> tuple[SetAside, ...]:
        """Forget what lies before `next_offset`; return the others."""
        if self.errors:
            self.errors = {
                place: error for place, error in self.errors.items() if place.offset >= next_offset
            }
        return tuple(SetAside(*place, error=error) for place, error in self.errors.items())
