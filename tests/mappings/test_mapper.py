"""From a foreign topic into our log each record once, whenever the process is killed, and whatever
is done to the topic meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.mappings.mapping import SourceMapping
from schemas.mappings import Mappings
from schemas.notation import DEFAULT_NOTATION
from schemas.origin import foreign_partition
from schemas.records import OutRecord
from schemas.signing import RecordSigner
from schemas.wire import parse_record
from schemas.yaml_text import Document
from streams.clock import VirtualClock
from streams.connect.mappings.mapping_file import MappingFile
from streams.connect.mappings.offsets import MappedPartition, MappingOffsets, OffsetEntry, resume
from streams.connect.mappings.resending import LetterMapper
from streams.connect.mappings.written import LEASE_MS, find_written, spans
from streams.log import LogError, OffsetRange, TopicIdentity
from streams.operate.dead_letters import ResendReport, open_letters, resend
from streams.settings.operator_file import OperatorFile
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS, MAPPING_OFFSETS
from tests.mappings.foreign import SIGNER, Process, Topic, appended, new_log
from tests.mappings.ordini import compiled
from tests.runtime.doubles import START, Crash


def views(*, id: str = "string(value.n)", **changed: Any) -> SourceMapping:  # noqa: A002  # the field
    view = {
        "type": "product.viewed", "customer": "value.c", "id": id,
        "properties": {"product_id": "'x'"},
    }  # fmt: skip
    return compiled({"name": "viste", "topic": "ordini", "events": [view], **changed})


def filled(records: int = 20, partitions: int = 2) -> Topic:
    topic = Topic(partitions)
    for number in range(records):
        topic.add(number % partitions, {"c": f"c{number % 7}", "n": number})
    return topic


def ids(records: int) -> list[str]:
    return sorted(str(number) for number in range(records))


async def test_all_that_is_there_is_mapped_once_and_then_what_comes() -> None:
    log, topic = await new_log(), filled()
    await Process(views(), topic, log).drain()
    assert appended(log) == ids(20)
    topic.add(0, {"c": "a", "n": 20})
    process = Process(views(), topic, log)
    await process.drain()
    assert appended(log) == ids(21)
    assert process.counts.records["mapped"] == 1
    assert process.membership.committed == {0: 11}


@pytest.mark.parametrize("topic_name", [CUSTOMER_EVENTS, MAPPING_OFFSETS])
@pytest.mark.parametrize("kept", [0, 1, None])
async def test_a_kill_at_any_append_neither_loses_nor_doubles(
    topic_name: str, kept: int | None
) -> None:
    """`kept`: how many of the records were written; None: all of them, and nobody was told."""
    for fatal in range(1, 40):
        log, topic = await new_log(), filled()
        count = 0

        def fault(
            name: str, _partition: int, records: Sequence[OutRecord], fatal: int = fatal
        ) -> int | None:
            nonlocal count
            if name != topic_name:
                return None
            count += 1
            return (len(records) if kept is None else kept) if count == fatal else None

        log.fault = fault
        try:
            await Process(views(), topic, log).drain()
        except Crash:
            pass
        else:  # or it has fallen when it stopped, and nobody was told
            if count < fatal:
                break
        log.fault = lambda *_: None
        await Process(views(), topic, log).drain()
        assert appended(log) == ids(20), fatal
    else:
        pytest.fail("it never went through")
    assert fatal > 2


async def test_two_kills_in_a_row_an_hour_apart_double_nothing() -> None:
    log, topic, clock = await new_log(), filled(), VirtualClock(START)
    log.clock = clock
    for fatal in (4, 1):
        left = fatal

        def fault(name: str, _partition: int, records: Sequence[OutRecord]) -> int | None:
            nonlocal left
            left -= name == CUSTOMER_EVENTS
            return len(records) if name == CUSTOMER_EVENTS and left == 0 else None

        log.fault = fault
        with pytest.raises(Crash):
            await Process(views(), topic, log, clock=clock).drain()
        clock.advance(clock.now() + 3_600_000)
    log.fault = lambda *_: None
    await Process(views(), topic, log, clock=clock).drain()
    assert appended(log) == ids(20)


async def test_what_a_dead_process_appends_late_has_the_same_origin() -> None:
    log, topic = await new_log(), filled(4)
    await Process(views(), topic, log).drain()
    first = {
        parse_record(each).id: parse_record(each).origin for each in log.topics[CUSTOMER_EVENTS][0]
    }
    entries = log.topics[MAPPING_OFFSETS][0]
    del entries[2:]  # as the other process has read them before
    for entry in entries:
        SIGNER.check(MAPPING_OFFSETS, entry)
    await Process(views(), topic, log).drain()
    again = [parse_record(each) for each in log.topics[CUSTOMER_EVENTS][0]]
    assert {each.id: each.origin for each in again} == first
    assert None not in first.values()


async def test_what_others_write_with_an_origin_hides_no_record() -> None:
    log = await new_log(1)
    origin = foreign_partition("viste", 0)
    headers = [("ritorno_origin", f"5/{origin}/99/0".encode())]
    forged = RecordSigner([("other", "another key")]).sign(
        CUSTOMER_EVENTS, OutRecord(b"a", b"{}", headers)
    )
    await log.append(CUSTOMER_EVENTS, 0, [forged])
    assert await find_written(log, SIGNER, {origin: 5}, [START]) == {}
    mine = SIGNER.sign(CUSTOMER_EVENTS, OutRecord(b"a", b"{}", headers))
    await log.append(CUSTOMER_EVENTS, 0, [mine])
    assert await find_written(log, SIGNER, {origin: 5}, [START]) == {0: {origin: (99, 0)}}
    assert await find_written(log, SIGNER, {origin: 6}, [START]) == {}


def test_our_log_is_searched_only_where_something_may_lie() -> None:
    near, far = START + LEASE_MS, START + 3_600_000
    first, second = spans([far, near, START])
    assert first.since < START
    assert first.until > near + LEASE_MS
    assert second.since > first.until


async def test_who_begins_at_the_end_begins_there_also_after_a_kill() -> None:
    log, topic = await new_log(), filled(6)
    mapping = views(start="latest")
    await Process(mapping, topic, log).drain()
    assert appended(log) == []
    topic.add(0, {"c": "a", "n": 6})
    await Process(mapping, topic, log).drain()
    assert appended(log) == ["6"]
    topic.records.append([])
    topic.starts.append(0)
    topic.ends.append(0)
    topic.add(2, {"c": "a", "n": 7})  # in a partition that is new: nothing of it was passed over
    process = Process(mapping, topic, log)
    await process.drain()
    assert appended(log) == ["6", "7"]
    assert process.counts.changes["partitions"] == 2


async def test_a_topic_that_is_made_anew_is_read_anew() -> None:
    log = await new_log()
    await Process(views(), filled(4), log).drain()
    anew = Topic(2, "two")
    for number in range(4, 10):
        anew.add(number % 2, {"c": "a", "n": number})
    process = Process(views(), anew, log)
    await process.drain()
    assert appended(log) == ids(10)
    assert process.counts.changes["recreated"] == 2
    found = [parse_record(each) for part in log.topics[CUSTOMER_EVENTS] for each in part]
    epochs = {each.origin.log_epoch for each in found if each.origin}
    assert len(epochs) == 2


async def test_what_was_deleted_before_it_was_mapped_is_told() -> None:
    log, topic = await new_log(), filled(4)
    await Process(views(), topic, log).drain()
    for number in range(4, 10):
        topic.add(0, {"c": "a", "n": number})
    topic.delete_before(0, 5)
    process = Process(views(), topic, log)
    await process.drain()
    assert (process.counts.changes["gone"], process.counts.lost) == (1, 3)
    assert appended(log) == sorted(["0", "1", "2", "3", "7", "8", "9"])


IDENTITY = TopicIdentity("one", 2)
KEPT = OffsetEntry(topic="ordini", topic_id="one", partitions=2, epoch=100, next=50)


@pytest.mark.parametrize(
    ("kept", "identity", "span", "change", "next_", "epoch"),
    [
        (None, IDENTITY, OffsetRange(3, 9), None, 3, 1_000),
        (KEPT, IDENTITY, OffsetRange(3, 90), None, 50, 100),
        (KEPT, IDENTITY, OffsetRange(60, 90), "gone", 60, 100),
        (KEPT, IDENTITY, OffsetRange(0, 40), "shrunk", 40, 1_000),
        (KEPT, TopicIdentity("two", 2), OffsetRange(0, 90), "recreated", 0, 1_000),
        (KEPT, TopicIdentity("one", 3), OffsetRange(0, 90), "partitions", 50, 100),
        (KEPT, TopicIdentity("", 2), OffsetRange(0, 90), None, 50, 100),
    ],
)
def test_where_a_partition_goes_on(
    kept: OffsetEntry | None, identity: TopicIdentity, span: OffsetRange, change: str | None,
    next_: int, epoch: int,
) -> None:  # fmt: skip
    found = resume(kept, "ordini", identity, span, from_end=False, now=1_000)
    assert (found.change, found.entry.next, found.entry.epoch) == (change, next_, epoch)


async def test_an_epoch_never_goes_back_with_the_clock() -> None:
    found = resume(
        KEPT, "ordini", TopicIdentity("two", 2), OffsetRange(0, 9), from_end=False, now=7
    )
    assert found.entry.epoch > KEPT.epoch


async def test_partitions_that_change_hands_lose_nothing() -> None:
    log, topic = await new_log(), filled()
    process = Process(views(), topic, log)
    tasks: list[asyncio.Task[None]] = []

    async def rebalance() -> None:
        await process.membership.rebalance([1])
        await process.membership.rebalance([0, 1])
        process.membership.drained.clear()

    def condition() -> bool:
        if not tasks and process.counts.records["mapped"] >= 5:
            tasks.append(asyncio.create_task(rebalance()))
        return bool(tasks) and tasks[0].done() and process.is_drained()

    await process.run_until(condition)
    assert appended(log) == ids(20)


async def test_what_cant_be_read_is_a_dead_letter_with_its_place_and_one_after_a_kill() -> None:
    log, topic = await new_log(), Topic(1)
    topic.add(0, b"{half", "anna")
    topic.add(0, {"c": None, "n": 1})
    topic.add(0, {"c": "a", "n": 2})
    log.fault = lambda name, _p, records: len(records) if name == CUSTOMER_EVENTS else None
    with pytest.raises(Crash):
        await Process(views(), topic, log).drain()
    log.fault = lambda *_: None
    process = Process(views(), topic, log)
    await process.drain()
    assert process.counts.records == {"mapped": 0, "dropped": 0, "refused": 2, "repeated": 1}
    assert len(log.topics[DEAD_LETTERS][0]) == 4
    letters = [letter async for letter in open_letters(log)]
    assert [(each.origin, each.reason, each.original.key) for each in letters] == [
        (("viste/ordini", 0, 0), "invalid_json", b"anna"),
        (("viste/ordini", 0, 1), "missing_id", None),
    ]


async def test_a_letter_is_mapped_again_once_the_file_is_mended(tmp_path: Path) -> None:
    log, topic = await new_log(), Topic(1)
    topic.add(0, {"c": "a", "n": "sieben"})
    topic.add(0, b"{half")
    await Process(views(id="lower(value.m)"), topic, log).drain()
    assert appended(log) == []
    file = MappingFile(OperatorFile(tmp_path, Document("{}"), Mappings()), [views()])

    async def again(file: MappingFile | None) -> ResendReport:
        mapper = LetterMapper(file, DEFAULT_NOTATION)
        return await resend(log, lambda _: True, lambda: SIGNER, DEFAULT_NOTATION, mapper.map)

    nothing = await again(None)
    assert [why for _, why in nothing.kept] == [
        "no mapping viste of the topic ordini is in the file"
    ] * 2
    report = await again(file)
    assert (report.resent, [letter.origin.offset for letter, _ in report.kept]) == (1, [1])
    assert appended(log) == ["sieben"]
    assert [letter.origin.offset async for letter in open_letters(log)] == [1]


async def test_offsets_that_others_write_are_not_believed() -> None:
    log = await new_log()
    offsets = MappingOffsets(log, SIGNER)
    where = MappedPartition("viste", 0)
    await offsets.write([(where, KEPT)])
    (record,) = log.topics[MAPPING_OFFSETS][0]
    changed = OutRecord(record.key, record.value.replace(b"50", b"99"), record.headers)  # type: ignore[union-attr]
    await log.append(MAPPING_OFFSETS, 0, [changed])
    assert (await MappingOffsets(log, SIGNER).read())[where].entry == KEPT


async def test_a_topic_that_is_made_anew_while_it_is_read_is_noticed() -> None:
    log, topic, clock = await new_log(), filled(2), VirtualClock(START)
    process = Process(views(), topic, log, clock=clock)

    def made_anew() -> bool:
        if process.membership.drained.is_set():
            topic.id = "two"
            clock.advance(clock.now() + 60_000)
        return False

    with pytest.raises(LogError, match="was made anew"):
        await process.run_until(made_anew)


async def test_a_source_that_rests_is_written_once_and_not_again() -> None:
    log, topic = await new_log(), filled(2)
    process = Process(views(), topic, log)
    looks = 0

    def rested() -> bool:
        nonlocal looks
        looks += process.membership.drained.is_set()
        return looks > 50

    await process.run_until(rested)
    assert len(log.topics[MAPPING_OFFSETS][0]) <= 6
    kept = await MappingOffsets(log, SIGNER).read()
    assert not any(each.entry.is_open for each in kept.values())
