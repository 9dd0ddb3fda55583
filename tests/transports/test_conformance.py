"""One suite for both logs and both transports: nothing above them may know which one it is on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas.records import OutRecord, Record
from streams.log import Log, LogError, OffsetRange, TopicSpec, UnknownTopic
from streams.transports.batch import Fenced, PartitionBatch, TopicPartition, Turn
from tests.transports.backends import EmbeddedBackend, KafkaBackend
from tests.transports.machine import (
    TIMEOUT,
    Backend,
    CountingOwner,
    Failure,
    append_numbers,
    numbers,
    running,
)

APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}
PARTITIONS = 3

_names = itertools.count()


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def backend(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[Backend]:
    if request.param == "kafka":
        chosen: Any = KafkaBackend(request.getfixturevalue("kafka_broker"), tmp_path)
    else:
        chosen = EmbeddedBackend(tmp_path)
    yield chosen
    await chosen.close()


@pytest.fixture
async def log(backend: Backend) -> Log:
    return await backend.open_log()


@pytest.fixture
def group() -> str:
    return f"group-{next(_names)}"


@pytest.fixture
async def topic(backend: Backend) -> str:
    return await make_topic(backend)


async def make_topic(backend: Backend, **config: str) -> str:
    name = f"conformance-{next(_names)}"
    await backend.settle([TopicSpec(name=name, partitions=PARTITIONS, config=APPEND_TIME | config)])
    return name


async def read(log: Log, topic: str, partition: int, start: int, stop: int) -> list[Record]:
    async with asyncio.timeout(TIMEOUT):
        return [r async for chunk in log.read(topic, partition, start, stop) for r in chunk]


# The log.


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
    with pytest.raises(LogError, match=r"(?i)large"):
        await log.append(topic, 0, [OutRecord(b"k", bytes(1_100_000))])
    assert await log.append(topic, 0, [OutRecord(b"k", b"after")]) == 1


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


# The consumer.


async def test_everything_is_delivered_once_in_order(
    backend: Backend, log: Log, topic: str, group: str
) -> None:
    owner = CountingOwner()
    for partition in range(PARTITIONS):
        await append_numbers(log, topic, partition, 0, 4_500)
    async with running(backend, log, group, {topic: owner}):
        await owner.until(lambda: owner.total() >= 4_500 * PARTITIONS)
        for partition in range(PARTITIONS):
            await append_numbers(log, topic, partition, 4_500, 500)
        await owner.until(lambda: owner.total() >= 5_000 * PARTITIONS)
    for partition in range(PARTITIONS):
        records = owner.taken[TopicPartition(topic, partition)]
        assert numbers(records) == list(range(5_000))
        assert [r.offset for r in records] == list(range(5_000))


async def test_batches_carry_all_of_a_record(
    backend: Backend, log: Log, topic: str, group: str
) -> None:
    owner = CountingOwner()
    await log.append(topic, 0, [OutRecord(b"k", None, (("a", b"1"),)), OutRecord(None, b"v")])
    async with running(backend, log, group, {topic: owner}):
        await owner.until(lambda: owner.total() == 2)
    batched = owner.taken[TopicPartition(topic, 0)]
    assert [_untyped(r) for r in batched] == [_untyped(r) for r in await read(log, topic, 0, 0, 2)]


def _untyped(record: Record) -> tuple[Any, ...]:
    return (*record[:6], tuple(record.headers))


async def test_a_restart_goes_on_at_the_watermark_not_at_what_was_delivered(
    backend: Backend, log: Log, topic: str, group: str
) -> None:
    first, second = CountingOwner(), CountingOwner()
    tp = TopicPartition(topic, 0)
    await append_numbers(log, topic, 0, 0, 10)

    async def only_half(batch: PartitionBatch, turn: Turn) -> None:
        if batch.records[0].offset >= 10:
            turn.done(15)
            raise Failure

    first.before_done = only_half
    async with running(backend, log, group, {topic: first}):
        await first.until(lambda: first.total() == 10)
        await append_numbers(log, topic, 0, 10, 10)
        await first.until(lambda: first.count("failed") > 0)
    async with running(backend, log, group, {topic: second}):
        await second.until(lambda: bool(second.taken[tp]) and second.taken[tp][-1].offset == 19)
    assert second.taken[tp][0].offset == first_not_done(first, tp)


def first_not_done(owner: CountingOwner, tp: TopicPartition) -> int:
    """Return where the watermark stood: `done(15)` of the failed turn, and no further."""
    assert [r.offset for r in owner.taken[tp]] == list(range(10))
    return 15


async def test_the_owner_says_where_to_start(
    backend: Backend, log: Log, topic: str, group: str
) -> None:
    owner = CountingOwner()
    owner.starts = {TopicPartition(topic, 0): 7, TopicPartition(topic, 1): 0}
    for partition in range(PARTITIONS):
        await append_numbers(log, topic, partition, 0, 10)
    async with running(backend, log, group, {topic: owner}):
        await owner.until(lambda: owner.total() == 23)
    assert [owner.taken[TopicPartition(topic, p)][0].offset for p in range(3)] == [7, 0, 0]


async def test_nothing_is_delivered_before_recovery_is_complete(
    backend: Backend, log: Log, topic: str, group: str
) -> None:
    owner = CountingOwner()
    recovered = asyncio.Event()
    slow, quick = TopicPartition(topic, 0), TopicPartition(topic, 1)

    async def recover(tp: TopicPartition) -> None:
        if tp == slow:
            await recovered.wait()

    owner.before_opening = recover
    for tp in (slow, quick):
        await append_numbers(log, *tp, 0, 10)
    async with running(backend, log, group, {topic: owner}):
        await owner.until(lambda: len(owner.taken[quick]) == 10)
        assert slow not in owner.taken
        recovered.set()
        await owner.until(lambda: owner.total() == 20)
    assert owner.of(slow)[:2] == ["opened", "batch"]


async def test_a_failing_batch_is_read_again_from_the_recovered_state(
    backend: Backend, log: Log, topic: str, group: str
) -> None:
    owner = CountingOwner()
    tp = TopicPartition(topic, 0)
    failures = iter(range(2))

    async def fail_twice(batch: PartitionBatch, turn: Turn) -> None:
        if next(failures, None) is not None:
            raise Failure

    owner.before_done = fail_twice
    owner.starts[tp] = 3
    await append_numbers(log, topic, 0, 0, 10)
    async with running(backend, log, group, {topic: owner}) as app:
        await owner.until(lambda: owner.total() == 7)
        assert app.gate.counts.reopened == 2
    assert numbers(owner.taken[tp]) == list(range(3, 10))
    story = [e for e in owner.of(tp) if e != "stale"]
    assert story == [
        "opened",
        "failed",
        "closed",
        "opened",
        "failed",
        "closed",
        "opened",
        "batch",
        "closed",
    ]


async def test_a_rebalance_waits_for_the_batch_in_flight(
    backend: Backend, log: Log, topic: str, group: str
) -> None:
    owner = CountingOwner()
    tp = TopicPartition(topic, 0)
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def dawdle(batch: PartitionBatch, turn: Turn) -> None:
        entered.set()
        await go_on.wait()

    owner.before_done = dawdle
    await append_numbers(log, topic, 0, 0, 10)
    async with running(backend, log, group, {topic: owner}) as app:
        async with asyncio.timeout(TIMEOUT):
            await entered.wait()
            moving = asyncio.ensure_future(backend.rebalance(app))
            # The other partitions go at once, this one keeps its state until the batch is done.
            await owner.until(lambda: owner.count("closed") == PARTITIONS - 1)
        assert "closed" not in owner.of(tp)
        go_on.set()
        await moving
        await append_numbers(log, topic, 0, 10, 10)
        await owner.until(lambda: owner.total() == 20)
    assert numbers(owner.taken[tp]) == list(range(20))
    story = [event for event in owner.of(tp) if event != "stale"]
    assert story[:4] == ["opened", "batch", "closed", "opened"]
    assert story[-2:] == ["batch", "closed"]


async def test_rebalances_under_load_lose_nothing_and_repeat_nothing(
    backend: Backend, log: Log, topic: str, group: str
) -> None:
    owner = CountingOwner()
    async with running(backend, log, group, {topic: owner}) as app:
        for step in range(3):
            for partition in range(PARTITIONS):
                await append_numbers(log, topic, partition, step * 5_000, 5_000)
            await backend.rebalance(app)
        await owner.until(lambda: owner.total() >= 15_000 * PARTITIONS)
    for partition in range(PARTITIONS):
        assert numbers(owner.taken[TopicPartition(topic, partition)]) == list(range(15_000))


async def test_a_turn_that_is_over_can_not_write(
    backend: Backend, log: Log, topic: str, group: str
) -> None:
    owner = CountingOwner()
    turns: list[Turn] = []

    async def keep_turn(batch: PartitionBatch, turn: Turn) -> None:
        turns.append(turn)

    owner.before_done = keep_turn
    await append_numbers(log, topic, 0, 0, 1)
    async with running(backend, log, group, {topic: owner}):
        await owner.until(lambda: owner.total() == 1)
        with pytest.raises(Fenced):
            turns[0].check()
        with pytest.raises(Fenced):
            turns[0].done(99)


async def test_two_topics_have_their_own_owners(backend: Backend, log: Log, group: str) -> None:
    topics = [await make_topic(backend) for _ in range(2)]
    owners = {name: CountingOwner() for name in topics}
    for n, name in enumerate(topics):
        await append_numbers(log, name, 1, n * 100, 50)
    async with running(backend, log, group, owners):
        for n, (name, owner) in enumerate(owners.items()):
            tp = TopicPartition(name, 1)
            await owner.until(lambda owner=owner: owner.total() == 50)  # type: ignore[misc]  # the owner of this turn of the loop
            assert numbers(owner.taken[tp]) == list(range(n * 100, n * 100 + 50))
    for name, owner in owners.items():
        assert {tp.topic for _, tp in owner.history} == {name}


async def test_a_clean_stop_commits_what_is_done(
    backend: Backend, log: Log, topic: str, group: str
) -> None:
    first, second = CountingOwner(), CountingOwner()
    await append_numbers(log, topic, 2, 0, 100)
    async with running(backend, log, group, {topic: first}):
        await first.until(lambda: first.total() == 100)
    assert first.count("opened") == first.count("closed")
    await append_numbers(log, topic, 2, 100, 1)
    async with running(backend, log, group, {topic: second}):
        await second.until(lambda: second.total() >= 1)
    assert numbers(second.taken[TopicPartition(topic, 2)]) == [100]


async def test_groups_do_not_disturb_each_other(backend: Backend, log: Log, topic: str) -> None:
    await append_numbers(log, topic, 0, 0, 10)
    for n in range(2):
        owner = CountingOwner()
        async with running(backend, log, f"own-{topic}-{n}", {topic: owner}):
            await owner.until(lambda owner=owner: owner.total() == 10)  # type: ignore[misc]  # the owner of this turn of the loop
