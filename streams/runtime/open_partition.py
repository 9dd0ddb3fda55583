"""One open partition of `customer-events`: its actors, and what is kept of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from agents.effects import Effect
from agents.partition.batch import BatchChanges, FailureSite
from agents.partition.partition import PartitionActors
from schemas.customer.named import RunInFlight
from schemas.records import OutRecord
from schemas.set_aside import SetAside
from schemas.stored import PROGRESS_KEY, Progress, pack_progress
from streams.log import RecordTooLarge
from streams.runtime.defects import DefectTracker
from streams.runtime.state.changelog import Changelog
from streams.runtime.state.store import Item
from streams.runtime.state.tombstones import DeleteMarkers, RecoveryScan, scan_recovered
from streams.runtime.visitor_expiry import VisitorRemoval

ActorsFactory = Callable[..., PartitionActors]
"""Builds the actors of one partition: PartitionActors with what is the same for all."""


class OpenPartition:
    """One open partition: its actors and its kept state."""

    actors: PartitionActors

    def __init__(
        self,
        changelog: Changelog,
        progress: Progress,
        actors: ActorsFactory,
        removal: VisitorRemoval,
    ) -> None:
        self.number = changelog.partition
        self.changelog = changelog
        self.removal = removal
        self.defects = DefectTracker()
        self.too_large: FailureSite | None = None
        """Where the largest of what was to be written last comes from, if that was too large."""
        self.runs: Counter[RunInFlight] = Counter()
        """How many are in flight."""
        self.progress = progress
        is_new = changelog.get(PROGRESS_KEY) is None
        self.start = self.next_offset = None if is_new else progress.next_offset
        self._make = actors
        self._delete_markers = DeleteMarkers()

    @property
    def due(self) -> int:
        """When the next record is wanted: at once (at the time of the log) while there is more to
        be removed, else when the earliest timer is due."""
        due = self.actors.next_timer
        return min(due, self.progress.log_time) if self.removal.unfinished else due

    async def build(self) -> None:
        """Build the actors from what is kept. Raises Poisoned."""
        self._delete_markers = DeleteMarkers()
        found = RecoveryScan()
        for _ in scan_recovered(self.changelog, self._delete_markers, found):
            await asyncio.sleep(0)
        self.actors = self._make(
            partition=self.number,
            load=self.changelog.get,
            progress=self.progress,
            due=found.timers,
            products=found.products,
            held_back=found.held_back,
            broadcasts=found.broadcasts,
            scan=self.changelog.scan,
        )
        self.runs = found.runs
        self.too_large = None
        for _ in self.actors.prepare():
            await asyncio.sleep(0)

    async def keep(self, changes: BatchChanges, check: Callable[[], None]) -> None:
        """Write the changed customers, then the progress."""
        progress = changes.progress
        items = self._delete_markers.mark_deletions(changes.states, progress)
        items += self._delete_markers.tombstones_due(self.changelog, progress.log_time, items)
        items += self.removal.removals(items)
        try:
            await self._write(items, progress, check)
        except RecordTooLarge:
            key, _ = max(items, key=lambda item: len(item[1] or b""))
            self._blame(lambda: self.actors.site_of_state(key))
            raise
        self.removal.committed(progress.log_time)
        self.runs.update(changes.counts.runs)

    async def set_aside(self, site: SetAside, check: Callable[[], None]) -> None:
        """Write a site into the progress, which otherwise stays as it is."""
        start = self.start or 0
        progress = replace(
            self.progress, next_offset=start, set_aside=(*self.progress.set_aside, site)
        )
        await self._write([], progress, check)

    def blame_largest(self, effects: Sequence[Effect]) -> None:
        """Find out where the largest effect comes from, which the log has refused."""
        sizes = [_size(effect.record) for effect in effects]
        self._blame(lambda: self.actors.site_of_effect(sizes.index(max(sizes))))

    def _blame(self, site: Callable[[], FailureSite]) -> None:
        if self.defects.verified:
            self.too_large = site()

    async def _write(
        self, items: Sequence[Item], progress: Progress, check: Callable[[], None]
    ) -> None:
        await self.changelog.write([*items, (PROGRESS_KEY, pack_progress(progress))], check)
        self.progress = progress
        self.start = progress.next_offset


def _size(record: OutRecord) -> int:
    headers = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
