"""A person's records in a topic: where the owner's index says they lie, else by reading all."""

from __future__ import annotations

from collections.abc import Callable, Collection

from schemas.records import Record
from streams.http.internal.client import Lookups, NoAnswer
from streams.log import Log, OnProgress, no_progress, scan
from streams.operate.record_index import PERSON
from streams.partitioner import partition_of
from streams.topology import PER_CUSTOMER


async def find_records(
    log: Log,
    topic: str,
    keys: Collection[bytes],
    *,
    lookups: Lookups | None,
    told: Callable[[str], None] = lambda _: None,
    on_progress: OnProgress = no_progress,
) -> list[Record]:
    """Return the records of `topic` about any of `keys`, by partition and offset.

    `topic` is one of `PERSON`. When nobody answers, `told` says so and the topic is read: of one
    that is keyed by customer the partitions of `keys`. Raises LogError.
    """
    if lookups is not None:
        try:
            return await _picked(log, topic, keys, lookups, on_progress)
        except NoAnswer as error:
            told(f"{error}; reading {topic} instead")
    return await _read(log, topic, keys, on_progress)


async def _picked(
    log: Log, topic: str, keys: Collection[bytes], lookups: Lookups, on_progress: OnProgress
) -> list[Record]:
    offsets: dict[int, set[int]] = {}
    for key in sorted(keys):
        for partition, ones in (await lookups.record_offsets(topic, key, on_progress)).items():
            offsets.setdefault(partition, set()).update(ones)
    of, found = sum(map(len, offsets.values())), list[Record]()
    for partition in sorted(offsets):
        async for chunk in log.pick(topic, partition, sorted(offsets[partition])):
            found += [record for record in chunk if PERSON[topic](record) in keys]
            on_progress(len(found), of)
    return found


async def _read(
    log: Log, topic: str, keys: Collection[bytes], on_progress: OnProgress
) -> list[Record]:
    theirs = None
    if topic in PER_CUSTOMER:
        count = await log.partitions(topic)
        theirs = {partition_of(key, count) for key in keys}
    found = scan(log, topic, theirs, on_progress=on_progress)
    return [record async for record in found if PERSON[topic](record) in keys]
