"""Compaction and retention of the embedded log, done by the one process that consumes it.

A compacted partition keeps the last record of each key. As in Kafka, records younger than
`min.compaction.lag.ms` are neither removed nor make older ones stale, and a tombstone stays for
`delete.retention.ms` so that who is reading learns of it. Searching runs on a connection and a
thread of its own; removing goes through the writer in short transactions, so that appends wait for
milliseconds. Offsets are never reused: a partition's next offset is kept apart from its records.
"""

from __future__ import annotations

import sqlite3
from array import array
from functools import partial
from pathlib import Path

from schemas.time_units import DAY_MS
from streams.logging import get_logger
from streams.runtime.logs.embedded import file, tables
from streams.runtime.logs.embedded.tables import OFFSET_BITS, OFFSET_MASK, Extent, Topic
from streams.runtime.logs.embedded.writer import Writer

log = get_logger(__name__)

MIN_DIRTY = 10_000
"""Fewer new records than this are not worth a look at the partition."""
DIRTY_RATIO = 0.5
"""Kafka's `min.cleanable.dirty.ratio`: a partition holds at most about twice what it needs."""
LOOKED_AT_ONCE = 500_000
"""New records one pass looks at; bounds its temporary table to some tens of megabytes."""
DELETE_RECORDS = 2_000
"""Records removed per transaction: some milliseconds."""
DELETE_RETENTION = DAY_MS
"""Kafka's default of `delete.retention.ms`: one day."""


class Compaction:
    """Looks after one partition at a time."""

    def __init__(self, directory: Path, writer: Writer) -> None:
        self._directory = directory
        self._writer = writer

    async def look_after(self, topic: Topic, partition_id: int, now: int) -> None:
        """Compact or trim one partition where that is due. `now` in ms. Raises LogError."""
        policy = topic.config.get("cleanup.policy", "delete")
        if "delete" in policy:
            await self._retain(topic, partition_id, now)
        if "compact" in policy:
            await self._compact(topic, partition_id, now)

    async def _retain(self, topic: Topic, partition_id: int, now: int) -> None:
        retention = int(topic.config.get("retention.ms", -1))
        if retention < 0:
            return
        first, cut = await file.looked_through(
            self._directory, lambda db: _expired(db, partition_id, now - retention)
        )
        while first < cut:
            first = min(cut, first + DELETE_RECORDS)
            await self._writer.call(partial(tables.trim, partition_id=partition_id, first=first))

    async def _compact(self, topic: Topic, partition_id: int, now: int) -> None:
        young = now - int(topic.config.get("min.compaction.lag.ms", 0))
        keep = int(topic.config.get("delete.retention.ms", DELETE_RETENTION))
        while True:
            extent, stop = await file.looked_through(
                self._directory, lambda db: _compactable(db, partition_id, young)
            )
            if stop - extent.clean < max(MIN_DIRTY, DIRTY_RATIO * extent.kept):
                return
            clean, stop = extent.clean, min(stop, extent.clean + LOOKED_AT_ONCE)
            stale = await file.looked_through(
                self._directory,
                partial(_superseded, partition_id=partition_id, clean=clean, stop=stop),
            )
            await self._delete(partition_id, stale)
            # Only now: a tombstone that went before what it covers would bring the key back.
            buried = await file.looked_through(
                self._directory,
                partial(_tombstones, partition_id=partition_id, stop=stop, before=now - keep),
            )
            await self._delete(partition_id, buried)
            await self._writer.call(
                partial(tables.mark_clean, partition_id=partition_id, offset=stop)
            )
            log.info("log compacted", topic=topic.name, upto=stop, removed=len(stale) + len(buried))

    async def _delete(self, partition_id: int, offsets: array[int]) -> None:
        for start in range(0, len(offsets), DELETE_RECORDS):
            some = offsets[start : start + DELETE_RECORDS]
            await self._writer.call(partial(tables.delete, partition_id=partition_id, offsets=some))


def _expired(db: sqlite3.Connection, partition_id: int, before: int) -> tuple[int, int]:
    """Return the first kept offset, and the first whose append time is not before `before`."""
    extent = tables.extents(db)[partition_id]
    return extent.first, tables.first_since(db, partition_id, extent, before)


def _compactable(db: sqlite3.Connection, partition_id: int, young: int) -> tuple[Extent, int]:
    """Return the partition's extent, and the first offset whose append time is after `young`."""
    extent = tables.extents(db)[partition_id]
    return extent, tables.first_since(db, partition_id, extent, young + 1)


def _superseded(db: sqlite3.Connection, partition_id: int, clean: int, stop: int) -> array[int]:
    """Return the offsets below `stop` whose key occurs again in [clean, stop)."""
    run = partition_id << OFFSET_BITS
    db.execute("CREATE TEMP TABLE latest (key BLOB PRIMARY KEY, id INTEGER) WITHOUT ROWID")
    db.execute(
        "INSERT INTO latest SELECT key, max(id) FROM records "
        "WHERE id >= ? AND id < ? AND key IS NOT NULL GROUP BY key",
        (run | clean, run | stop),
    )
    # CROSS JOIN keeps the order of the loops: one scan of the partition, a look-up for each record.
    rows = db.execute(
        "SELECT records.id FROM records CROSS JOIN latest ON latest.key = records.key "
        "WHERE records.id >= ? AND records.id < ? AND records.id < latest.id",
        (run, run | stop),
    )
    return array("q", (row[0] & OFFSET_MASK for row in rows))


def _tombstones(db: sqlite3.Connection, partition_id: int, stop: int, before: int) -> array[int]:
    """Return the offsets below `stop` of tombstones that were appended before `before`."""
    run = partition_id << OFFSET_BITS
    rows = db.execute(
        "SELECT id FROM records WHERE id >= ? AND id < ? AND value IS NULL AND timestamp < ?",
        (run, run | stop, before),
    )
    return array("q", (row[0] & OFFSET_MASK for row in rows))
