"""Failure sites of one partition: those that are passed over, and which customer, timer or record
it was when something that was decided can't be written; see `schemas/set_aside.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from agents.partition.batch import FailureSite
from schemas.set_aside import SetAside, What


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


_FROM_THERE_ON: frozenset[What] = frozenset({"customer", "definition", "product"})
"""What is set aside from its record on, and not only at it."""


class SetAsideSites:
    """Those from the next record on."""

    def __init__(self, sites: Iterable[SetAside]) -> None:
        self.errors = {FailureSite(each.offset, each.what, each.name): each.error for each in sites}
        """What was wrong where; asked at each record whether there is anything."""
        self._beginning = sorted(
            (site for site in self.errors if site.what in _FROM_THERE_ON), reverse=True
        )

    def error(self, site: FailureSite) -> str | None:
        """Return what was wrong at a site, None when it isn't set aside."""
        return self.errors.get(site)

    def beginning(self, offset: int) -> list[SetAside]:
        """Take what is set aside from the record at `offset` on, in a fixed order."""
        found = []
        while self._beginning and self._beginning[-1].offset <= offset:
            site = self._beginning.pop()
            found.append(SetAside(*site, error=self.errors[site]))
        return found

    def left(self, next_offset: int) -> tuple[SetAside, ...]:
        """Forget what lies before `next_offset`; return the others."""
        if self.errors:
            self.errors = {
                site: error for site, error in self.errors.items() if site.offset >= next_offset
            }
        return tuple(SetAside(*site, error=error) for site, error in self.errors.items())
