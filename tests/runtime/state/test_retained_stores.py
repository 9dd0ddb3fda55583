"""Stores that wait for their partition: taken away a moment ago, or made ready for who gets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from schemas.records import OutRecord, Record
from schemas.stored import NEVER, pack
from streams.log import LogUnavailable
from streams.runtime.state.memory import open_memory
from streams.runtime.state.recovery import recover
from streams.runtime.state.retained_stores import RetainedStores
from streams.runtime.state.rocks import RocksStores
from streams.runtime.transports.batch import TopicPartition
from streams.topology import CUSTOMERS_CHANGELOG as TOPIC
from tests.runtime.doubles import MemoryLog, memory_log

TP = TopicPartition(TOPIC, 0)


def state(applied: int) -> bytes:
    return pack(applied, NEVER, f"at {applied}".encode())


class Slow:
    """A log that gives one chunk and then waits."""

    def __init__(self, log: MemoryLog) -> None:
        self.offsets = log.offsets
        self._log = log
        self.waits, self.goes_on = asyncio.Event(), asyncio.Event()

    async def read(
        self, topic: str, partition: int, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        async for chunk in self._log.read(topic, partition, start, stop - 1):
            yield chunk
        self.waits.set()
        await self.goes_on.wait()
        raise LogUnavailable("the broker is away")


@pytest.fixture
async def log() -> MemoryLog:
    log = await memory_log()
    await write(log, anna=5, bruno=2, carla=1)
    return log


async def write(log: MemoryLog, **states: int) -> None:
    await log.append(TOPIC, 0, [OutRecord(k.encode(), state(n)) for k, n in states.items()])


async def test_what_is_ready_only_lacks_what_came_after_it(log: MemoryLog) -> None:
    stores = RetainedStores(open_memory)
    await stores.prepare(log, TP)
    await write(log, bruno=7)
    store = stores.take(TP)
    assert (await recover(log, TOPIC, 0, store)).records == 1
    assert store.get(b"anna") == state(5)
    assert store.get(b"bruno") == state(7)


async def test_it_is_ready_once_however_often_it_is_asked_for(log: MemoryLog) -> None:
    stores = RetainedStores(open_memory)
    await asyncio.gather(*(stores.prepare(log, TP) for _ in range(3)))
    await write(log, bruno=7)
    await stores.prepare(log, TP)
    assert stores.take(TP).position() == 4


async def test_who_takes_it_before_it_is_ready_goes_on_from_there(
    log: MemoryLog, tmp_path: Path
) -> None:
    """RocksDB's files can't be opened twice, so there can't be two stores."""
    stores, slow = RetainedStores(RocksStores(tmp_path)), Slow(log)
    preparing = asyncio.create_task(stores.prepare(slow, TP))  # type: ignore[arg-type]  # what recovery asks of it
    await slow.waits.wait()
    store = stores.take(TP)
    await preparing
    assert store.position() == 2
    assert (await recover(log, TOPIC, 0, store)).records == 1
    store.close()


async def test_what_others_are_given_is_dropped_also_while_it_is_made_ready(
    log: MemoryLog, tmp_path: Path
) -> None:
    stores, slow = RetainedStores(RocksStores(tmp_path)), Slow(log)
    preparing = asyncio.create_task(stores.prepare(slow, TP))  # type: ignore[arg-type]  # as above
    await slow.waits.wait()
    stores.drop_unassigned([])
    await preparing
    assert not list((tmp_path / "state").iterdir())


async def test_a_broker_that_goes_away_is_left_to_the_opening(log: MemoryLog) -> None:
    stores, slow = RetainedStores(open_memory), Slow(log)
    slow.goes_on.set()
    await stores.prepare(slow, TP)  # type: ignore[arg-type]  # as above
    assert stores.take(TP).position() == 2


@pytest.mark.parametrize("is_cut_off", [False, True])
async def test_what_a_late_writer_left_is_found_by_the_owner(
    log: MemoryLog, *, is_cut_off: bool
) -> None:
    """Nobody but the owner may write over it."""
    await write(log, anna=3, dino=1)
    stores, slow = RetainedStores(open_memory), Slow(log)
    slow.goes_on.set()
    await stores.prepare(slow if is_cut_off else log, TP)  # type: ignore[arg-type]  # as above
    store = stores.take(TP)
    assert (await recover(log, TOPIC, 0, store)).stale_keys == {b"anna"}
    assert store.get(b"anna") == state(5)
