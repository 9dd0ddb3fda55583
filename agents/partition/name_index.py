"""Which customers' records name a product, a category or a workflow: an index, by name.

It is made when a change in the feed or a followed workflow can first concern anybody, and kept up
from then on: whose records have changed since is noted, and read again before the index is asked,
a few with each batch and the rest then. An event costs nothing for it, and a kept record holds no
byte more. Some 8 µs a customer to make, and 8 bytes for each name in a record.

A customer may stand under a name that is no longer in the record: who asks looks at the record too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from schemas.customer.named import named_in
from schemas.stored import OWN_PREFIX

PAUSE = 1_000
"""Customers read between two pauses: some 8 ms."""
CAUGHT_UP = 100
"""Customers read with each batch: less than a millisecond."""
SLACK = 20_000
"""Names noted anew before the index is made again; and no fewer than it had."""

Scan = Callable[[], Iterable[tuple[bytes, bytes]]]
NamesOf = Callable[[bytes], set[str]]
"""Returns what the record of a customer names now."""


class NameIndex:
    """The index of one partition."""

    def __init__(self, scan: Scan) -> None:
        """`scan` returns all that is kept."""
        self._scan = scan
        self._customers: dict[str, list[bytes]] | None = None
        self._noted: dict[bytes, None] = {}
        self._room = 0

    @property
    def is_made(self) -> bool:
        """Whether it can be asked."""
        return self._customers is not None

    @property
    def is_right(self) -> bool:
        """Whether it is made, and not full of what no longer stands anywhere."""
        return self._customers is not None and self._room >= 0

    def note(self, keys: Iterable[bytes]) -> None:
        """The records of these customers have changed."""
        if self._customers is not None:
            self._noted.update(dict.fromkeys(keys))

    def catch_up(self, names_of: NamesOf) -> None:
        """Read some of the changed records again."""
        for _ in range(min(CAUGHT_UP, len(self._noted))):
            self._read_again(next(iter(self._noted)), names_of)

    def refresh(self, names_of: NamesOf, unwritten: Iterable[bytes] = ()) -> Iterator[None]:
        """Make the index right, pausing now and then. Nothing may be written meanwhile.

        `unwritten`: customers whose records are newer than what `scan` returns.
        """
        if not self.is_right:
            yield from self._make()
        self._noted.update(dict.fromkeys(unwritten))
        for number, key in enumerate(list(self._noted), start=1):
            self._read_again(key, names_of)
            if number % PAUSE == 0:
                yield

    def of(self, names: Iterable[str]) -> list[bytes]:
        """Return the customers who may name one of these, in the order of their keys."""
        customers = self._customers or {}
        found: set[bytes] = set()
        for name in names:
            found.update(customers.get(name, ()))
        return sorted(found)

    def _make(self) -> Iterator[None]:
        self._customers = {}
        entries = 0
        for number, (key, stored) in enumerate(self._scan(), start=1):
            if not key.startswith(OWN_PREFIX):
                entries += self._enter(key, named_in(stored))
            if number % PAUSE == 0:
                yield
        self._room = max(SLACK, entries)

    def _read_again(self, key: bytes, names_of: NamesOf) -> None:
        del self._noted[key]
        self._room -= self._enter(key, names_of(key))

    def _enter(self, key: bytes, names: set[str]) -> int:
        customers = self._customers
        assert customers is not None
        for name in names:
            those = customers.get(name)
            if those is None:
                customers[name] = [key]
            else:
                those.append(key)
        return len(names)
