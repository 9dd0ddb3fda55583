"""Deleting a customer so that a late writer can't bring the customer back.

A tombstone has no `applied`, so an older state that a paused worker writes after it would win. A
deleted customer therefore gets a delete marker first: a kept record with a head and no body, which
wins by its `applied` like any other. Once no late writer is conceivable any more, the tombstone
follows and nothing is left.

Until then a delete marker keeps the customer's id and two numbers; the head's `due` says when it
ends.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from schemas.customer.named import RunInFlight, in_flight_in
from schemas.pending_work import BROADCAST_PREFIX
from schemas.stored import (
    HEAD_SIZE,
    HELD_BACK_PREFIX,
    NEVER,
    OWN_PREFIX,
    PRODUCT_PREFIX,
    Progress,
    due_of,
    head,
    is_erased,
    pack,
)
from streams.runtime.state.changelog import Changelog
from streams.runtime.state.own import check_own
from streams.runtime.state.store import Item
from streams.topology import COMPACTION_LAG_MS

KEPT_MS = 2 * COMPACTION_LAG_MS
"""A worker may pause for the compaction lag at most; twice that leaves room for clock skew."""
PAUSE = 2_000
"""Kept records looked at between two pauses: some milliseconds."""


class DeleteMarkers:
    """The delete markers of one partition, by the time they end (log time, ms since the epoch)."""

    def __init__(self) -> None:
        self._ends: list[tuple[int, bytes]] = []

    def mark_deletions(self, items: Sequence[Item], progress: Progress) -> list[Item]:
        """Return `items` with each deletion, and each record without a body, made a delete
        marker."""
        end = progress.log_time + KEPT_MS
        marked: list[Item] = []
        for key, stored in items:
            if stored is None or is_erased(stored):
                applied = progress.next_offset - 1 if stored is None else head(stored).applied
                self.remember(key, end)
                marked.append((key, pack(applied, end, b"")))
            else:
                marked.append((key, stored))
        return marked

    def tombstones_due(
        self, changelog: Changelog, log_time: int, changed: Collection[Item]
    ) -> list[Item]:
        """Return the tombstones that are due; a customer who has come back, or does so among the
        `changed`, gets none."""
        tombstones: list[Item] = []
        busy = {key for key, _ in changed} if self._ends else set()
        while self._ends and self._ends[0][0] <= log_time:
            _, key = heapq.heappop(self._ends)
            stored = changelog.get(key)
            if key in busy:
                continue
            if stored is not None and is_erased(stored) and head(stored).due <= log_time:
                tombstones.append((key, None))
        return tombstones

    def remember(self, key: bytes, end: int) -> None:
        """Take note of a delete marker found in the store."""
        heapq.heappush(self._ends, (end, key))


@dataclass(slots=True)
class RecoveryScan:
    """What a scan of a recovered partition finds."""

    timers: list[tuple[int, bytes]] = field(default_factory=list)
    """(due, key) of those with timers."""
    products: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Kept products, by key."""
    held_back: list[tuple[bytes, bytes]] = field(default_factory=list)
    """What is known of customers who are held back, by key."""
    broadcasts: list[bytes] = field(default_factory=list)
    """Keys of what customers are, or were, to be told of."""
    runs: Counter[RunInFlight] = field(default_factory=Counter)
    """How many runs are in flight."""


def scan_recovered(
    changelog: Changelog, delete_markers: DeleteMarkers, found: RecoveryScan
) -> Iterator[None]:
    """Scan a recovered partition into `found`, and note its delete markers; pauses now and then,
    and nothing may be written meanwhile. Raises FutureFormat, Damaged."""
    for number, (key, stored) in enumerate(changelog.scan(), start=1):
        if number % PAUSE == 0:
            yield
        check_own(key, stored)  # some of it is looked up at some record, which would be late
        # A customer whose record is too short for a head is held back at the next event.
        due = due_of(stored) if len(stored) >= HEAD_SIZE else NEVER
        if not key.startswith(OWN_PREFIX):
            found.runs.update(in_flight_in(stored))
        if is_erased(stored):
            if due != NEVER:
                delete_markers.remember(key, due)
        elif due != NEVER:
            found.timers.append((due, key))
        elif key.startswith(PRODUCT_PREFIX):
            found.products.append((key, stored))
        elif key.startswith(HELD_BACK_PREFIX):
            found.held_back.append((key, stored))
        elif key.startswith(BROADCAST_PREFIX):
            found.broadcasts.append(key)
