"""Broadcasts: news for many customers of a partition, told one after the other.

Each broadcast goes through the customers whom it may concern in the order of their keys. Who takes
part in a record before it has come to them, by an event or by a timer, is told right before that.
So everybody is told once, in order, of all that came before what happens to them next: whoever has
applied a record behind a broadcast's has been told.

Only so many wait. One more is refused, which is seen, and can be had told later by its dead letter
(`schemas/retry.py`); the record itself counts. Which ones wait at a record depends on the log
alone: also after a crash, since each that its own record has left over is kept, even if it was done
with before its batch was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from agents.context import Context
from agents.customer import actor
from agents.products.catalogue import mentioned
from schemas.customer import Customer
from schemas.customer.named import RUN_PREFIX
from schemas.pending_work import (
    BROADCAST_PREFIX,
    Broadcast,
    CatalogueChange,
    broadcast_key,
    pack_broadcast,
    unpack_broadcast,
)
from schemas.stored import Progress

MOST_BROADCASTS = 300
"""That wait at most: a feed of 30,000 products whose prices have all changed."""

TOO_MANY_CHANGES = "too_many_changes"
"""Reason of the dead letter of one more."""

Find = Callable[[Iterable[str]], Sequence[bytes]]


class PendingBroadcast:
    """One broadcast, and how far it has come."""

    def __init__(self, broadcast: Broadcast, reached: bytes = b"", *, kept: bool = False) -> None:
        """`reached`: the last customer who has been told, empty if nobody has; `kept`: whether it
        is in the store."""
        self.broadcast = broadcast
        self.offset = broadcast.offset
        self.reached = reached
        self.is_left_over = kept
        """Whether it is to be kept: its own record wasn't enough for it."""
        self._changes: dict[str, list[CatalogueChange]] = {}
        for change in broadcast.changes:
            self._changes.setdefault(mentioned(change), []).append(change)
        self._runs = {RUN_PREFIX + workflow for workflow in broadcast.workflows}
        self._rest: list[bytes] | None = None

    def is_past(self, key: bytes, applied: int) -> bool:
        """Whether the customer, who has `applied` records up to that one, needs no broadcast."""
        return applied > self.broadcast.offset or key <= self.reached

    @property
    def names(self) -> Iterable[str]:
        """One of them stands in the record of each customer whom it may concern."""
        return chain(self._changes, self._runs)

    def concerns(self, names: set[str]) -> bool:
        """Whether it may concern the customer in whose record these names stand."""
        return any(name in self._changes or name in self._runs for name in names)

    def changes(self, names: set[str]) -> Sequence[CatalogueChange]:
        """Return the changes that may concern this customer, in the order of the feed."""
        met = {name for name in names if name in self._changes}
        if len(met) == 1:
            return self._changes[met.pop()]
        return [change for change in self.broadcast.changes if mentioned(change) in met]

    def moves_runs(self, names: set[str]) -> bool:
        """Whether this customer is in one of the workflows."""
        return not names.isdisjoint(self._runs)

    def rest(self, find: Find) -> Iterator[bytes]:
        """Yield the customers whom it may concern and who come next. Who leaves off at one goes on
        with the same. `find` returns who has one of some names in the record, by key."""
        if self._rest is None:
            found = find(self.names)
            self._rest = [key for key in reversed(found) if key > self.reached]
        while self._rest:
            yield self._rest[-1]
            self._rest.pop()


class Broadcasts:
    """All that wait in one partition, the first one first."""

    def __init__(
        self,
        progress: Progress,
        load: Callable[[bytes], bytes | None],
        kept: Iterable[bytes] = (),
    ) -> None:
        """`load` returns what is kept under a key, `kept` are the keys of all broadcasts."""
        self._load = load
        self._waiting: list[PendingBroadcast] = []
        self._by_name: dict[str, list[PendingBroadcast]] = {}
        self._begun: list[Broadcast] = []
        """Those that are to be kept and aren't yet."""
        self._new: set[int] = set()
        """Offsets of those that have come since the last `take`."""
        self._done: list[int] = []
        """Offsets of those that are done and still kept."""
        for offset, reached in progress.broadcasts:
            broadcast = self._kept(offset)
            # None: a batch that was written in part has ended with it, and all are ahead.
            self._put(PendingBroadcast(broadcast or Broadcast(offset, 0), reached, kept=True))
        # A late writer may have left some that were done without ever being kept by the owner.
        waiting = {offset for offset, _ in progress.broadcasts}
        offsets = sorted(int(key.removeprefix(BROADCAST_PREFIX)) for key in kept)
        self._done += [
            each for each in offsets if each < progress.next_offset and each not in waiting
        ]

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[PendingBroadcast]:
        return iter(self._waiting)

    @property
    def first(self) -> PendingBroadcast:
        """The one that is gone on with."""
        return self._waiting[0]

    def next_for(self, names: set[str], behind: int) -> PendingBroadcast | None:
        """Return the first one from a record behind that offset that may concern the customer in
        whose record these names stand."""
        found: PendingBroadcast | None = None
        for name in names:
            for each in self._by_name.get(name, ()):
                if each.offset > behind:
                    if found is None or each.offset < found.offset:
                        found = each
                    break
        return found

    def are_past(self, applied: int) -> bool:
        """Whether who has `applied` records up to that one needs none of them."""
        return not self._waiting or applied > self._waiting[-1].offset

    @property
    def are_too_many(self) -> bool:
        """Whether there is no room for another one."""
        return len(self._waiting) >= MOST_BROADCASTS

    def recall(self, broadcast: Broadcast) -> Broadcast:
        """Return what was kept of a broadcast when its record was received before a crash, if it
        was: the products may be known already, and changes are none then."""
        return self._kept(broadcast.offset) or broadcast

    def add(self, broadcast: Broadcast) -> None:
        """Let one more wait."""
        self._new.add(broadcast.offset)
        self._put(PendingBroadcast(broadcast, kept=self._kept(broadcast.offset) is not None))

    def pass_over(self, broadcast: Broadcast) -> None:
        """There is no room: keep it until its batch is written, so that after a crash the same is
        passed over."""
        self._new.add(broadcast.offset)
        self._begun.append(broadcast)
        self._done.append(broadcast.offset)

    def _kept(self, offset: int) -> Broadcast | None:
        return unpack_broadcast(self._load(broadcast_key(offset)))

    def _put(self, waiting: PendingBroadcast) -> None:
        self._waiting.append(waiting)
        for name in waiting.names:
            self._by_name.setdefault(name, []).append(waiting)

    def end_first(self) -> None:
        """Everybody whom the first one concerns has been told."""
        ended = self._waiting.pop(0)
        for name in ended.names:
            those = self._by_name[name]
            del those[0]
            if not those:
                del self._by_name[name]
        if ended.is_left_over:
            self._done.append(ended.offset)

    def leave_over(self) -> None:
        """A record is done with, and what waits now waits for the next one."""
        for each in reversed(self._waiting):
            if each.is_left_over:
                break
            each.is_left_over = True
            self._begun.append(each.broadcast)

    def take(self) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, None]]]:
        """Return what a batch has to write in front of all customers, and behind them."""
        begun = {broadcast_key(each.offset): pack_broadcast(each) for each in self._begun}
        # What has begun with this batch goes with a later one: until its progress is written, all
        # of it may be received once more, and then as many have to wait at each record.
        done = [offset for offset in self._done if offset not in self._new]
        self._done = [offset for offset in self._done if offset in self._new]
        self._begun, self._new = [], set()
        return list(begun.items()), [(broadcast_key(offset), None) for offset in done]

    def progress(self) -> list[tuple[int, bytes]]:
        """Return how far each has come, as `Progress` has it."""
        return [(each.offset, each.reached) for each in self._waiting]


def take_in(
    customer: Customer, time: int, news: Sequence[CatalogueChange], follows: bool, context: Context
) -> bool:
    """Tell a customer of changes that the feed brought at `time` (ms), and of other versions if it
    `follows`; return whether any was its business."""
    changed = follows and actor.follow(customer, context)
    if news:
        changed |= actor.products_changed(customer, news, time, context)
    return changed
