"""Changing records of the embedded log in place, which nothing but an erasure may do.

A log is appended to and never changed; Kafka can't even. But what a customer had a right to have
erased must not lie in a file until its retention ends. Offsets and append times stay as they are.

`secure_delete` (see `file`) overwrites what is removed with zeros. Copies are left where pages were
split and in the write-ahead log; `rewrite` gets rid of those, by writing the file anew.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from schemas.records import OutRecord, Record
from streams.runtime.logs.embedded import file, tables
from streams.runtime.logs.embedded.tables import OFFSET_BITS
from streams.runtime.logs.embedded.writer import Writer

AT_ONCE = 500
"""Records changed per transaction: some milliseconds, so that appends need not wait."""


class Redaction:
    """Finds and changes single records."""

    def __init__(self, directory: Path, writer: Writer) -> None:
        self._directory = directory
        self._writer = writer

    async def with_key(self, topic: str, partition: int, key: bytes) -> list[Record]:
        """Return the records of a partition that have this key. Raises LogError."""
        return await file.looked_through(
            self._directory, partial(_with_key, topic=topic, partition=partition, key=key)
        )

    async def holding(self, topic: str, partition: int, words: Sequence[bytes]) -> list[Record]:
        """Return the records of a partition whose values hold one of `words`. Raises LogError."""
        return await file.looked_through(
            self._directory, partial(_holding, topic=topic, partition=partition, words=words)
        )

    async def change(
        self, topic: str, partition: int, changes: Mapping[int, OutRecord | None]
    ) -> None:
        """Put another record at an offset; None removes what is there. Raises LogError."""
        offsets = sorted(changes)
        for start in range(0, len(offsets), AT_ONCE):
            some = {offset: changes[offset] for offset in offsets[start : start + AT_ONCE]}
            await asyncio.shield(
                self._writer.call(partial(_change, topic=topic, partition=partition, changes=some))
            )

    async def rewrite(self) -> bool:
        """Write the file anew; return whether nobody was in the way. Raises LogError.

        Appends wait for it, a quarter of a minute for a gigabyte, and it needs as much room again.
        """
        return await asyncio.shield(self._writer.call(_rewrite))


def _with_key(db: sqlite3.Connection, topic: str, partition: int, key: bytes) -> list[Record]:
    return tables.select(db, tables.topics(db)[topic], partition, "key = ?", (key,))


def _holding(
    db: sqlite3.Connection, topic: str, partition: int, words: Sequence[bytes]
) -> list[Record]:
    condition = " OR ".join(["instr(value, ?)"] * len(words))
    return tables.select(db, tables.topics(db)[topic], partition, f"({condition})", words)


def _change(
    db: sqlite3.Connection, topic: str, partition: int, changes: Mapping[int, OutRecord | None]
) -> None:
    partition_id = tables.topics(db)[topic].partition_ids[partition]
    run = partition_id << OFFSET_BITS
    tables.delete(db, partition_id, [at for at, record in changes.items() if record is None])
    with file.transaction(db):
        db.executemany(
            "UPDATE records SET key = ?, headers = ?, value = ? WHERE id = ?",
            [
                (record.key, tables.pack_headers(record.headers), record.value, run | at)
                for at, record in changes.items()
                if record is not None
            ],
        )


def _rewrite(db: sqlite3.Connection) -> bool:
    db.execute("VACUUM")
    busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
