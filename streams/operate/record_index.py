"""Where a person's records lie in a topic: an index that is made when somebody asks for it.

A timeline needs the few decisions about one customer, which lie among everybody's in `facts`, and
the events of one key among those of its partition. Nothing is noted of them when they are written:
that would make each event dearer for the sake of questions that are rarely asked. The first
question reads a partition once, notes the offsets of each person under a hash of 8 bytes, and the
next ones read on from there. The file can be thrown away; it holds no names and nothing of what was
said. It takes some 25 bytes a record, and what the log has let go of goes from it as well.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import xxhash

from schemas.facts import is_fact
from schemas.records import Record
from streams.log import Log
from streams.runtime.state.store import StateError
from streams.topology import CUSTOMER_EVENTS, FACTS

MOST = 20_000
"""Offsets of one person in one partition that are told: the latest. A customer has some hundred."""

CLEARED = 100_000
"""Records that the log has let go of before their offsets are looked for and removed."""

_TABLES = """
CREATE TABLE IF NOT EXISTS places (
    part INTEGER, person INTEGER, place INTEGER, PRIMARY KEY (part, person, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spans (part INTEGER PRIMARY KEY, start INTEGER, next INTEGER);
"""

T = TypeVar("T")


class _Fact(msgspec.Struct):
    """What counts of a decision here; of counted openings and clicks it is nobody."""

    customer: str = ""


_fact = msgspec.json.Decoder(_Fact)


def _decided_for(record: Record) -> bytes:
    if is_fact(record):
        return b""  # of nobody by name
    try:
        return _fact.decode(record.value or b"{}").customer.encode()
    except (ValueError, RecursionError):
        return b""


def _keyed(record: Record) -> bytes:
    return record.key or b""


PERSON: Mapping[str, Callable[[Record], bytes]] = {FACTS: _decided_for, CUSTOMER_EVENTS: _keyed}
"""Of each topic that can be asked about: whom a record is about, empty for nobody."""


class Found(NamedTuple):
    """Where the records of one person lie in one partition."""

    offsets: Sequence[int]
    """Offsets, ascending. A hash may bring along some of another person."""
    done: int
    """Records of the partition that have been looked through…"""
    of: int
    """…and how many there are. All are only when these are the same."""


_Row = tuple[int, int, int]


class RecordIndex:
    """The index of one process, in one file."""

    def __init__(self, log: Log, path: Path) -> None:
        """Nothing is touched before the first question."""
        self._log = log
        self._path = path
        self._file: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "places")
        self._reading: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def find(self, topic: str, partition: int, person: bytes, max_wait: float) -> Found:
        """Return where `person` is found, having read on for `max_wait` seconds at most.

        Reading goes on behind it, so that a later question finds more. Raises LogError, StateError.
        """
        tp = (topic, partition)
        reading = self._reading.get(tp)
        if reading is None or reading.done():
            reading = asyncio.ensure_future(self._catch_up(topic, partition))
            self._reading[tp] = reading
        finished, _ = await asyncio.wait([reading], timeout=max_wait)
        if finished:
            await reading
        span = (await self._log.offsets(topic))[partition]
        part = _part(topic, partition)
        offsets = await self._on_thread(lambda: self._offsets(part, person))
        start, next_ = await self._on_thread(lambda: self._span(part))
        of = max(0, span.end - start)
        return Found(offsets, of if finished else min(next_ - start, of - 1), of)

    async def close(self) -> None:
        """Stop reading and close the file. Safe to call twice. Raises StateError."""
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)
        self._reading.clear()
        await self._on_thread(self._close)

    async def _catch_up(self, topic: str, partition: int) -> None:
        span = (await self._log.offsets(topic))[partition]
        part = _part(topic, partition)
        start, next_ = await self._on_thread(lambda: self._span(part))
        if next_ > span.end:  # another topic of the same name
            await self._on_thread(lambda: self._forget(part, next_))
            start = next_ = 0
        if span.start > start + CLEARED or next_ < span.start:
            await self._on_thread(lambda: self._forget(part, span.start))
            start = span.start
        next_ = max(next_, span.start)
        # In chunks, not by `scan`: each is one transaction, with the offset behind it.
        async for chunk in self._log.read(topic, partition, next_, span.end):
            next_ = chunk[-1].offset + 1
            rows = _rows(part, chunk, PERSON[topic])
            await self._on_thread(partial(self._add, part, rows, start, next_))
        await self._on_thread(lambda: self._add(part, [], start, span.end))

    # On the thread.

    async def _on_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"{self._path} can't be read or written: {error}") from error

    def _connected(self) -> sqlite3.Connection:
        if self._file is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = sqlite3.connect(self._path, check_same_thread=False)
            # Derived: after a crash of the machine it may be gone, and is made again.
            self._file.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + _TABLES)
        return self._file

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _span(self, part: int) -> tuple[int, int]:
        found = self._connected().execute("SELECT start, next FROM spans WHERE part = ?", (part,))
        start, next_ = found.fetchone() or (0, 0)
        return start, next_

    def _offsets(self, part: int, person: bytes) -> list[int]:
        found = self._connected().execute(
            "SELECT place FROM places WHERE part = ? AND person = ? ORDER BY place DESC LIMIT ?",
            (part, _hash(person), MOST),
        )
        return sorted(offset for (offset,) in found)

    def _add(self, part: int, rows: Sequence[_Row], start: int, after: int) -> None:
        with self._connected() as file:
            file.executemany("INSERT OR IGNORE INTO places VALUES (?, ?, ?)", rows)
            file.execute("INSERT OR REPLACE INTO spans VALUES (?, ?, ?)", (part, start, after))

    def _forget(self, part: int, before: int) -> None:
        with self._connected() as file:
            file.execute("DELETE FROM places WHERE part = ? AND place < ?", (part, before))


def _rows(part: int, chunk: Sequence[Record], person_of: Callable[[Record], bytes]) -> list[_Row]:
    """Return what is noted of a chunk, in the file's order, which takes it much faster so."""
    people = ((person_of(record), record.offset) for record in chunk)
    return sorted((part, _hash(person), offset) for person, offset in people if person)


def _part(topic: str, partition: int) -> int:
    return partition * len(PERSON) + list(PERSON).index(topic)


def _hash(person: bytes) -> int:
    return xxhash.xxh3_64_intdigest(person) - (1 << 63)  # SQLite's integers have a sign
