"""One suite for both logs: nothing above them may know which one it is on."""

from __future__ import annotations

import asyncio

import pytest

from schemas.records import OutRecord
from streams.log import Log, OffsetRange, RecordTooLarge, TopicSpec, UnknownTopic
from tests.runtime.transports.machine import (
    APPEND_TIME,
    PARTITIONS,
    Backend,
    append_numbers,
    make_topic,
    numbers,
    read,
)


async def test_appends_get_dense_offsets_and_say_the_last_one(log: Log, topic: str) -> None:
    assert await log.append(topic, 1, [OutRecord(b"k", b"0"), OutRecord(b"k", b"1")]) == 1
    assert await log.append(topic, 1, [OutRecord(b"k", b"2")]) == 2
    assert await log.append(topic, 2, [OutRecord(b"k", b"0")]) == 0
    found = await log.offsets(topic)
    assert dict(found) == {0: OffsetRange(0, 0), 1: OffsetRange(0, 3), 2: OffsetRange(0, 1)}
    records = await read(log, topic, 1, 0, 3)
    assert [(r.topic, r.partition, r.offset) for r in records] == [
        (topic, 1, offset) for offset in range(3)
    ]
    assert numbers(records) == [0, 1, 2]


async def test_what_is_appended_is_read_back_untouched(log: Log, topic: str) -> None:
    headers = (("ce_id", b"1"), ("note", "perché".encode()), ("note", b""), ("bin", b"\x00\xff"))
    sent = [
        OutRecord(b"key", b"value", headers),
        OutRecord(None, b"no key"),
        OutRecord(b"tombstone", None),
        OutRecord(b"", b""),
        OutRecord(b"\x00\xff", bytes(range(256))),
    ]
    await log.append(topic, 0, sent)
    records = await read(log, topic, 0, 0, len(sent))
    assert [(r.key, r.value, tuple(r.headers)) for r in records] == [
        (r.key, r.value, tuple(r.headers)) for r in sent
    ]
    assert records[0].header("note") == b""


async def test_time_is_that_of_the_log_and_does_not_go_back(log: Log, topic: str) -> None:
    for n in range(5):
        await log.append(topic, 0, [OutRecord(b"k", b"%d" % n)])
    times = [r.timestamp for r in await read(log, topic, 0, 0, 5)]
    assert times == sorted(times)
    assert all(1_600_000_000_000 < t < 4_000_000_000_000 for t in times)


async def test_an_offset_is_found_by_its_time(log: Log, topic: str) -> None:
    assert await log.offset_at(topic, 0, 0) == 0
    for n in range(3):
        await log.append(topic, 0, [OutRecord(b"k", b"%d" % n)])
    last = (await read(log, topic, 0, 0, 3))[-1].timestamp
    assert await log.offset_at(topic, 0, -1) == 0
    assert await log.offset_at(topic, 0, last) <= 2
    assert await log.offset_at(topic, 0, last + 1) == 3


async def test_topics_are_created_once_and_described(backend: Backend, log: Log) -> None:
    config = APPEND_TIME | {"cleanup.policy": "compact"}
    name = await make_topic(backend, **config)
    assert await log.create_topics([TopicSpec(name=name, partitions=7)]) == []
    described = await log.describe(name)
    assert described is not None
    assert (described.name, described.partitions, described.replication) == (name, PARTITIONS, 1)
    assert described.config["cleanup.policy"] == "compact"
    assert described.config["message.timestamp.type"] == "LogAppendTime"
    assert await log.partitions(name) == PARTITIONS


async def test_a_topic_that_does_not_exist(log: Log) -> None:
    assert await log.describe("nowhere") is None
    for call in (log.partitions("nowhere"), log.offsets("nowhere")):
        with pytest.raises(UnknownTopic):
            await call
    with pytest.raises(UnknownTopic):
        await log.append("nowhere", 0, [OutRecord(b"k", b"v")])
    with pytest.raises(UnknownTopic):
        await read(log, "nowhere", 0, 0, 1)


async def test_reading_a_range(log: Log, topic: str) -> None:
    await append_numbers(log, topic, 0, 0, 5_000)
    await log.append(topic, 1, [OutRecord(b"k", b"other partition")])
    assert numbers(await read(log, topic, 0, 1_234, 4_321)) == list(range(1_234, 4_321))
    assert await read(log, topic, 0, 7, 7) == []


async def test_a_large_record_fits_and_a_larger_one_is_refused(log: Log, topic: str) -> None:
    large = bytes(1_000_000)
    await log.append(topic, 0, [OutRecord(b"k", large)])
    assert (await read(log, topic, 0, 0, 1))[0].value == large
    with pytest.raises(RecordTooLarge, match=r"(?i)large"):
        small = OutRecord(b"k", b"goes nowhere either")
        await log.append(topic, 0, [small, OutRecord(b"k", bytes(1_100_000)), small])
    assert await log.append(topic, 0, [OutRecord(b"k", b"after")]) == 1
    assert await log.append(topic, 0, [OutRecord(b"k", bytes(400_000))] * 5) == 6


async def test_a_compacted_topic_is_read_to_the_end(backend: Backend, log: Log) -> None:
    name = await make_topic(backend, **{"cleanup.policy": "compact"})
    await append_numbers(log, name, 0, 0, 3_000)
    await log.append(name, 0, [OutRecord(b"other", None)])
    end = (await log.offsets(name))[0].end
    records = await read(log, name, 0, 0, end)
    assert records[-1].offset == end - 1
    last = {r.key: r.value for r in records}
    assert last == {b"k": b"2999", b"other": None}


async def test_concurrent_appends_to_one_partition_do_not_mix(log: Log, topic: str) -> None:
    async def caller(n: int) -> list[int]:
        batches = [[OutRecord(b"%d" % n, b"%d" % i)] * 3 for i in range(20)]
        return [await log.append(topic, 0, batch) for batch in batches]

    lasts = await asyncio.gather(*(caller(n) for n in range(5)))
    records = await read(log, topic, 0, 0, 300)
    assert [r.offset for r in records] == list(range(300))
    for n, mine in enumerate(lasts):
        for i, last in enumerate(mine):
            batch = records[last - 2 : last + 1]
            assert {(r.key, r.value) for r in batch} == {(b"%d" % n, b"%d" % i)}
