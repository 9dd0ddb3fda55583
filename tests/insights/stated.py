"""Facts as the actors state them, for tests of the store."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from schemas.facts import FACT, HEADER
from schemas.instant import parse_instant
from schemas.records import OutRecord, Record
from schemas.topics import FACTS
from streams.insights.store import Fact, FactStore
from streams.insights.tables import read_fact

ZONE = "Europe/Rome"
EPOCH = 1_772_000_000_000


def hashed(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()[:16]


class Stated:
    """States facts one after the other, each at an offset of its own of the customers' log."""

    def __init__(self, partition: int = 0) -> None:
        self._partition = partition
        self._offsets = itertools.count()

    def __call__(self, fact: str, person: str, time: str, **more: Any) -> bytes:
        """`time`: `2026-03-01`, or with a time of day; names stand for hashes."""
        when = time if "T" in time else f"{time}T10:00:00Z"
        id_ = f"{EPOCH}.{self._partition}.{next(self._offsets)}.{person}-0"
        named = {
            name: hashed(more[name])
            for name in ("order", "mail", "run", "cart", "coupon", "same_as", "into")
            if more.get(name)
        }
        base = {"fact": fact, "id": id_, "time": when, "happened": when, "person": hashed(person)}
        read = FACT.validate_python({**base, **more, **named})
        return FACT.dump_json(read, by_alias=True, exclude_none=True)


def records(
    values: Iterable[bytes], partition: int = 0, since: str = "2026-03-01T09:00:00Z"
) -> list[Record]:
    """Return them as they lie in a partition of the topic, appended `since` then."""
    time = parse_instant(since)
    headers = ((HEADER, b"fact"),)
    return [
        Record(FACTS, partition, offset, time + offset, b"w", value, headers)
        for offset, value in enumerate(values)
    ]


def outgoing(values: Iterable[bytes]) -> list[OutRecord]:
    return [OutRecord(b"w", value, ((HEADER, b"fact"),)) for value in values]


def facts_of(found: Iterable[Record]) -> Iterator[Fact]:
    for record in found:
        read = read_fact(record)
        if read is not None:
            yield Fact(record.partition, record.offset, *read)


def opened(directory: Path, **given: Any) -> FactStore:
    store = FactStore(directory, **{"threads": 1, "memory_mb": 256, "zone": ZONE, **given})
    store.open()
    return store


def take(store: FactStore, found: list[Record]) -> Any:
    """Write records as one batch."""
    ends = {record.partition: record.offset + 1 for record in found}
    return store.write(list(facts_of(found)), ends, found[-1].timestamp if found else 0)


def rows(store: FactStore, sql: str) -> list[tuple[Any, ...]]:
    with store.cursor() as cursor:
        return cursor.execute(sql).fetchall()
