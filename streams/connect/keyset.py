"""Reading what has changed, page by page, without counting pages.

Both PrestaShop and Magento page by number. A row that is changed while somebody pages moves to the
end of the list, all behind it move up by one, and the next page has passed one over; Magento gives
the last page again, besides, to whoever asks for one past the end. So a page here says where the
next one begins: at the second of its last row, whose rows are told apart by their ids. A second
that fills a whole page (an import, a price rule for all products) is gone through by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple


class Place(NamedTuple):
    """What is known of a row before it is read."""

    changed: str
    """To the second, as the shop writes it: `2026-03-02 10:15:00`. Texts that sort as times do."""
    id: int


@dataclass(frozen=True, slots=True)
class Keyset:
    """Where to read on, from `since` on and up to `until`, both included."""

    since: str
    until: str
    seen: frozenset[int] = frozenset()
    """Rows of the second `since` that were read."""
    above: int | None = None
    """Only rows of the second `since`, with ids above this one."""

    def unread(self, page: Sequence[Place]) -> list[int]:
        """Return which rows of a page were not read before, by their place in it."""
        return [
            number
            for number, row in enumerate(page)
            if not (row.changed == self.since and row.id in self.seen)
        ]

    def after(self, page: Sequence[Place], *, more: bool) -> Keyset | None:
        """Return where to read on behind a page, None at the end.

        `page`: in the order of time and id, or of id where `above` is given. `more`: there may be
        rows behind it.
        """
        if self.above is not None:
            if more and page:
                return Keyset(self.since, self.until, above=max(row.id for row in page))
            rest = following_second(self.since)
            return Keyset(rest, self.until) if rest <= self.until else None
        if not more or not page:
            return None
        last = page[-1].changed
        if page[0].changed == last:
            return Keyset(last, self.until, above=max(row.id for row in page))
        seen = frozenset(row.id for row in page if row.changed == last)
        return Keyset(last, self.until, seen)


def following_second(text: str) -> str:
    """Return the second after one, both as shops write them and without a zone."""
    return (datetime.fromisoformat(text) + timedelta(seconds=1)).isoformat(" ", "seconds")
