"""The embedded log's tables and the statements on them. Blocking.

A record's rowid is its partition's number and its offset packed into one integer, so that a
partition is one contiguous run of the table's own B-tree: appending goes to the end of the run,
reading is a range scan, and no second index has to be kept.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import msgspec

from schemas.records import OutRecord, Record
from schemas.time_units import HOUR_MS
from streams.log import OffsetRange, TopicSpec
from streams.runtime.logs.embedded.file import transaction

OFFSET_BITS = 40
"""10^12 records a partition, and 8 million partitions, fit into SQLite's 63 bits."""
OFFSET_MASK = (1 << OFFSET_BITS) - 1

CHUNK_RECORDS = 4_000
CHUNK_BYTES = 8 * 1024 * 1024
"""A chunk of a read is bounded both ways: 4,000 records may have a megabyte each."""

INSERTED_AT_ONCE = (64, 16, 4, 1)
"""Rows of one statement: few sizes, so that each is parsed once and kept."""

_encode_headers = msgspec.msgpack.Encoder().encode
_unpack_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode


class Topic(NamedTuple):
    """A topic as the file has it; `partition_ids[n]` is the number of its partition n."""

    name: str
    config: Mapping[str, str]
    partition_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a partition reaches, and what compaction needs to know of it."""

    first: int
    next: int
    kept: int
    clean: int


@dataclass(slots=True)
class Append:
    """Records for one partition, with the instant at which they were handed over."""

    partition_id: int
    timestamp: int
    records: Sequence[OutRecord]


@dataclass(slots=True)
class Commit:
    """Offsets of a consumer group, by partition number."""

    group: str
    offsets: Mapping[int, int]


def create_topics(db: sqlite3.Connection, specs: Sequence[TopicSpec]) -> list[str]:
    """Create the topics that do not exist; return their names."""
    created = []
    with transaction(db):
        for spec in specs:
            row = db.execute(
                "INSERT INTO topics (name, partitions, config) VALUES (?, ?, ?) "
                "ON CONFLICT DO NOTHING RETURNING id",
                (spec.name, spec.partitions, json.dumps(dict(spec.config), sort_keys=True)),
            ).fetchone()
            if row is None:
                continue
            db.executemany(
                "INSERT INTO partitions (topic_id, partition) VALUES (?, ?)",
                [(row[0], partition) for partition in range(spec.partitions)],
            )
            created.append(spec.name)
    return created


def topics(db: sqlite3.Connection) -> dict[str, Topic]:
    """Return all topics by name."""
    found: dict[str, Topic] = {}
    ids: dict[str, list[int]] = {}
    rows = db.execute(
        "SELECT name, config, partitions.id FROM topics JOIN partitions ON topic_id = topics.id "
        "ORDER BY topics.id, partition"
    )
    for name, config, partition_id in rows:
        ids.setdefault(name, []).append(partition_id)
        found[name] = Topic(name, json.loads(config), ids[name])
    return found


def extents(db: sqlite3.Connection) -> dict[int, Extent]:
    """Return how far each partition reaches, by partition number."""
    rows = db.execute("SELECT id, first, next, kept, clean FROM partitions")
    return {row[0]: Extent(*row[1:]) for row in rows}


def write(db: sqlite3.Connection, requests: Sequence[Append | Commit]) -> list[int]:
    """Write all requests in one transaction; return the last offset of each (0 for a Commit)."""
    appends = [each for each in requests if isinstance(each, Append)]
    with transaction(db):
        written = iter(_append(db, appends)) if appends else iter(())
        return [
            next(written) if isinstance(request, Append) else _commit(db, request)
            for request in requests
        ]


def _append(db: sqlite3.Connection, requests: Sequence[Append]) -> list[int]:
    """Write records of several requests; return the last offset of each.

    Each step of a statement gives the interpreter away, and from an event loop that is busy it
    comes back after up to 5 ms: so there are few statements, whatever the number of records.
    """
    ids = sorted({request.partition_id for request in requests})
    found = db.execute(
        f"SELECT id, next, timestamp FROM partitions WHERE id IN {_tuples(1, len(ids))}", ids
    )
    ends = {partition_id: (start, last) for partition_id, start, last in found}
    count = dict.fromkeys(ids, 0)
    rows: list[tuple[int, int, bytes | None, bytes | None, bytes | None]] = []
    offsets = []
    for request in requests:
        start, last = ends[request.partition_id]
        # Small steps back are evened out; what an hour later was stamped by a clock that had leapt.
        is_wrong = last - request.timestamp > HOUR_MS
        timestamp = request.timestamp if is_wrong else max(last, request.timestamp)
        row_id = request.partition_id << OFFSET_BITS | start
        rows += [
            (number, timestamp, key, pack_headers(headers), value)
            for number, (key, value, headers) in enumerate(request.records, row_id)
        ]
        end = start + len(request.records)
        ends[request.partition_id] = end, timestamp
        count[request.partition_id] += len(request.records)
        offsets.append(end - 1)
    _insert(db, rows)
    db.execute(
        "UPDATE partitions SET next = next + more, kept = kept + more, timestamp = latest "
        "FROM (SELECT column1 AS changed, column2 AS more, column3 AS latest "
        f"FROM (VALUES {_tuples(len(ids), 3)})) WHERE id = changed",
        [each for id_ in ids for each in (id_, count[id_], ends[id_][1])],
    )
    return offsets


def _insert(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    start = 0
    for size in INSERTED_AT_ONCE:
        while len(rows) - start >= size:
            db.execute(
                "INSERT INTO records (id, timestamp, key, headers, value) VALUES "
                + _tuples(size, 5),
                [value for row in rows[start : start + size] for value in row],
            )
            start += size


@cache
def _tuples(number: int, size: int) -> str:
    """Return places for `number` rows of `size` values."""
    return ", ".join([f"({', '.join('?' * size)})"] * number)


def _commit(db: sqlite3.Connection, request: Commit) -> int:
    db.executemany(
        "INSERT INTO committed VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET next = ?3",
        [(request.group, partition_id, offset) for partition_id, offset in request.offsets.items()],
    )
    return 0


def committed(db: sqlite3.Connection, group: str) -> dict[int, int]:
    """Return the committed offsets of a group, by partition number."""
    rows = db.execute("SELECT partition_id, next FROM committed WHERE consumer_group = ?", (group,))
    return dict(rows.fetchall())


def readers(db: sqlite3.Connection, partition_ids: Iterable[int]) -> list[str]:
    """Return the groups that have committed offsets of any of these partitions."""
    rows = db.execute("SELECT consumer_group, partition_id FROM committed")
    wanted = set(partition_ids)
    return sorted({group for group, partition_id in rows if partition_id in wanted})


def pack_headers(headers: Sequence[tuple[str, bytes]]) -> bytes | None:
    """Return headers as the file has them."""
    return _encode_headers(headers) if headers else None


def select(
    db: sqlite3.Connection, topic: Topic, partition: int, condition: str, values: Sequence[bytes]
) -> list[Record]:
    """Return the records of one partition for which an SQL condition holds."""
    run = topic.partition_ids[partition] << OFFSET_BITS
    rows = db.execute(
        "SELECT id, timestamp, key, headers, value FROM records "  # ours, see values
        f"WHERE id >= ? AND id <= ? AND {condition} ORDER BY id",
        (run, run | OFFSET_MASK, *values),
    )
    return [_record(topic, partition, row) for row in rows]


def read(
    db: sqlite3.Connection, topic: Topic, partition: int, start: int, stop: int
) -> list[Record]:
    """Return the first chunk of [start, stop) of one partition; empty when nothing is there."""
    run = topic.partition_ids[partition] << OFFSET_BITS
    rows = db.execute(
        "SELECT id, timestamp, key, headers, value FROM records "
        "WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
        (run | start, run | stop, CHUNK_RECORDS),
    )
    chunk: list[Record] = []
    size = 0
    for row in rows:
        chunk.append(_record(topic, partition, row))
        size += len(row[-1]) if row[-1] is not None else 0
        if size >= CHUNK_BYTES:
            break
    rows.close()
    return chunk


def _record(topic: Topic, partition: int, row: tuple[Any, ...]) -> Record:
    row_id, timestamp, key, headers, value = row
    return Record(
        topic.name,
        partition,
        row_id & OFFSET_MASK,
        timestamp,
        key,
        value,
        _unpack_headers(headers) if headers else (),
    )


def first_since(db: sqlite3.Connection, partition_id: int, extent: Extent, instant: int) -> int:
    """Return the lowest offset that was appended at `instant` or later; the end if there is none.

    Append times don't go back within a partition, hence a binary search, also across holes; where
    a clock had leapt and was set right, it finds one of several such places.
    """
    run = partition_id << OFFSET_BITS
    low, high = extent.first, extent.next
    while low < high:
        middle = (low + high) // 2
        row = db.execute(
            "SELECT timestamp FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 1",
            (run | middle, run | high),
        ).fetchone()
        if row is None or row[0] >= instant:
            high = middle
        else:
            low = middle + 1
    return low


def copy(
    db: sqlite3.Connection, partition_id: int, span: OffsetRange, records: Sequence[Record]
) -> None:
    """Write records of another log as they were there, with their offsets and append times, into a
    partition that then reaches over `span`."""
    run = partition_id << OFFSET_BITS
    with transaction(db):
        db.executemany(
            "INSERT INTO records (id, timestamp, key, headers, value) VALUES (?, ?, ?, ?, ?)",
            [
                (run | offset, timestamp, key, pack_headers(headers), value)
                for _, _, offset, timestamp, key, value, headers in records
            ],
        )
        db.execute(
            "UPDATE partitions SET first = ?, next = ?, kept = kept + ?, "
            "timestamp = max(timestamp, ?) WHERE id = ?",
            (span.start, span.end, len(records),
             records[-1].timestamp if records else 0, partition_id),
        )  # fmt: skip


def delete(db: sqlite3.Connection, partition_id: int, offsets: Iterable[int]) -> None:
    """Remove single records: of a compacted partition, or of somebody who was erased."""
    run = partition_id << OFFSET_BITS
    with transaction(db):
        removed = db.executemany(
            "DELETE FROM records WHERE id = ?", [(run | offset,) for offset in offsets]
        ).rowcount
        db.execute("UPDATE partitions SET kept = kept - ? WHERE id = ?", (removed, partition_id))


def trim(db: sqlite3.Connection, partition_id: int, first: int) -> None:
    """Remove everything below `first`."""
    run = partition_id << OFFSET_BITS
    with transaction(db):
        removed = db.execute(
            "DELETE FROM records WHERE id >= ? AND id < ?", (run, run | first)
        ).rowcount
        db.execute(
            "UPDATE partitions SET kept = kept - ?, first = max(first, ?) WHERE id = ?",
            (removed, first, partition_id),
        )


def mark_clean(db: sqlite3.Connection, partition_id: int, offset: int) -> None:
    """Note that each key occurs once below `offset`."""
    with transaction(db):
        db.execute("UPDATE partitions SET clean = ? WHERE id = ?", (offset, partition_id))
