"""The embedded log: a `Log` in one SQLite file, without a broker.

Who may do what: one process at a time consumes as a worker and holds `worker.lock` for it
(`claim`); any other process may read and append at the same time (`ritorno publish`,
`customer show`, `dead-letters`, `replay`), SQLite orders the transactions, and the worker notices
within a tenth of a second. Appends of the same process wake its consumer at once.

The event loop never touches the file: one thread writes (`writer`), one reads.

    file       opening it, saying what is wrong with it
    tables     what is in it, and the statements on that
    writer     the one thread that writes
    compaction compaction and retention
    redaction  changing records in place, for erasures
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TypeVar

from schemas.records import OutRecord, Record
from schemas.time_units import HOUR_MS
from streams.clock import Clock
from streams.log import (
    LogDamaged,
    LogError,
    OffsetRange,
    RecordTooLarge,
    TopicDescription,
    TopicIdentity,
    TopicSpec,
    UnknownTopic,
)
from streams.logging import get_logger
from streams.runtime.background import kept_up, watched
from streams.runtime.logs.embedded import file, tables
from streams.runtime.logs.embedded.compaction import MIN_DIRTY, Compaction
from streams.runtime.logs.embedded.redaction import Redaction
from streams.runtime.logs.embedded.tables import Append, Commit, Extent, Topic
from streams.runtime.logs.embedded.writer import Writer
from streams.topology import LOG_RECORD_BYTES

log = get_logger(__name__)

T = TypeVar("T")

RETENTION_EVERY = HOUR_MS
"""Look for expired records once an hour of the clock; retention is counted in days."""


class EmbeddedLog:
    """Implements `streams.log.Log`; `claim` and below is for the embedded transport."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        """`clock` stamps the records. Nothing is touched before `start`."""
        self.directory = directory
        self._clock = clock
        self._writer: Writer | None = None
        self._reading: sqlite3.Connection | None = None
        self._reader: ThreadPoolExecutor | None = None
        self._starting = asyncio.Lock()
        self._topics: Mapping[str, Topic] = {}
        self._ends: dict[int, int] = {}
        self._version = 0
        self._news = asyncio.Event()
        self._worker_lock: int | None = None
        self._compaction: asyncio.Task[None] | None = None
        self._since_compaction: dict[int, int] = {}
        self._due_compaction: set[int] = set()
        self._refreshing: set[asyncio.Task[None]] = set()
        self.on_damage: Callable[[str], None] = lambda _: None
        """Called when the file turns out to be damaged, with what is wrong and what to do."""

    async def start(self) -> None:
        """Open the file, creating it where it is missing. Raises LogError."""
        async with self._starting:
            if self._writer is not None:
                return
            writer = Writer(self.directory, asyncio.get_running_loop(), self._others_wrote)
            await writer.start()
            self._writer = writer
            self._reader = ThreadPoolExecutor(1, thread_name_prefix="embedded-log-read")
            try:
                self._reading = await self._on_reader(lambda: file.connect(self.directory))
                await self._refresh()
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        """Write what is queued and close. Safe to call twice."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        await self.release()
        await writer.stop()
        for task in self._refreshing:
            task.cancel()
        reading, self._reading = self._reading, None
        if reading is not None:
            await self._on_reader(reading.close)
        if self._reader is not None:
            self._reader.shutdown(wait=False)
        self._wake()

    async def create_topics(self, specs: Sequence[TopicSpec]) -> list[str]:
        """Create those that do not exist and return their names. Existing ones stay untouched."""
        wanted = list(specs)
        for spec in wanted:
            if spec.partitions < 1:
                raise LogError(f"The topic {spec.name} needs at least one partition.")
        created = await asyncio.shield(
            self._open().call(lambda db: tables.create_topics(db, wanted))
        )
        await self._refresh()
        return created

    def named(self, topic: str) -> str:
        """Return the topic's name: a file is one shop's."""
        return topic

    async def describe(self, topic: str) -> TopicDescription | None:
        """Return the topic, None when it does not exist."""
        try:
            found = await self._topic(topic)
        except UnknownTopic:
            return None
        return TopicDescription(
            name=topic,
            partitions=len(found.partition_ids),
            replication=1,
            # What holds for any topic here, stated as Kafka would, for who checks the topology.
            config={
                "cleanup.policy": "delete",
                **found.config,
                "message.timestamp.type": "LogAppendTime",
            },
        )

    async def identities(self, topics: Sequence[str]) -> Mapping[str, TopicIdentity]:
        """Return the number of partitions of those that exist; nobody makes one anew in a file."""
        await self._refresh()
        found = {name: self._topics[name] for name in topics if name in self._topics}
        return {name: TopicIdentity("", len(each.partition_ids)) for name, each in found.items()}

    async def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has. Raises UnknownTopic."""
        return len((await self._topic(topic)).partition_ids)

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        """Append in order; return the last offset once it is on disk. Raises LogError.

        Without records, return the offset before the next to be written.
        """
        now = self._clock.now()
        found = await self._topic(topic)
        partition_id = self._partition_id(found, partition)
        if not records:
            return self._ends[partition_id] - 1
        _check(found, records)
        written = self._open().submit(Append(partition_id, now, records))
        written.add_done_callback(lambda done: self._appended(partition_id, len(records), done))
        return await asyncio.shield(written)

    async def copy(
        self, topic: str, partition: int, span: OffsetRange, records: Sequence[Record]
    ) -> None:
        """Take records of another log over as they were there, with their offsets and append times;
        the partition then reaches over `span`. Raises LogError."""
        partition_id = self._partition_id(await self._topic(topic), partition)
        await asyncio.shield(
            self._open().call(lambda db: tables.copy(db, partition_id, span, records))
        )

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        """Return the offset range of each partition. Raises UnknownTopic."""
        found = await self._topic(topic)
        extents = await self._read(tables.extents)
        return {
            partition: OffsetRange(extents[partition_id].first, extents[partition_id].next)
            for partition, partition_id in enumerate(found.partition_ids)
        }

    async def offset_at(self, topic: str, partition: int, instant: int) -> int:
        """Return the lowest offset that was appended at `instant` or later; the end if none was."""
        partition_id = self._partition_id(await self._topic(topic), partition)
        return await self._read(
            lambda db: tables.first_since(
                db, partition_id, tables.extents(db)[partition_id], instant
            )
        )

    async def read(
        self, topic: str, partition: int, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        """Read [start, stop) of one partition in chunks; ends early where the log ends."""
        found = await self._topic(topic)
        self._partition_id(found, partition)
        while start < stop:
            chunk = await self._read(_chunk_of(found, partition, start, stop))
            if not chunk:
                return
            start = chunk[-1].offset + 1
            yield chunk

    async def pick(
        self, topic: str, partition: int, offsets: Sequence[int]
    ) -> AsyncIterator[Sequence[Record]]:
        """Read the records at `offsets`, which ascend; those that are kept no more are left out."""
        for offset in offsets:
            async for chunk in self.read(topic, partition, offset, offset + 1):
                yield chunk

    async def readers(self, topic: str) -> list[str]:
        """Return the groups that have committed offsets of a topic."""
        found = await self._topic(topic)
        return await self._read(lambda db: tables.readers(db, found.partition_ids))

    async def members(self, group: str) -> None:
        """Say that there is no group: one process consumes, whatever it is called."""

    # For the embedded transport.

    async def claim(self) -> None:
        """Become the one process that consumes; also starts compaction and retention.

        Raises LogError naming the process that already does.
        """
        if self._worker_lock is not None:
            return
        self._worker_lock = file.claim(self.directory)
        self._due_compaction.update(self._ends)
        self._compaction = asyncio.create_task(
            kept_up("compaction", self._look_after), name="embedded-log-upkeep"
        )

    async def release(self) -> None:
        """Let another process consume. Safe to call twice."""
        compaction, self._compaction = self._compaction, None
        if compaction is not None:
            compaction.cancel()
            await asyncio.gather(compaction, return_exceptions=True)
        handle, self._worker_lock = self._worker_lock, None
        if handle is not None:
            os.close(handle)

    @property
    def version(self) -> int:
        """Grows with every change this process knows of: appends, compaction, retention."""
        return self._version

    async def wait_beyond(self, version: int) -> None:
        """Wait until `version` is no longer the current one."""
        while self._version == version:
            await self._news.wait()

    def end(self, topic: str, partition: int) -> int:
        """Return the next offset to be written, as far as this process knows; 0 if unknown."""
        found = self._topics.get(topic)
        if found is None or not 0 <= partition < len(found.partition_ids):
            return 0
        return self._ends.get(found.partition_ids[partition], 0)

    async def fetch(self, topic: str, partition: int, start: int) -> Sequence[Record]:
        """Return the next chunk from `start`, at once and empty when there is nothing new."""
        end = self.end(topic, partition)
        if start >= end:
            return ()
        found = await self._topic(topic)
        return await self._read(_chunk_of(found, partition, start, end))

    async def committed(self, group: str) -> Mapping[tuple[str, int], int]:
        """Return the committed offsets of a group by (topic, partition)."""
        by_id = await self._read(lambda db: tables.committed(db, group))
        return {
            (topic.name, partition): by_id[partition_id]
            for topic in self._topics.values()
            for partition, partition_id in enumerate(topic.partition_ids)
            if partition_id in by_id
        }

    async def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Keep the offsets a group goes on from. Raises LogError."""
        by_id = {
            self._partition_id(await self._topic(topic), partition): offset
            for (topic, partition), offset in offsets.items()
        }
        await asyncio.shield(self._open().submit(Commit(group, by_id)))

    def redaction(self) -> Redaction:
        """Return who can change records in place, for erasures. Raises LogError."""
        return Redaction(self.directory, self._open())

    # Inside.

    def _open(self) -> Writer:
        if self._writer is None:
            raise LogError(f"The log in {self.directory} is not open.")
        return self._writer

    async def _topic(self, name: str) -> Topic:
        if name not in self._topics:
            await self._refresh()
        found = self._topics.get(name)
        if found is None:
            raise UnknownTopic(
                f"The log in {self.directory} has no topic {name}. "
                "`ritorno topics create` creates all that are needed."
            )
        return found

    def _partition_id(self, topic: Topic, partition: int) -> int:
        if not 0 <= partition < len(topic.partition_ids):
            raise LogError(
                f"The topic {topic.name} has no partition {partition}, "
                f"only 0 to {len(topic.partition_ids) - 1}."
            )
        return topic.partition_ids[partition]

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        reading = self._reading
        if reading is None:
            raise LogError(f"The log in {self.directory} is not open.")

        def run() -> T:
            with file.explained(self.directory):
                return function(reading)

        try:
            return await self._on_reader(run)
        except LogDamaged as damage:
            self.on_damage(str(damage))
            raise

    async def _on_reader(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, function)

    async def _refresh(self) -> None:
        """Learn of topics and records that other processes have written."""
        topics, extents = await self._read(_overview)
        self._topics = topics
        for partition_id, extent in extents.items():
            self._ends[partition_id] = max(extent.next, self._ends.get(partition_id, 0))
        self._wake()

    def _others_wrote(self) -> None:
        task = asyncio.get_running_loop().create_task(self._refresh_quietly())
        self._refreshing.add(watched("news", task))
        task.add_done_callback(self._refreshing.discard)

    async def _refresh_quietly(self) -> None:
        try:
            await self._refresh()
        except LogError as error:
            log.error("records of another process not seen", reason=str(error))

    def _appended(self, partition_id: int, count: int, written: asyncio.Future[int]) -> None:
        if written.cancelled():
            return
        if (error := written.exception()) is not None:
            if isinstance(error, LogDamaged):
                self.on_damage(str(error))
            return
        self._ends[partition_id] = max(written.result() + 1, self._ends[partition_id])
        since = self._since_compaction.get(partition_id, 0) + count
        if since >= MIN_DIRTY:
            self._due_compaction.add(partition_id)
            since = 0
        self._since_compaction[partition_id] = since
        self._wake()

    def _wake(self) -> None:
        self._version += 1
        self._news.set()
        self._news = asyncio.Event()

    async def _look_after(self) -> None:
        """Compact and trim while this process is the consumer."""
        compaction = Compaction(self.directory, self._open())
        hourly = self._clock.now() + RETENTION_EVERY
        while True:
            while self._due_compaction:
                partition_id = self._due_compaction.pop()
                topic = self._topic_of(partition_id)
                try:
                    await compaction.look_after(topic, partition_id, self._clock.now())
                except LogError as error:
                    log.error("log not compacted", topic=topic.name, reason=str(error))
                self._wake()
            if self._clock.now() >= hourly:
                hourly = self._clock.now() + RETENTION_EVERY
                self._due_compaction.update(self._ends)
            else:
                await self.wait_beyond(self._version)

    def _topic_of(self, partition_id: int) -> Topic:
        return next(t for t in self._topics.values() if partition_id in t.partition_ids)


def _overview(db: sqlite3.Connection) -> tuple[dict[str, Topic], dict[int, Extent]]:
    return tables.topics(db), tables.extents(db)


def _chunk_of(
    topic: Topic, partition: int, start: int, stop: int
) -> Callable[[sqlite3.Connection], list[Record]]:
    return lambda db: tables.read(db, topic, partition, start, stop)


def _check(topic: Topic, records: Sequence[OutRecord]) -> None:
    """Raise LogError for what Kafka would refuse as well, RecordTooLarge if for its size."""
    # Key, value and headers together; as on Kafka, so that a shop that moves there finds nothing in
    # its log that does not fit.
    limit = int(topic.config.get("max.message.bytes", LOG_RECORD_BYTES))
    compacted = "compact" in topic.config.get("cleanup.policy", "delete")
    for key, value, headers in records:
        size = len(key or b"") + len(value or b"") + sum(map(len, chain.from_iterable(headers)))
        if size > limit:
            raise RecordTooLarge(
                f"A record of {size} bytes for {topic.name} is too large; it takes up to {limit}."
            )
        if compacted and key is None:
            raise LogError(f"{topic.name} is compacted; its records need a key.")
