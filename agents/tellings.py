"""What customers are still to be told of, in the order in which it came.

Each telling goes through the customers whom it may concern in the order of their keys. Who takes
part in a record before it has come to them, by an event or by a timer, is told right before that.
So everybody is told once, in order, of all that came before what happens to them next: whoever has
applied a record behind a telling's has been told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from agents.catalogue import mentioned
from schemas.customer.named import RUN_PREFIX
from schemas.stored import Progress
from schemas.unfinished import (
    TELLING_PREFIX,
    Change,
    Telling,
    pack_telling,
    telling_key,
    unpack_telling,
)

TELLINGS = 100
"""That wait at most: a feed of 10,000 products whose prices have all changed. The record of one
more is held back until the first of them is done."""

Find = Callable[[Iterable[str]], Sequence[bytes]]


class Waiting:
    """One telling, and how far it has come."""

    def __init__(self, telling: Telling, told: bytes = b"", *, kept: bool = False) -> None:
        """`told`: the last customer who has been told, empty if nobody has; `kept`: whether it is
        in the store."""
        self.telling = telling
        self.told = told
        self.kept = kept
        self._changes: dict[str, list[Change]] = {}
        for change in telling.changes:
            self._changes.setdefault(mentioned(change), []).append(change)
        self._runs = {RUN_PREFIX + workflow for workflow in telling.workflows}
        self._rest: list[bytes] | None = None

    def is_told(self, key: bytes, applied: int) -> bool:
        """Whether the customer, who has `applied` records up to that one, needs no telling."""
        return applied > self.telling.offset or key <= self.told

    def concerns(self, names: set[str]) -> bool:
        """Whether it may concern the customer in whose record these names stand."""
        return not (names.isdisjoint(self._changes) and names.isdisjoint(self._runs))

    def changes(self, names: set[str]) -> Sequence[Change]:
        """Return the changes that may concern this customer, in the order of the feed."""
        met = names.intersection(self._changes)
        if len(met) == 1:
            return self._changes[met.pop()]
        return [change for change in self.telling.changes if mentioned(change) in met]

    def moves_runs(self, names: set[str]) -> bool:
        """Whether this customer is in one of the workflows."""
        return not names.isdisjoint(self._runs)

    def rest(self, find: Find) -> Iterator[bytes]:
        """Yield the customers whom it may concern and who come next. Who leaves off at one goes on
        with the same. `find` returns who has one of some names in the record, by key."""
        if self._rest is None:
            found = find([*self._changes, *self._runs])
            self._rest = [key for key in reversed(found) if key > self.told]
        while self._rest:
            yield self._rest[-1]
            self._rest.pop()


class Tellings:
    """All that wait in one partition, the first one first."""

    def __init__(
        self,
        progress: Progress,
        load: Callable[[bytes], bytes | None],
        kept: Iterable[bytes] = (),
    ) -> None:
        """`load` returns what is kept under a key, `kept` are the keys of all tellings."""
        self._load = load
        self._waiting: list[Waiting] = []
        self._done: list[int] = []
        """Offsets of those that are done and still kept."""
        for offset, told in progress.tellings:
            telling = unpack_telling(load(telling_key(offset)))
            # None: a batch that was written in part has ended with it, and all are ahead.
            self._waiting.append(Waiting(telling or Telling(offset, 0), told, kept=True))
        # A late writer may have left some that were done without ever being kept by the owner.
        waiting = {offset for offset, _ in progress.tellings}
        offsets = sorted(int(key.removeprefix(TELLING_PREFIX)) for key in kept)
        self._done += [
            each for each in offsets if each < progress.next_offset and each not in waiting
        ]

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._waiting)

    @property
    def first(self) -> Waiting:
        """The one that is gone on with."""
        return self._waiting[0]

    def add(self, telling: Telling) -> bool:
        """Let one more wait; return whether there is anything to tell.

        When its record was received before a crash, what was kept of it then is right: the products
        may be known already, and changes are none then.
        """
        kept = unpack_telling(self._load(telling_key(telling.offset)))
        telling = kept or telling
        if not (telling.changes or telling.workflows):
            return False
        self._waiting.append(Waiting(telling, kept=kept is not None))
        return True

    def end_first(self) -> None:
        """Everybody whom the first one concerns has been told."""
        ended = self._waiting.pop(0)
        if ended.kept:
            self._done.append(ended.telling.offset)

    def take(self) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, None]]]:
        """Return what a batch has to write in front of all customers, and behind them."""
        new = [each for each in self._waiting if not each.kept]
        done, self._done = self._done, []
        for each in new:
            each.kept = True
        return (
            [(telling_key(each.telling.offset), pack_telling(each.telling)) for each in new],
            [(telling_key(offset), None) for offset in done],
        )

    def progress(self) -> list[tuple[int, bytes]]:
        """Return how far each has come, as `Progress` has it."""
        return [(each.telling.offset, each.told) for each in self._waiting]
