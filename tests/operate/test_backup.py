"""A backup that is taken while a worker goes on is a whole one, and everything goes on from it."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from schemas.records import OutRecord
from streams.clock import SystemClock, VirtualClock
from streams.log import Log, LogError, OffsetRange
from streams.operate.backup import DESCRIPTION, NoBackup, back_up, read_backup, restore
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.logs.kafka import KafkaLog
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, DEAD_LETTERS, topics
from tests.broker import KafkaBroker, delete_topics
from tests.keys import SIGNER
from tests.runtime.doubles import START, MemoryLog
from tests.runtime.harness import REMINDER, Harness, embedded_house

DAYS = 86_400


class InUse(MemoryLog):
    """A worker goes on while its log is copied: right behind the moment at which the ends of the
    changelogs are taken down."""

    goes_on: Harness | None = None

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        if topic == CUSTOMER_EVENTS and (harness := self.goes_on) is not None:
            self.goes_on = None
            await views(harness, 3)
        return await super().offsets(topic)


async def views(harness: Harness, count: int) -> None:
    for _ in range(count):
        await harness.told("anna", "product.viewed", product_id="moka")
    await harness.catch_up()


async def begun(log: Log, clock: VirtualClock) -> Harness:
    await log.create_topics(topics(1))
    harness = Harness(log, clock, None)
    await harness.publish(REMINDER.replace("WAIT", "2d"))
    await harness.start()
    await views(harness, 5)
    return harness


async def goes_on(log: Log, clock: VirtualClock, seen: int) -> None:
    """A worker with nothing but the restored log hears what it hadn't, and one thing more."""
    there = Harness(log, clock, None)
    there._number = 100  # what it is told is new
    await there.start()
    await there.catch_up()
    assert there.customer("anna").views == seen
    await there.told("anna", "product.viewed", product_id="tazza")
    await there.catch_up()
    assert there.customer("anna").views == seen + 1
    assert there.runs_kept().total() == seen + 1, "what was live is, and what waited waits"
    if not isinstance(log, KafkaLog):  # whose time is its own
        await there.pass_time(3 * DAYS)
        await there.catch_up()
        assert "reminded" in there.customer("anna").tags
    assert await there.letters() == []
    await there.stop()


async def test_kafka_is_copied_under_a_worker_that_goes_on(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    log = InUse(clock)
    harness = await begun(log, clock)
    log.goes_on = harness
    backup = await back_up(log, tmp_path / "backup", clock)
    assert harness.customer("anna").views == 8
    await harness.stop()
    assert backup.records[CUSTOMER_EVENTS] == len(log.records(CUSTOMER_EVENTS))
    assert 0 < backup.records[CUSTOMERS_CHANGELOG] < len(log.records(CUSTOMERS_CHANGELOG))
    copied = EmbeddedLog(tmp_path / "backup", clock)
    await copied.start()
    read = [record async for chunk in copied.read(CUSTOMER_EVENTS, 0, 0, 99) for record in chunk]
    assert read == log.records(CUSTOMER_EVENTS), "with its offsets and append times"
    await copied.stop()
    elsewhere = MemoryLog(clock)
    await restore(tmp_path / "backup", elsewhere, SIGNER, clock)
    await goes_on(elsewhere, clock, 8)


async def test_an_embedded_log_is_the_same_log_again(tmp_path: Path) -> None:
    harness = await embedded_house(tmp_path / "old")
    assert isinstance(harness.log, EmbeddedLog)
    harness = await begun(harness.log, harness.clock)
    await back_up(harness.log, tmp_path / "backup", harness.clock)
    kept = await harness.read(CUSTOMER_EVENTS)
    await views(harness, 2)  # and that is lost
    await harness.stop()
    assert isinstance(harness.log, EmbeddedLog)
    await harness.log.stop()
    log = EmbeddedLog(tmp_path / "new", harness.clock)
    await log.start()
    await restore(tmp_path / "backup", log, SIGNER, harness.clock)
    assert await Harness(log, harness.clock, None).read(CUSTOMER_EVENTS) == kept
    await goes_on(log, harness.clock, 5)
    with pytest.raises(NoBackup, match="is not empty: move it away first"):
        await restore(tmp_path / "backup", log, SIGNER, harness.clock)
    await log.stop()


async def test_what_was_interrupted_is_no_backup(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    log = MemoryLog(clock)
    await begun(log, clock)

    def breaks_off(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await back_up(log, tmp_path, clock, breaks_off)
    with pytest.raises(NoBackup, match="holds no backup, or one that was interrupted"):
        read_backup(tmp_path)
    with pytest.raises(NoBackup, match="is not empty"):
        await back_up(log, tmp_path, clock)
    (tmp_path / DESCRIPTION).write_text("[]")
    with pytest.raises(NoBackup, match="can't be read"):
        read_backup(tmp_path)


async def test_a_restore_that_was_interrupted_leaves_no_half_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock(START)
    source, target = EmbeddedLog(tmp_path / "log", clock), EmbeddedLog(tmp_path / "new", clock)
    await source.start()
    await source.create_topics(topics(1))
    await source.append(DEAD_LETTERS, 0, [OutRecord(b"anna", bytes(100_000))])
    await back_up(source, tmp_path / "copy", clock)
    await source.stop()
    whole = shutil.copyfile

    def half(source: Path, to: Path) -> None:
        to.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(shutil, "copyfile", half)
    await target.start()
    with pytest.raises(LogError, match=f"{tmp_path}/new is full"):
        await restore(tmp_path / "copy", target, SIGNER, clock)
    monkeypatch.setattr(shutil, "copyfile", whole)
    again = EmbeddedLog(tmp_path / "new", clock)
    await again.start()
    await restore(tmp_path / "copy", again, SIGNER, clock)
    assert (await again.offsets(DEAD_LETTERS))[0].end == 1
    await again.stop()
    assert [each.name for each in (tmp_path / "new").glob("*.restoring")] == []


async def test_nothing_is_put_over_something(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    log = MemoryLog(clock)
    await begun(log, clock)
    await back_up(log, tmp_path, clock)
    target = MemoryLog(clock)
    await target.create_topics(topics(1))
    await target.append(DEAD_LETTERS, 0, [OutRecord(None, b"")])
    with pytest.raises(NoBackup, match="dead-letters is not empty"):
        await restore(tmp_path, target, SIGNER, clock)


async def test_a_full_disk_is_that_of_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def execute(self, *_: object) -> None:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        def close(self) -> None:
            """It is one that can't be used."""

    log = EmbeddedLog(tmp_path / "log", VirtualClock(START))
    await log.start()
    await log.create_topics(topics(1))
    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", lambda *_, **__: Full())
        with pytest.raises(LogError, match=f"{tmp_path}/backup is full"):
            await back_up(log, tmp_path / "backup", VirtualClock(START))
    await log.stop()


async def test_a_log_that_is_none_is_not_backed_up(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "misspelt", VirtualClock(START))
    await log.start()
    with pytest.raises(NoBackup, match="has none of our topics"):
        await back_up(log, tmp_path / "backup", VirtualClock(START))
    assert not (tmp_path / "backup").exists()
    await log.stop()


async def test_copying_that_takes_longer_than_compaction_waits_is_none(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    log = MemoryLog(clock)
    await begun(log, clock)

    def a_week(_done: int, _total: int) -> None:
        clock.advance(clock.now() + 7 * DAYS * 1000)

    with pytest.raises(Exception, match="took longer than a day"):
        await back_up(log, tmp_path, clock, a_week)


async def test_a_drill_on_kafka(fresh_broker: KafkaBroker, tmp_path: Path) -> None:
    """The topics are lost, and a worker without any local state goes on from the backup."""
    clock = VirtualClock(SystemClock().now())  # the broker stamps by its own
    log = KafkaLog([fresh_broker.bootstrap])
    await log.start()
    harness = await begun(log, clock)
    await back_up(log, tmp_path, clock)
    await views(harness, 2)  # and that is lost
    await harness.stop()
    await delete_topics(fresh_broker)
    await restore(tmp_path, log, SIGNER, clock)
    await goes_on(log, clock, 5)
    await log.stop()
