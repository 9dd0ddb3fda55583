"""Where a person's records lie: found once the partition was read, and read only once."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import OutRecord, Record
from streams.clock import VirtualClock
from streams.log import OffsetRange
from streams.operate.record_index import CLEARED, RecordIndex
from streams.topology import CUSTOMER_EVENTS, FACTS
from tests.mail.doubles import MemoryLog

MAX_WAIT = 30.0


class CountingLog(MemoryLog):
    """Counts what is read, and lets go of what is old."""

    def __init__(self) -> None:
        super().__init__(VirtualClock(0))
        self.read_records = 0
        self.start_at = 0

    async def offsets(self, topic: str) -> dict[int, OffsetRange]:
        spans = await super().offsets(topic)
        return {n: OffsetRange(min(self.start_at, s.end), s.end) for n, s in spans.items()}

    async def read(
        self, topic: str, partition: int, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        records = self.kept.get((topic, partition), [])[start:stop]
        self.read_records += len(records)
        for at in range(0, len(records), 3):
            yield records[at : at + 3]


def fact(customer: str) -> OutRecord:
    return OutRecord(b"w", b'{"decision": "sent", "customer": "%s"}' % customer.encode())


@pytest.fixture
async def log() -> CountingLog:
    return CountingLog()


@pytest.fixture
async def offsets(log: CountingLog, tmp_path: Path) -> AsyncIterator[RecordIndex]:
    offsets = RecordIndex(log, tmp_path / "deep" / "places.sqlite")
    yield offsets
    await offsets.close()
    await offsets.close()


async def test_a_second_question_reads_only_what_is_new(
    log: CountingLog, offsets: RecordIndex
) -> None:
    await log.append(FACTS, 0, [fact(name) for name in ("anna", "bruno", "anna", "carla")])
    assert await offsets.find(FACTS, 0, b"anna", MAX_WAIT) == ([0, 2], 4, 4)
    assert (await offsets.find(FACTS, 0, b"bruno", MAX_WAIT)).offsets == [1]
    assert (await offsets.find(FACTS, 0, b"dino", MAX_WAIT)).offsets == []
    assert log.read_records == 4
    await log.append(FACTS, 0, [fact("anna")])
    assert (await offsets.find(FACTS, 0, b"anna", MAX_WAIT)).offsets == [0, 2, 4]
    assert log.read_records == 5


async def test_it_outlives_its_process(log: CountingLog, tmp_path: Path) -> None:
    await log.append(FACTS, 0, [fact("anna")])
    for _ in range(2):
        offsets = RecordIndex(log, tmp_path / "places.sqlite")
        assert (await offsets.find(FACTS, 0, b"anna", MAX_WAIT)).offsets == [0]
        await offsets.close()
    assert log.read_records == 1


async def test_each_topic_says_in_its_own_way_whom_a_record_is_about(
    log: CountingLog, offsets: RecordIndex
) -> None:
    await log.append(FACTS, 0, [OutRecord(b"anna", b'{"hit": "open"}'), OutRecord(b"w", b"{")])
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(None, b"{}"), OutRecord(b"anna", b"{}")])
    assert (await offsets.find(FACTS, 0, b"anna", MAX_WAIT)).offsets == []
    assert (await offsets.find(CUSTOMER_EVENTS, 0, b"anna", MAX_WAIT)).offsets == [1]


async def test_what_the_log_has_let_go_of_is_forgotten(
    log: CountingLog, offsets: RecordIndex
) -> None:
    await log.append(FACTS, 0, [fact("anna")] * (CLEARED + 3))
    assert len((await offsets.find(FACTS, 0, b"anna", MAX_WAIT)).offsets) == 20_000
    log.start_at = CLEARED + 1
    assert (await offsets.find(FACTS, 0, b"anna", MAX_WAIT)).offsets == [CLEARED + 1, CLEARED + 2]


async def test_another_topic_of_the_same_name_is_read_anew(
    log: CountingLog, offsets: RecordIndex
) -> None:
    await log.append(FACTS, 0, [fact("anna")] * 5)
    await offsets.find(FACTS, 0, b"anna", MAX_WAIT)
    log.kept.clear()
    await log.append(FACTS, 0, [fact("bruno"), fact("anna")])
    assert (await offsets.find(FACTS, 0, b"anna", MAX_WAIT)).offsets == [1]


async def test_who_does_not_wait_is_told_how_far_it_is(
    log: CountingLog, offsets: RecordIndex
) -> None:
    await log.append(FACTS, 0, [fact("anna")] * 9)
    found = await offsets.find(FACTS, 0, b"anna", 0)
    assert found.done < found.of == 9
    assert (await offsets.find(FACTS, 0, b"anna", MAX_WAIT)).offsets == list(range(9))


@given(st.lists(st.sampled_from(["anna", "bruno", "carla", ""]), max_size=30))
async def test_it_finds_what_reading_all_finds(names: list[str]) -> None:
    log = CountingLog()
    if names:
        await log.append(FACTS, 0, [fact(name) for name in names])
    with tempfile.TemporaryDirectory() as directory:
        offsets = RecordIndex(log, Path(directory) / "places.sqlite")
        for name in ("anna", "bruno", "dino"):
            found = await offsets.find(FACTS, 0, name.encode(), MAX_WAIT)
            assert found.offsets == [at for at, each in enumerate(names) if each == name]
        await offsets.close()
