"""What is particular to the embedded log; what it shares with Kafka is in the conformance suite."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.records import OutRecord, Record
from schemas.time_units import HOUR_MS
from streams.clock import VirtualClock
from streams.log import Log, LogError, TopicSpec
from streams.runtime.logs.embedded import EmbeddedLog, compaction, file, tables

START = 1_770_000_000_000
DAY = 86_400_000
APPENDER = Path(__file__).with_name("appender.py")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
async def log(tmp_path: Path, clock: VirtualClock) -> AsyncIterator[EmbeddedLog]:
    opened = EmbeddedLog(tmp_path / "log", clock)
    await opened.start()
    await opened.create_topics([TopicSpec(name="events", partitions=4)])
    yield opened
    await opened.stop()


async def everything(log: EmbeddedLog, topic: str, partition: int = 0) -> list[Record]:
    found = (await log.offsets(topic))[partition]
    return [r async for chunk in log.read(topic, partition, 0, found.end) for r in chunk]


async def eventually(log: EmbeddedLog, condition: object) -> None:
    """Wait until the coroutine function `condition` says yes; look again at each commit."""
    async with asyncio.timeout(20):
        while True:
            version = log.version
            if await condition():  # type: ignore[operator]  # a local async lambda of each test
                return
            await log.wait_beyond(version)


def test_is_a_log(tmp_path: Path, clock: VirtualClock) -> None:
    assert isinstance(EmbeddedLog(tmp_path, clock), Log)


async def test_concurrent_appends_keep_the_order_of_the_calls(log: EmbeddedLog) -> None:
    values = [b"%d" % n for n in range(500)]
    lasts = await asyncio.gather(
        *(log.append("events", 0, [OutRecord(None, value)]) for value in values)
    )
    assert lasts == list(range(500))
    assert [r.value for r in await everything(log, "events")] == values


async def test_what_is_appended_at_once_is_one_transaction(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is not synced alone: each sync is what the others wait for."""
    transactions: list[int] = []
    write = tables.write
    monkeypatch.setattr(
        tables, "write", lambda db, asked: transactions.append(len(asked)) or write(db, asked)
    )
    groups = {
        number: [OutRecord(None, b"%d-%d" % (number, each)) for each in range(85 + number)]
        for number in range(4)
    }
    twice = [*groups.items(), *groups.items()]
    lasts = await asyncio.gather(*(log.append("events", *group) for group in twice))
    assert transactions == [8]
    assert lasts == [84, 85, 86, 87, 169, 171, 173, 175]
    for number, group in groups.items():
        found = await everything(log, "events", number)
        assert [each.value for each in found] == [each.value for each in group] * 2
        assert [each.offset for each in found] == list(range(2 * len(group)))


@pytest.mark.parametrize(("ahead", "stamp"), [(HOUR_MS, START + HOUR_MS), (HOUR_MS + 1, START)])
async def test_append_time_goes_back_with_the_clock_only_where_that_had_leapt(
    tmp_path: Path, ahead: int, stamp: int
) -> None:
    late = EmbeddedLog(tmp_path, VirtualClock(START + ahead))
    await late.start()
    await late.create_topics([TopicSpec(name="events", partitions=1)])
    await late.append("events", 0, [OutRecord(None, b"1")])
    await late.stop()
    early = EmbeddedLog(tmp_path, VirtualClock(START))
    await early.start()
    await early.append("events", 0, [OutRecord(None, b"2")])
    stamps = [r.timestamp for r in await everything(early, "events")]
    assert stamps == [START + ahead, stamp]
    await early.stop()


async def test_time_is_that_of_the_call_not_of_the_commit(
    log: EmbeddedLog, clock: VirtualClock
) -> None:
    first = asyncio.ensure_future(log.append("events", 0, [OutRecord(None, b"1")]))
    await asyncio.sleep(0)
    clock.advance(START + DAY)
    await first
    assert (await everything(log, "events"))[0].timestamp == START


async def test_another_process_may_append_and_the_worker_notices(
    log: EmbeddedLog, tmp_path: Path
) -> None:
    await log.claim()
    other = EmbeddedLog(tmp_path / "log", VirtualClock(START))
    await other.start()
    assert log.end("events", 0) == 0
    await other.append("events", 0, [OutRecord(None, b"from elsewhere")])

    async def seen() -> bool:
        return log.end("events", 0) == 1

    await eventually(log, seen)
    assert (await log.fetch("events", 0, 0))[0].value == b"from elsewhere"
    await log.append("events", 0, [OutRecord(None, b"ours")])
    assert [r.offset for r in await everything(other, "events")] == [0, 1]
    await other.stop()


async def test_a_topic_created_by_another_process_is_found(
    log: EmbeddedLog, tmp_path: Path
) -> None:
    other = EmbeddedLog(tmp_path / "log", VirtualClock(START))
    await other.start()
    await other.create_topics([TopicSpec(name="late", partitions=2)])
    assert await log.partitions("late") == 2
    await other.stop()


async def test_two_workers_are_refused_and_told_who_works(log: EmbeddedLog, tmp_path: Path) -> None:
    await log.claim()
    second = EmbeddedLog(tmp_path / "log", VirtualClock(START))
    await second.start()
    with pytest.raises(LogError, match=rf"Process {os.getpid()} is already working"):
        await second.claim()
    await log.release()
    await second.claim()
    await second.stop()


async def test_committed_offsets_survive(log: EmbeddedLog, tmp_path: Path) -> None:
    await log.commit("group", {("events", 2): 17, ("events", 0): 3})
    await log.commit("group", {("events", 2): 18})
    await log.stop()
    again = EmbeddedLog(tmp_path / "log", VirtualClock(START))
    await again.start()
    assert await again.committed("group") == {("events", 0): 3, ("events", 2): 18}
    assert await again.committed("other") == {}
    await again.stop()


async def test_reads_are_cut_into_chunks(log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CHUNK_BYTES", 2_000)
    await log.append("events", 0, [OutRecord(None, bytes(900))] * 9)
    chunks = [len(chunk) async for chunk in log.read("events", 0, 1, 9)]
    assert chunks == [3, 3, 2]


async def test_stop_writes_what_was_queued(log: EmbeddedLog, tmp_path: Path) -> None:
    waiting = [
        asyncio.ensure_future(log.append("events", 1, [OutRecord(None, b"x")])) for _ in range(50)
    ]
    await asyncio.sleep(0)
    await log.stop()
    assert [await one for one in waiting] == list(range(50))
    with pytest.raises(LogError, match="not open"):
        await log.append("events", 1, [OutRecord(None, b"x")])
    await log.stop()


async def test_a_cancelled_caller_leaves_the_log_consistent(log: EmbeddedLog) -> None:
    doomed = asyncio.ensure_future(log.append("events", 0, [OutRecord(None, b"a")]))
    await asyncio.sleep(0)
    doomed.cancel()
    assert await log.append("events", 0, [OutRecord(None, b"b")]) == 1
    assert log.end("events", 0) == 2


# Compaction and retention.


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compact at ten records, in slices and deletions that do not divide them evenly."""
    monkeypatch.setattr("streams.runtime.logs.embedded.MIN_DIRTY", 10)
    monkeypatch.setattr(compaction, "MIN_DIRTY", 10)
    monkeypatch.setattr(compaction, "LOOKED_AT_ONCE", 37)
    monkeypatch.setattr(compaction, "DELETE_RECORDS", 7)


@pytest.mark.usefixtures("small")
async def test_compaction_keeps_the_last_record_of_each_key(log: EmbeddedLog) -> None:
    await log.create_topics(
        [TopicSpec(name="kept", partitions=2, config={"cleanup.policy": "compact"})]
    )
    random_ = random.Random(7)
    last: dict[bytes, bytes] = {}
    written: list[tuple[bytes, bytes]] = []
    for n in range(400):
        key, value = b"k%d" % random_.randrange(12), b"%d" % n
        last[key] = value
        written.append((key, value))
    await log.append("kept", 1, [OutRecord(k, b"other partition") for k in last])
    await log.append("kept", 0, [OutRecord(*pair) for pair in written])
    await log.claim()

    async def compacted() -> bool:
        # What is left: a record of each key, and the few since the last pass.
        return len(await everything(log, "kept")) < len(last) + 2 * 10

    await eventually(log, compacted)
    kept = await everything(log, "kept")
    assert {r.key: r.value for r in kept} == last
    assert [written[r.offset] for r in kept] == [(r.key, r.value) for r in kept]
    assert len(await everything(log, "kept", 1)) == len(last)
    assert (await log.offsets("kept"))[0].end == 400
    assert await log.append("kept", 0, [OutRecord(b"new", b"x")]) == 400
    # A consumer that stands in a hole goes on behind it.
    assert (await log.fetch("kept", 0, 1))[0].offset == kept[0].offset


@pytest.mark.usefixtures("small")
async def test_young_records_are_not_compacted(log: EmbeddedLog, clock: VirtualClock) -> None:
    lag = {"cleanup.policy": "compact", "min.compaction.lag.ms": str(DAY)}
    await log.create_topics([TopicSpec(name="kept", partitions=1, config=lag)])
    await log.append("kept", 0, [OutRecord(b"k", b"%d" % n) for n in range(20)])
    clock.advance(START + DAY + 1)
    await log.append("kept", 0, [OutRecord(b"k", b"%d" % n) for n in range(20, 40)])
    await log.claim()

    async def compacted() -> bool:
        return len(await everything(log, "kept")) == 21

    await eventually(log, compacted)
    assert [r.offset for r in await everything(log, "kept")] == [19, *range(20, 40)]


@pytest.mark.usefixtures("small")
async def test_tombstones_go_after_their_retention_and_offsets_are_not_reused(
    log: EmbeddedLog, clock: VirtualClock
) -> None:
    await log.create_topics(
        [TopicSpec(name="kept", partitions=1, config={"cleanup.policy": "compact"})]
    )
    await log.append("kept", 0, [OutRecord(b"k%d" % n, b"v") for n in range(10)])
    await log.append("kept", 0, [OutRecord(b"k%d" % n, None) for n in range(10)])
    await log.claim()

    async def only_tombstones() -> bool:
        return [r.value for r in await everything(log, "kept")] == [None] * 10

    await eventually(log, only_tombstones)
    clock.advance(START + DAY + 1)
    await log.append("kept", 0, [OutRecord(b"z", b"v")] * 10)

    async def only_z() -> bool:
        return {r.key for r in await everything(log, "kept")} == {b"z"}

    await eventually(log, only_z)
    assert await log.append("kept", 0, [OutRecord(b"y", b"v")]) == 30


@pytest.mark.usefixtures("small")
async def test_retention_removes_what_is_too_old_by_the_clock(
    log: EmbeddedLog, clock: VirtualClock
) -> None:
    config = {"cleanup.policy": "delete", "retention.ms": str(DAY)}
    await log.create_topics([TopicSpec(name="brief", partitions=1, config=config)])
    await log.append("brief", 0, [OutRecord(None, b"old")] * 25)
    clock.advance(START + DAY + 1)
    await log.append("brief", 0, [OutRecord(None, b"new")] * 3)
    await log.append("events", 0, [OutRecord(None, b"for ever")])
    await log.claim()

    async def trimmed() -> bool:
        return (await log.offsets("brief"))[0].start == 25

    await eventually(log, trimmed)
    assert [r.offset for r in await everything(log, "brief")] == [25, 26, 27]
    assert len(await everything(log, "events")) == 1


# What goes wrong.


async def test_a_full_disk_is_said_plainly_and_nothing_half_is_written(log: EmbeddedLog) -> None:
    def limit(db: sqlite3.Connection) -> None:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 20}")

    await log._open().call(limit)
    with pytest.raises(LogError, match=r"disk .* is full"):
        await log.append("events", 0, [OutRecord(None, bytes(50_000))] * 10)
    assert await log.append("events", 0, [OutRecord(None, b"fits")]) == 0


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"SQLite format 3\0" * 500])
async def test_a_damaged_file_is_said_plainly(tmp_path: Path, content: bytes) -> None:
    (tmp_path / file.FILE_NAME).write_bytes(content)
    with pytest.raises(LogError, match="damaged"):
        await EmbeddedLog(tmp_path, VirtualClock(START)).start()


async def test_a_file_where_a_directory_belongs(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file")
    for path in (tmp_path / "log", tmp_path / "log" / "below"):
        with pytest.raises(LogError, match="needs a directory"):
            await EmbeddedLog(path, VirtualClock(START)).start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only directories")
async def test_a_read_only_directory(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o555)  # noqa: PTH101  # the method trips the check for blocking calls
    with pytest.raises(LogError, match="permissions"):
        await EmbeddedLog(tmp_path, VirtualClock(START)).start()


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / file.FILE_NAME)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LogError, match="newer version"):
        await EmbeddedLog(tmp_path, VirtualClock(START)).start()


@pytest.mark.processes
@pytest.mark.parametrize("seed", range(6))
async def test_kill_9_loses_nothing_acknowledged(tmp_path: Path, seed: int) -> None:
    """The appender is killed at a random point and started again, three times over."""
    random_ = random.Random(seed)
    log = EmbeddedLog(tmp_path, VirtualClock(START))
    await log.start()
    await log.create_topics([TopicSpec(name="events", partitions=2)])
    await log.stop()
    acknowledged = -1
    for _ in range(3):
        acknowledged = max(acknowledged, _append_and_kill(tmp_path, random_.randint(1, 400)))
        log = EmbeddedLog(tmp_path, VirtualClock(START))
        await log.start()
        values = [int(r.value or b"") for r in await everything(log, "events", 1)]
        await log.stop()
        assert values == list(range(len(values))), f"a gap, seed {seed}"
        assert len(values) > acknowledged, f"lost after {acknowledged}, seed {seed}"


def _append_and_kill(directory: Path, acknowledgements: int) -> int:
    """Kill it after so many acknowledgements; return the highest offset it has printed."""
    command = [sys.executable, str(APPENDER), str(directory), "events", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledgements)]
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
    return max(int(line) for line in lines if line.endswith(b"\n"))
