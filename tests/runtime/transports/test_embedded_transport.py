"""What is particular to the embedded transport; the rest is in the conformance suite."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from schemas.records import OutRecord
from streams.clock import SystemClock, VirtualClock
from streams.log import LogError, TopicSpec
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.transports.assigned_partition import BatchLease
from streams.runtime.transports.batch import PartitionBatch, TopicPartition
from tests.runtime.transports.backends import EmbeddedBackend
from tests.runtime.transports.machine import (
    TIMEOUT,
    CountingOwner,
    append_numbers,
    numbers,
    running,
)

TOPIC = TopicSpec(name="events", partitions=4)
FIRST = TopicPartition("events", 0)


@pytest.fixture
async def backend(tmp_path: Path) -> EmbeddedBackend:
    made = EmbeddedBackend(tmp_path)
    await made.settle([TOPIC])
    return made


async def test_records_of_another_process_arrive(backend: EmbeddedBackend, tmp_path: Path) -> None:
    log, owner = await backend.open_log(), CountingOwner()
    other = EmbeddedLog(tmp_path / "log", SystemClock())
    await other.start()
    async with running(backend, log, "group", {"events": owner}):
        await append_numbers(other, "events", 0, 0, 10)
        await owner.until(lambda: owner.total() == 10)
        await append_numbers(log, "events", 0, 10, 10)
        await owner.until(lambda: owner.total() == 20)
    assert numbers(owner.taken[FIRST]) == list(range(20))
    await other.stop()
    await backend.close()


async def test_a_second_worker_does_not_start(backend: EmbeddedBackend, tmp_path: Path) -> None:
    log = await backend.open_log()
    second = EmbeddedBackend(tmp_path)
    async with running(backend, log, "group", {"events": CountingOwner()}):
        with pytest.raises(LogError, match="already working on the log"):
            async with running(
                second, await second.open_log(), "group", {"events": CountingOwner()}
            ):
                pass
    # The first one has stopped: now it may.
    async with running(backend, log, "group", {"events": CountingOwner()}):
        pass
    await second.close()
    await backend.close()


async def test_a_batch_has_at_most_four_thousand_records(backend: EmbeddedBackend) -> None:
    log, owner = await backend.open_log(), CountingOwner()
    sizes: list[int] = []

    async def measure(batch: PartitionBatch, lease: BatchLease) -> None:
        sizes.append(len(batch.records))

    owner.before_done = measure
    await append_numbers(log, "events", 0, 0, 9_000)
    async with running(backend, log, "group", {"events": owner}):
        await owner.until(lambda: owner.total() == 9_000)
    assert sizes == [4_000, 4_000, 1_000]
    await backend.close()


async def test_a_virtual_clock_stamps_and_no_real_time_is_waited_for(tmp_path: Path) -> None:
    """An append wakes the consumer: a thousand rounds there and back take no polling interval."""
    clock = VirtualClock(1_770_000_000_000)
    backend = EmbeddedBackend(tmp_path, clock)
    await backend.settle([TOPIC])
    log, owner = await backend.open_log(), CountingOwner()
    rounds = 1_000

    async def answer(batch: PartitionBatch, lease: BatchLease) -> None:
        following = batch.records[-1].offset + 1
        if following < rounds:
            clock.advance(clock.now() + 1_000)
            await log.append("events", 0, [OutRecord(b"k", b"%d" % following)])

    owner.before_done = answer
    async with running(backend, log, "group", {"events": owner}), asyncio.timeout(TIMEOUT):
        await append_numbers(log, "events", 0, 0, 1)
        await owner.until(lambda: owner.total() == rounds)
    times = [record.timestamp for record in owner.taken[FIRST]]
    assert times == [1_770_000_000_000 + 1_000 * n for n in range(rounds)]
    await backend.close()
