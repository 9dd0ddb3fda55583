"""Bring a store up to the end of its changelog partition.

The last record of a key isn't always the right one: a worker that was paused for longer than its
session (SIGSTOP, a frozen virtual machine) may still write an old state after the new owner has
written a newer one. So, per key, the record with the highest `applied` wins; of two equal ones that
of the newer format, else the later. Whoever writes a changelog must therefore let `applied` rise
with every change of a key; and where what is decided isn't told by the log alone, as in the mailer,
with every owner, be it of those that write nothing (`Changelog.take_over`).

A winner that isn't the last record of its key is safe only until compaction removes it, which is
what `min.compaction.lag.ms` puts off. `Recovered.stale_keys` names those keys, and the owner writes
them again (`streams/runtime/state/changelog.py`).

A tombstone (no value) wins over all that precedes it, having no `applied` to compare. Deleting is
therefore done in two steps, see `streams/runtime/state/tombstones.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.records import Record
from schemas.stored import (
    PROGRESS_KEY,
    Progress,
    check_format,
    is_newer,
    is_readable_progress,
    unpack_progress,
)
from schemas.time_units import HOUR_MS
from streams.log import Log, OnProgress, no_progress, within
from streams.logging import get_logger
from streams.runtime.state.memory import MemoryStore
from streams.runtime.state.store import StateError, Store

STALE_MS = 24 * HOUR_MS
"""A store that lags by more starts again from nothing: Kafka keeps tombstones for
`delete.retention.ms`, a day by default, so later than that it may have missed a deletion."""

_log = get_logger(__name__)


@dataclass(slots=True)
class Recovered:
    """What a recovery did."""

    start: int = 0
    """Changelog offset it was read from."""
    records: int = 0
    """Changelog records read."""
    seconds: float = 0.0
    fencing_epoch: int = 0
    """Fencing epoch that begins with it; see `Changelog.take_over`."""
    stale_keys: set[bytes] = field(default_factory=set)
    """Keys whose last record in the changelog is older than the one that is kept."""


async def recover(
    log: Log,
    changelog: str,
    partition: int,
    store: Store,
    on_progress: OnProgress = no_progress,
    *,
    end: int | None = None,
) -> Recovered:
    """Read `changelog` from `store.position()` to its end, or to `end`, into `store`.

    Each chunk moves the store's position with it, so a cancelled recovery goes on where it was.
    Raises LogError, StateError, and FutureFormat when a newer release has written here, having
    written nothing of it.
    """
    began = time.perf_counter()
    if end is None:
        end = (await log.offsets(changelog))[partition].end
    source = _Source(log, changelog, partition, end, on_progress)
    if store.position() > end:
        source.warn("the state is ahead of its changelog, recovering from nothing")
        store.reset()
    before = _log_time(store)  # also looks at the format, before anything else
    recovered = Recovered()
    try:
        await _catch_up(source, store, recovered)
        if before is not None and (_log_time(store) or 0) - before > STALE_MS:
            source.warn("the state is more than a day old, recovering from nothing")
            store.reset()
            recovered.stale_keys.clear()
            await _catch_up(source, store, recovered)
    except BaseException:
        if recovered.stale_keys:  # whoever goes on from here is to find them, too
            store.write((), recovered.start)
        raise
    recovered.seconds = time.perf_counter() - began
    return recovered


async def recovered_stores(
    log: Log, changelog: str, on_progress: OnProgress
) -> AsyncIterator[tuple[int, MemoryStore]]:
    """Yield what each partition keeps, beside its owner. Raises LogError, FutureFormat."""
    spans = await log.offsets(changelog)
    total, before = sum(span.end - span.start for span in spans.values()), 0
    for partition, span in sorted(spans.items()):
        store = MemoryStore()
        await recover(log, changelog, partition, store, within(on_progress, before, total))
        before += span.end - span.start
        yield partition, store


class _Source(NamedTuple):
    log: Log
    changelog: str
    partition: int
    end: int
    on_progress: OnProgress

    def warn(self, text: str) -> None:
        _log.warning(text, changelog=self.changelog, partition=self.partition)


async def _catch_up(source: _Source, store: Store, recovered: Recovered) -> None:
    start, end = store.position(), source.end
    recovered.start = start
    if start >= end:
        return
    # In chunks, not by `scan`: each is one write of the store, with the position behind it.
    async for chunk in source.log.read(source.changelog, source.partition, start, end):
        if not chunk:
            continue
        fold(chunk, store, recovered.stale_keys)
        await asyncio.sleep(0)  # what was fetched ahead makes nobody wait
        recovered.records += len(chunk)
        source.on_progress(store.position() - start, end - start)
    if store.position() < end:  # compaction left holes at the end
        store.write((), end)


def fold(chunk: Sequence[Record], store: Store, stale_keys: set[bytes]) -> None:
    """Put the winners of `chunk` into `store`, and keep `stale_keys` up to date.

    Raises FutureFormat, having changed nothing.
    """
    winners: dict[bytes, bytes | None] = {}
    damaged = _damaged_progress(chunk)
    for record in chunk:
        key = record.key or b""
        value = record.value
        if damaged and record.offset in damaged and (key in winners or store.get(key)):
            continue
        if value is not None:
            check_format(value)
            current = winners[key] if key in winners else store.get(key)
            if current is not None and is_newer(current, value):
                stale_keys.add(key)
                continue
        winners[key] = value
        if stale_keys:
            stale_keys.discard(key)
    store.write(list(winners.items()), chunk[-1].offset + 1)


def _damaged_progress(chunk: Sequence[Record]) -> set[int]:
    """Return the offsets of progress that can't be read, if the last one can't.

    An older one says as well where to go on: what comes after it is in the states already, and is
    passed over as after a crash.
    """
    found = set()
    for record in reversed(chunk):
        if record.key == PROGRESS_KEY and record.value is not None:
            if is_readable_progress(record.value):
                break
            _log.error("a partition's progress can't be read, going on from the one before",
                       changelog=record.topic, partition=record.partition,
                       offset=record.offset)  # fmt: skip
            found.add(record.offset)
    return found


def read_progress(store: Store, changelog: str, partition: int) -> Progress | None:
    """Return the progress of a recovered partition, None of a new one.

    Raises FutureFormat, and StateError when it can't be read and there is none before it.
    """
    stored = store.get(PROGRESS_KEY)
    if stored is None:
        return None
    if not is_readable_progress(stored):
        raise StateError(
            f"The progress of partition {partition} in {changelog} can't be read, and no older one "
            "is left there. Nothing is changed: restore the topics from one backup, or take a "
            "release that can read it"
        )
    return unpack_progress(stored)


def _log_time(store: Store) -> int | None:
    stored = store.get(PROGRESS_KEY)
    return unpack_progress(stored).log_time if stored and is_readable_progress(stored) else None
