"""Changing the embedded log in place: what an erasure does, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.records import OutRecord, Record
from streams.clock import VirtualClock
from streams.log import TopicSpec
from streams.runtime.logs.embedded import EmbeddedLog

START = 1_770_000_000_000
SECRET = b"giulia.segreta@example.it"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EmbeddedLog]:
    opened = EmbeddedLog(tmp_path / "log", VirtualClock(START))
    await opened.start()
    await opened.create_topics([TopicSpec(name="events", partitions=2)])
    yield opened
    await opened.stop()


async def everything(log: EmbeddedLog, partition: int = 0) -> list[Record]:
    end = (await log.offsets("events"))[partition].end
    return [r async for chunk in log.read("events", partition, 0, end) for r in chunk]


async def test_records_are_found_by_key_and_by_what_they_hold(log: EmbeddedLog) -> None:
    records = [OutRecord(b"a", b"x1"), OutRecord(b"b", b"y a x"), OutRecord(None, b"\x00x\x00")]
    await log.append("events", 0, records)
    await log.append("events", 1, [OutRecord(b"a", b"elsewhere")])
    redaction = log.redaction()
    assert [r.offset for r in await redaction.with_key("events", 0, b"a")] == [0]
    assert [r.offset for r in await redaction.holding("events", 0, [b"x1", b"\x00x"])] == [0, 2]
    assert await redaction.holding("events", 1, [b"x"]) == []
    assert await redaction.with_key("events", 0, b"%") == []


async def test_a_changed_record_keeps_its_place_and_time(log: EmbeddedLog) -> None:
    await log.append("events", 0, [OutRecord(b"k", b"%d" % n, (("h", b"1"),)) for n in range(5)])
    other = OutRecord(None, b"", (("ce_type", b"x"),))
    await log.redaction().change("events", 0, {1: other, 3: None})
    found = await everything(log)
    assert [(r.offset, r.key, r.value) for r in found] == [
        (0, b"k", b"0"), (1, None, b""), (2, b"k", b"2"), (4, b"k", b"4"),
    ]  # fmt: skip
    assert found[1].header("ce_type") == b"x"
    assert {r.timestamp for r in found} == {START}
    assert await log.append("events", 0, [OutRecord(b"k", b"5")]) == 5  # no offset comes again
    await log.redaction().change("events", 0, {3: None, 99: None})  # gone already, never was


async def test_nothing_is_left_in_the_file(log: EmbeddedLog, tmp_path: Path) -> None:
    """Records among thousands: pages are split, freed, and used again."""
    records = [OutRecord(b"g%d" % n, SECRET + b"x" * (n % 700)) for n in range(3_000)]
    others = [OutRecord(b"o%d" % n, b"y" * (n % 900)) for n in range(3_000)]
    for n in range(0, 3_000, 50):
        await log.append("events", 0, [*records[n : n + 50], *others[n : n + 50]])
    theirs = [r for r in await everything(log) if SECRET in (r.value or b"")]
    changes = {r.offset: None if r.offset % 2 else OutRecord(None, b"") for r in theirs}
    redaction = log.redaction()
    await redaction.change("events", 0, changes)
    assert await redaction.rewrite()
    for path in (tmp_path / "log").iterdir():
        assert SECRET not in path.read_bytes(), path.name
    kept = [r for r in await everything(log) if r.key is not None]
    assert [r.value for r in kept] == [other.value for other in others]


async def test_appends_go_on_meanwhile(log: EmbeddedLog) -> None:
    await log.append("events", 0, [OutRecord(b"k", b"%d" % n) for n in range(2_000)])
    redaction = log.redaction()
    edits = asyncio.gather(
        redaction.change("events", 0, dict.fromkeys(range(0, 2_000, 2))), redaction.rewrite()
    )
    appended = [await log.append("events", 0, [OutRecord(b"n", b"")]) for _ in range(20)]
    await edits
    assert appended == list(range(2_000, 2_020))
    assert [r.offset for r in await everything(log)] == [*range(1, 2_000, 2), *range(2_000, 2_020)]
