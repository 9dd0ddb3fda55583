"""The failure sites of one partition that are passed over; what they are is in
`schemas/set_aside.py`."""

from __future__ import annotations

from collections.abc import Iterable

from agents.partition.batch import FailureSite
from schemas.set_aside import SetAside, What

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
