"""Tracks which customer, timer or record each effect and state of a record came from, to name the
failure site when one can't be written."""

from __future__ import annotations

from typing import NamedTuple

from schemas.set_aside import What


class WorkItem(NamedTuple):
    """What is being done at a record."""

    what: What
    name: str = ""


RECORD = WorkItem("record")
"""The record itself is being applied."""


class WorkTrace:
    """What was done at one record, in order, and how far the effects had come each time."""

    def __init__(self, effects: int) -> None:
        """`effects`: how many there were before the record."""
        self.start = effects
        self._steps = [(effects, RECORD)]
        self.touched: dict[bytes, WorkItem] = {}
        """Customers who were changed, and by what last."""

    def step(self, item: WorkItem, effects: int) -> None:
        """Something else is done from now on."""
        self._steps.append((effects, item))

    def touch(self, key: bytes) -> None:
        """A customer has been changed by what is being done."""
        self.touched[key] = self._steps[-1][1]

    def of_effect(self, number: int) -> WorkItem:
        """Return what has led to an effect, by its number."""
        return next(item for begun, item in reversed(self._steps) if begun <= number)
