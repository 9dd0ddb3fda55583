"""A worker is ready when it gets on with its work, and each role by itself."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.failures import Failure
from schemas.records import OutRecord
from streams.http.readiness import Readiness
from streams.mail.delivery_failures import BACKOFF, DeliveryFailures
from streams.runtime.processes.board import any_ready
from streams.runtime.readiness import ROLES, DiskProbe, checks_of
from streams.runtime.transports.batch import PartitionBatch, TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager
from streams.settings import Settings
from streams.topology import CUSTOMER_EVENTS, SEND_COMMANDS
from tests.runtime.doubles import START, MemoryLog, memory_log
from tests.runtime.transports.test_partition_manager import Source

EVENTS, COMMANDS = TopicPartition(CUSTOMER_EVENTS, 0), TopicPartition(SEND_COMMANDS, 0)


class Owner:
    """Opens; whether its batches fail the test says."""

    fails = False

    async def opened(self, _: TopicPartition) -> int:
        return 0

    async def closed(self, _: TopicPartition) -> None:
        pass


class House:
    def __init__(self, log: MemoryLog, settings: Settings) -> None:
        self.log = log
        self.source = Source()
        self.manager = PartitionManager(pause=lambda _: asyncio.sleep(0))
        self.manager.attach(self.source)
        for topic in (CUSTOMER_EVENTS, SEND_COMMANDS):
            self.manager.own(topic, Owner())
        self.deliveries: dict[TopicPartition, str] = {}
        self.checks, self.roles = checks_of(settings, log, self.manager, lambda: self.deliveries)

    async def ready(self) -> dict[str, bool]:
        """Whether the worker is, under "", and each role."""
        return {
            role: all([(await check()).ready for check in checks.values()])
            for role, checks in {"": self.checks, **self.roles}.items()
        }

    async def opened(self) -> None:
        self.manager.assigned([EVENTS, COMMANDS])
        await self.manager.until(lambda: self.manager.open() == {EVENTS, COMMANDS})

    async def batch(self, *, fails: bool) -> None:
        log, manager = self.log, self.manager
        await manager.until(lambda: EVENTS in manager.wanted())
        want = manager.wanted()[EVENTS]
        chunks = log.read(CUSTOMER_EVENTS, 0, want.offset, 9)
        records = [each async for chunk in chunks for each in chunk]
        batch = manager.deliver(EVENTS, want, records)
        assert isinstance(batch, PartitionBatch)
        try:
            async with manager.enter(batch) as lease:
                assert lease is not None
                if fails:
                    raise Failure("the topic takes no record of that size")
        except Failure:
            await manager.until(lambda: manager.open() == {EVENTS, COMMANDS})


def names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    log = await memory_log(partitions=1)
    settings = Settings(broker="kafka://kafka-1:9092", data_dir=tmp_path)
    house = House(log, settings)
    yield house
    await house.manager.stop()


async def test_a_partition_that_fails_and_does_not_commit_takes_only_its_role(house: House) -> None:
    assert set(ROLES) == {"public", "customers", "mailer"}
    assert await house.ready() == {"": False, "public": True, "customers": False, "mailer": False}
    await house.opened()
    assert set((await house.ready()).values()) == {True}
    await house.log.append(CUSTOMER_EVENTS, 0, [OutRecord(b"anna", b"{}")])
    await house.batch(fails=True)
    assert (await house.ready())["customers"], "one failure may be the broker's"
    await house.batch(fails=True)
    assert await house.ready() == {"": False, "public": True, "customers": False, "mailer": True}
    told = (await house.roles["customers"]["partitions"]()).detail
    assert told == (
        "1 of 1 partition open; customer-events/0: the topic takes no record of that size "
        "(opened again 2 times)"
    )
    await house.batch(fails=False)
    assert set((await house.ready()).values()) == {True}


async def test_a_worker_without_partitions_is_ready_once_it_knows_that(house: House) -> None:
    house.manager.assigned([])
    assert set((await house.ready()).values()) == {True}


async def test_while_the_group_refuses_the_worker_it_is_not_ready(house: House) -> None:
    await house.opened()
    house.source.age = 10.0
    assert await house.ready() == {"": False, "public": True, "customers": False, "mailer": False}
    assert (await house.checks["group"]()).detail == "no heartbeat accepted for 10 s"
    house.source.age = float("inf")
    assert (await house.checks["group"]()).detail == "not joined yet"
    house.source.refused = "no permission for consumer group ritorno"
    assert (await house.checks["group"]()).detail == house.source.refused


async def test_deliveries_that_fail_are_the_mailer_s(house: House) -> None:
    await house.opened()
    house.deliveries[COMMANDS] = "the log is full"
    assert await house.ready() == {"": False, "public": True, "customers": True, "mailer": False}
    assert (await house.checks["partitions"]()).detail.endswith("send-commands/0: the log is full")


async def test_a_disk_that_takes_no_write_is_tried_to_its_end(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.opened()
    before = names(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    assert await house.ready() == {"": False, "public": True, "customers": False, "mailer": False}
    told = (await house.checks["disk"]()).detail
    assert told == f"{tmp_path} takes no write: No space left on device"
    monkeypatch.undo()
    assert (await house.checks["disk"]()).ready
    assert names(tmp_path) == before, "nothing is left of the trials"
    probe = DiskProbe([tmp_path, tmp_path / "gone"])
    assert (
        await probe()
    ).detail == f"{tmp_path / 'gone'} takes no write: No such file or directory"


async def test_on_the_embedded_log_the_pages_need_the_disk_too(tmp_path: Path) -> None:
    house = House(await memory_log(partitions=1), Settings(data_dir=tmp_path / "data"))
    assert not (await house.ready())["public"]
    (tmp_path / "data" / "log").mkdir(parents=True)
    assert (await house.ready())["public"]


async def test_a_disk_that_hangs_holds_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, trials = threading.Event(), list[int]()

    def hangs(_: int) -> None:
        trials.append(1)
        goes_on.wait(20)

    monkeypatch.setattr("os.fsync", hangs)
    probe = DiskProbe([tmp_path])
    asked = [asyncio.ensure_future(probe()) for _ in range(5)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(probe(), 0.05)
    goes_on.set()
    assert {each.ready for each in await asyncio.gather(*asked)} == {True}
    assert len(trials) == 1


def test_deliveries_are_forgiven_when_they_have_gone_on_for_long() -> None:
    failures = DeliveryFailures(START)
    long = int(BACKOFF.longest * 1000) + 1
    for now in (START, START + 1):
        failures.stopped(RuntimeError("broken"), now)
        failures.go_on(now)
    assert (failures.failures, failures.reason) == (2, "broken")
    assert not failures.is_over(START + long)
    assert failures.is_over(START + 1 + long)
    failures.stopped(RuntimeError(), START + 1 + long)
    assert (failures.failures, failures.reason) == (1, "RuntimeError")
    failures.note(RuntimeError("still"))
    assert not failures.is_over(START + 9 * long), "it is not begun again yet"


async def test_of_several_processes_one_is_enough_for_the_pages() -> None:
    async def yes() -> Readiness:
        return Readiness(True, "yes")

    async def no() -> Readiness:
        return Readiness(False, "no")

    assert await any_ready([no, yes])() == Readiness(True, "no; yes")
    assert await any_ready([no, no])() == Readiness(False, "no; no")
