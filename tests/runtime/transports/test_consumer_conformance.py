"""One suite for both transports: nothing above them may know which one it is on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from schemas.records import OutRecord, Record
from streams.log import Log
from streams.runtime.transports.assigned_partition import BatchLease
from streams.runtime.transports.batch import Fenced, PartitionBatch, TopicPartition
from tests.runtime.transports.machine import (
    PARTITIONS,
    TIMEOUT,
    Backend,
    CountingOwner,
    Failure,
    append_numbers,
    make_topic,
    numbers,
    read,
    running,
)


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

    async def only_half(batch: PartitionBatch, lease: BatchLease) -> None:
        if batch.records[0].offset >= 10:
            lease.done(15)
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
    """Return where the watermark stood: `done(15)` of the failed lease, and no further."""
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

    async def fail_twice(batch: PartitionBatch, lease: BatchLease) -> None:
        if next(failures, None) is not None:
            raise Failure

    owner.before_done = fail_twice
    owner.starts[tp] = 3
    await append_numbers(log, topic, 0, 0, 10)
    async with running(backend, log, group, {topic: owner}) as app:
        await owner.until(lambda: owner.total() == 7)
        assert app.partition_manager.counts.reopened == 2
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

    async def dawdle(batch: PartitionBatch, lease: BatchLease) -> None:
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
    leases: list[BatchLease] = []

    async def keep_lease(batch: PartitionBatch, lease: BatchLease) -> None:
        leases.append(lease)

    owner.before_done = keep_lease
    await append_numbers(log, topic, 0, 0, 1)
    async with running(backend, log, group, {topic: owner}):
        await owner.until(lambda: owner.total() == 1)
        with pytest.raises(Fenced):
            leases[0].check()
        with pytest.raises(Fenced):
            leases[0].done(99)


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
