"""Feeds the store from the topic: reads on from where the file says, and writes whole batches.

First what is there is read, twenty thousand records at a time; then what comes is followed. While
one batch is written, on a thread, the next one is collected, so batches grow by themselves when
there is much to do. What can't be read is no fact: it is counted, named in the log, and passed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from schemas.records import Record
from streams.insights.counts import FactCounts
from streams.insights.store import ROWS_AT_ONCE, Fact, FactStore
from streams.insights.tables import NotAFact, read_fact
from streams.log import Log, OnProgress, no_progress
from streams.logging import get_logger
from streams.outbound.following import Following
from streams.runtime.skipped_records import SkippedRecords
from streams.topology import FACTS

CHUNKS_WAITING = 16
"""Chunks of records that wait to be written; then who reads waits. A chunk is a fetch: half a
megabyte or so."""

_log = get_logger(__name__)

OnThread = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs what writes, one after the other, and raises what it raises."""


class _Chunk(NamedTuple):
    partition: int
    records: Sequence[Record]


class Feeding:
    """Takes the topic into a store that is open."""

    def __init__(self, log: Log, store: FactStore, counts: FactCounts, on_thread: OnThread) -> None:
        self._log = log
        self._store = store
        self._counts = counts
        self._on_thread = on_thread
        self._written = asyncio.Event()

    async def catch_up(self, on_progress: OnProgress = no_progress) -> None:
        """Read what the topic holds now. Raises LogError, InsightsError."""
        identity = (await self._log.identities([FACTS])).get(FACTS)
        if identity is not None:
            id_ = identity.id
            await self._on_thread(lambda: self._know(id_))
        spans = await self._log.offsets(FACTS)
        starts = {number: await self._begin(number) for number in spans}
        total = sum(max(0, spans[number].end - start) for number, start in starts.items())
        done = 0
        for number, start in starts.items():
            waiting: list[Record] = []
            async for chunk in self._log.read(FACTS, number, start, spans[number].end):
                waiting += chunk
                if len(waiting) >= ROWS_AT_ONCE:
                    done += len(waiting)
                    await self._write([_Chunk(number, waiting)])
                    waiting = []
                    on_progress(done, total)
            if waiting:
                await self._write([_Chunk(number, waiting)])
                done += len(waiting)
                on_progress(done, total)

    async def follow(self, following: Following) -> None:
        """Catch up, then take in what comes, for ever. Raises LogError, InsightsError."""
        await self.catch_up()
        chunks: asyncio.Queue[_Chunk] = asyncio.Queue(CHUNKS_WAITING)
        async with asyncio.TaskGroup() as tasks:
            for number in range(await self._log.partitions(FACTS)):
                tasks.create_task(self._fetch(following, number, chunks))
            tasks.create_task(self._take(chunks))

    async def lag(self) -> Mapping[int, int]:
        """Return how many records of each partition are not in yet. Raises LogError."""
        spans = await self._log.offsets(FACTS)
        known = self._store.positions
        return {n: max(0, span.end - max(known.get(n, 0), span.start)) for n, span in spans.items()}

    async def caught_up(self) -> None:
        """Wait until all is in that the topic holds now. Raises LogError."""
        ends = {number: span.end for number, span in (await self._log.offsets(FACTS)).items()}
        while any(self._store.positions.get(n, 0) < end for n, end in ends.items() if end):
            self._written.clear()
            await self._written.wait()

    def _know(self, id_: str) -> None:
        if self._store.know_topic(id_):
            _log.warning("facts is another topic than before, it is read from its beginning")

    async def _begin(self, number: int) -> int:
        """Return where to read on, which is in the log."""
        span = (await self._log.offsets(FACTS))[number]
        position = self._store.positions.get(number)
        if position is None:
            return span.start
        if position > span.end:
            _log.warning("facts was made anew, its partition is read from its beginning",
                         partition=number, position=position, end=span.end)  # fmt: skip
            return span.start
        if position < span.start:
            lost = span.start - position
            self._counts.lost += lost
            _log.error("records of facts were gone before they were read", partition=number,
                       records=lost)  # fmt: skip
        return max(position, span.start)

    async def _fetch(
        self, following: Following, number: int, chunks: asyncio.Queue[_Chunk]
    ) -> None:
        start = await self._begin(number)
        while True:
            records = await following.fetch(FACTS, number, start)
            await chunks.put(_Chunk(number, records))
            start = records[-1].offset + 1

    async def _take(self, chunks: asyncio.Queue[_Chunk]) -> None:
        while True:
            batch = [await chunks.get()]
            count = len(batch[0].records)
            while count < ROWS_AT_ONCE and not chunks.empty():
                batch.append(chunks.get_nowait())
                count += len(batch[-1].records)
            await self._write(batch)

    async def _write(self, chunks: Sequence[_Chunk]) -> None:
        await self._on_thread(lambda: self._write_now(chunks))
        self._written.set()

    def _write_now(self, chunks: Sequence[_Chunk]) -> None:
        skipped = SkippedRecords("a fact")
        facts: list[Fact] = []
        positions: dict[int, int] = {}
        time = 0
        for chunk in chunks:
            for record in chunk.records:
                try:
                    read = read_fact(record)
                except NotAFact as error:
                    skipped.note(record, error)
                else:
                    if read is not None:
                        facts.append(Fact(chunk.partition, record.offset, *read))
            positions[chunk.partition] = chunk.records[-1].offset + 1
            time = max(time, chunk.records[-1].timestamp)
        written = self._store.write(facts, positions, time)
        counts = self._counts  # once it is written: what is read again is counted once
        counts.facts += written.facts
        counts.repeated += written.repeated
        counts.erased += written.erased
        counts.unreadable += skipped.count + written.left_out
        skipped.tell()
