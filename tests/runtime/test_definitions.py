"""Publishing workflow definitions: guarded topic first, then the control records, then `live`."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from schemas.definitions import version_of
from schemas.records import OutRecord, Record
from schemas.signing import SIGNATURE, number_of
from streams.clock import VirtualClock
from streams.log import Log, OffsetRange
from streams.runtime.commit_protocol import is_believed
from streams.runtime.control_numbers import RESERVATION, Reserved, reserve
from streams.runtime.definitions import (
    CONTROL_TYPE,
    LIVE_KEY,
    DefinitionError,
    DefinitionLoader,
    check_sizes,
    control_record,
    load,
    publish,
    read,
    read_files,
)
from streams.topology import CUSTOMER_EVENTS, WORKFLOWS, topics
from tests.keys import SIGNER
from tests.runtime.doubles import START, Crash, MemoryLog, memory_log

FIRST = {"w06": b'{"hours":1}', "w11": b'{"welcome":true}'}
SECOND = {"w06": b'{"hours":2}', "w11": FIRST["w11"]}
V1, V2 = version_of(FIRST["w06"]), version_of(SECOND["w06"])
W11 = version_of(FIRST["w11"])


@pytest.fixture
async def log() -> MemoryLog:
    return await memory_log(partitions=3)


class Received:
    def __init__(self) -> None:
        self.versions: list[tuple[str, bytes]] = []
        self.unreadable: set[tuple[str, str]] = set()

    def add(self, version: str, content: bytes) -> object:
        if content == b"unreadable":
            raise ValueError(content)
        self.versions.append((version, content))
        return None


async def test_every_partition_is_told_once(log: MemoryLog) -> None:
    report = await publish(log, FIRST, SIGNER)
    assert set(report.added) == {("w06", V1), ("w11", W11)}
    assert report.activated
    told = log.records(CUSTOMER_EVENTS)
    assert [record.partition for record in told] == [0, 1, 2]
    for record in told:
        assert record.key is None
        assert record.header("ce_type") == CONTROL_TYPE
        assert json.loads(record.value or b"") == {"live": {"w06": V1, "w11": W11}}
    assert await load(log) == {("w06", V1): FIRST["w06"], ("w11", W11): FIRST["w11"]}


async def test_publishing_the_same_again_does_nothing(log: MemoryLog) -> None:
    await publish(log, FIRST, SIGNER)
    before = len(log.records(CUSTOMER_EVENTS)), len(log.records(WORKFLOWS))
    report = await publish(log, FIRST, SIGNER)
    assert (report.added, report.activated) == ((), False)
    assert (len(log.records(CUSTOMER_EVENTS)), len(log.records(WORKFLOWS))) == before


async def test_a_change_keeps_the_former_version(log: MemoryLog) -> None:
    await publish(log, FIRST, SIGNER)
    report = await publish(log, SECOND, SIGNER)
    assert report.added == (("w06", V2),)
    assert set(await load(log)) == {("w06", V1), ("w06", V2), ("w11", W11)}
    assert (await read(log)).live == {"w06": V2, "w11": W11}


async def test_going_back_publishes_nothing_new_but_tells_everybody(log: MemoryLog) -> None:
    await publish(log, FIRST, SIGNER)
    await publish(log, SECOND, SIGNER)
    report = await publish(log, FIRST, SIGNER)
    assert (report.added, report.activated) == ((), True)
    assert len(log.records(CUSTOMER_EVENTS)) == 9


async def test_an_interrupted_publication_is_completed(log: MemoryLog) -> None:
    def second_partition(topic: str, partition: int, _: object) -> int | None:
        return 0 if (topic, partition) == (CUSTOMER_EVENTS, 1) else None

    log.fault = second_partition
    with pytest.raises(Crash):
        await publish(log, FIRST, SIGNER)
    assert (await read(log)).live is None
    log.fault = lambda *_: None
    assert (await publish(log, FIRST, SIGNER)).activated
    assert {record.partition for record in log.records(CUSTOMER_EVENTS)} == {0, 1, 2}


@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_who_goes_back_after_an_interrupted_publication_tells_everybody(
    log: MemoryLog, kept: int
) -> None:
    await publish(log, FIRST, SIGNER)

    def dies(topic: str, partition: int, records: Sequence[OutRecord]) -> int | None:
        told = (topic, partition) == (CUSTOMER_EVENTS, kept)
        return 0 if told or records[0].key == LIVE_KEY else None

    log.fault = dies
    with pytest.raises(Crash):
        await publish(log, SECOND, SIGNER)
    log.fault = lambda *_: None
    await reserve(log, WORKFLOWS)  # as each retry does
    assert (await publish(log, FIRST, SIGNER)).activated
    assert obeyed(log) == [{"w06": V1, "w11": W11}] * 3
    assert not (await publish(log, FIRST, SIGNER)).activated, "all of it was told"


async def test_a_partition_that_was_made_anew_is_told_again(log: MemoryLog) -> None:
    await publish(log, FIRST, SIGNER)
    log.topics[CUSTOMER_EVENTS][1].clear()
    report = await publish(log, FIRST, SIGNER)
    assert (report.added, report.activated, report.untold) == ((), True, [1])
    assert obeyed(log) == [{"w06": V1, "w11": W11}] * 3
    assert not (await publish(log, FIRST, SIGNER)).activated, "all of it was told"


async def test_a_copy_that_nobody_signed_does_not_pass_for_what_was_told(log: MemoryLog) -> None:
    await publish(log, FIRST, SIGNER)
    (told,) = log.topics[CUSTOMER_EVENTS][1]
    unsigned = tuple(each for each in told.headers if each[0] != SIGNATURE)
    log.topics[CUSTOMER_EVENTS][1] = [told._replace(headers=unsigned)]
    assert (await publish(log, FIRST, SIGNER)).untold == [1]


class Aged(MemoryLog):
    """A log that says from where on it keeps records."""

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        spans = await super().offsets(topic)
        parts = self.topics[topic]
        return (
            {
                number: OffsetRange(parts[number][0].offset, 2) if parts[number] else spans[number]
                for number in spans
            }
            if topic == CUSTOMER_EVENTS
            else spans
        )


async def test_what_was_deleted_by_age_was_told() -> None:
    log = Aged()
    await log.create_topics(topics(3))
    await publish(log, FIRST, SIGNER)
    await log.append(CUSTOMER_EVENTS, 1, [OutRecord(b"anna", b"{}")])
    del log.topics[CUSTOMER_EVENTS][1][0]
    assert not (await publish(log, FIRST, SIGNER)).activated


def obeyed(log: MemoryLog) -> list[object]:
    """What each partition makes live: what comes behind a higher number is refused."""
    live = []
    for part in log.topics[CUSTOMER_EVENTS]:
        latest = max(part, key=lambda record: number_of(record.headers) or 0)
        live.append(json.loads(latest.value or b"")["live"])
    return live


@pytest.mark.parametrize("seed", range(20))
async def test_two_publications_at_once(log: MemoryLog, seed: int) -> None:
    pauses = random.Random(seed)

    class Uneven:
        """A log for one of the publishers, whose appends take a while each."""

        def __getattr__(self, name: str) -> object:
            return getattr(log, name)

        async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
            for _ in range(pauses.randrange(30)):
                await asyncio.sleep(0)
            return await log.append(topic, partition, records)

    await asyncio.gather(
        *(publish(cast("Log", Uneven()), each, SIGNER) for each in (FIRST, SECOND)),
        return_exceptions=True,
    )
    live = (await read(log)).live
    assert obeyed(log) == [live] * 3


async def test_who_was_overtaken_tells_it_again_when_the_other_never_ends(log: MemoryLog) -> None:
    crashed = False

    def other_reserves_and_crashes(topic: str, partition: int, _: object) -> None:
        nonlocal crashed
        if (topic, partition) == (CUSTOMER_EVENTS, 0) and not crashed:
            crashed = True
            part = log.topics[WORKFLOWS][0]
            reservation = next(each for each in part if each.key == RESERVATION)
            part.append(reservation._replace(offset=len(part), timestamp=reservation.timestamp + 1))
            number = part[-1].timestamp * 4096 + part[-1].offset
            told = SIGNER.sign(
                CUSTOMER_EVENTS,
                Reserved(number, WORKFLOWS, part[-1].offset).on(control_record({"w06": "other"})),
            )
            log.topics[CUSTOMER_EVENTS][1].append(Record(CUSTOMER_EVENTS, 1, 0, 0, *told))

    log.fault = other_reserves_and_crashes
    log.clock = Later(START + 1)
    report = await publish(log, FIRST, SIGNER)
    assert obeyed(log) == [dict(report.live)] * 3
    assert (await read(log)).live == report.live


class Later(VirtualClock):
    """A millisecond later whenever it is asked."""

    def now(self) -> int:
        self.advance(super().now() + 1)
        return super().now()


async def test_what_is_live_is_what_has_the_highest_number(log: MemoryLog) -> None:
    await publish(log, FIRST, SIGNER)
    older, _ = log.topics[WORKFLOWS][0][-1], await publish(log, SECOND, SIGNER)
    await log.append(WORKFLOWS, 0, [OutRecord(*older[4:])])
    assert (await read(log)).live == {"w06": V2, "w11": W11}


async def test_the_library_reads_on_when_an_unknown_version_is_named(log: MemoryLog) -> None:
    received = Received()
    loader = DefinitionLoader(log, received)
    await publish(log, FIRST, SIGNER)
    await loader.refresh()
    assert dict(received.versions) == {V1: FIRST["w06"], W11: FIRST["w11"]}
    await publish(log, SECOND, SIGNER)
    await loader.ensure(log.records(CUSTOMER_EVENTS)[:1])
    assert len(received.versions) == 2  # what that one names was known
    await loader.ensure(log.records(CUSTOMER_EVENTS))
    assert received.versions[2:] == [(V2, SECOND["w06"])]


async def test_nothing_is_read_for_who_is_not_believed(log: MemoryLog) -> None:
    reads = 0

    class Counted:
        def __getattr__(self, name: str) -> object:
            nonlocal reads
            reads += name == "offsets"
            return getattr(log, name)

    received = Received()
    loader = DefinitionLoader(cast("Log", Counted()), received)
    await publish(log, FIRST, SIGNER)
    forged = [
        Record(CUSTOMER_EVENTS, 0, offset, START, *control_record({"w06": f"v{offset}"}))
        for offset in range(50)
    ]

    def is_signed(record: Record) -> bool:
        return is_believed(SIGNER, record, insists_from=0)

    for record in forged:
        await loader.ensure([record], is_signed)
    assert reads == 0
    await loader.ensure([*forged, *log.records(CUSTOMER_EVENTS)], is_signed)
    assert reads == 1
    assert {version for version, _ in received.versions} == {V1, W11}
    await loader.ensure([forged[0]], lambda record: is_believed(SIGNER, record, insists_from=1))
    assert reads == 2  # it lies where release 0.1 wrote, which signed nothing


async def test_forged_and_unreadable_definitions_are_left_out(log: MemoryLog) -> None:
    received = Received()
    unreadable = b"unreadable"
    forged = OutRecord(b"w06@000000000000", b'{"hours":0}')
    assert (await read(log)).definitions == {}
    broken = OutRecord(f"w09@{version_of(unreadable)}".encode(), unreadable)
    await log.append(WORKFLOWS, 0, [forged, broken])
    await DefinitionLoader(log, received).refresh()
    assert received.versions == []


@pytest.mark.parametrize(
    "value",
    [None, b"", b"not json", b"[]", b'{"live":[1]}', b'{"live":{}}', b"\xff", b"[" * 50_000],
    ids=["none", "empty", "no-json", "list", "live-list", "live-empty", "no-utf8", "deep"],
)
async def test_malformed_control_records_name_nothing(log: MemoryLog, value: bytes | None) -> None:
    await log.append(CUSTOMER_EVENTS, 0, [control_record({})._replace(value=value)])
    await DefinitionLoader(log, Received()).ensure(log.records(CUSTOMER_EVENTS))


GOOD = """
id: w11-welcome
title: {it: Benvenuto}
trigger: list.joined
entry: {once_per: customer}
steps:
  - id: hello
    wait: {for: 0s, since: list.joined}
    send: welcome
    class: marketing
    kind: informative
    late: {then: fire}
"""


def test_files_are_read_by_their_id(tmp_path: Path) -> None:
    (tmp_path / "w11.yaml").write_text(GOOD)
    definitions = read_files(tmp_path)
    assert list(definitions) == ["w11-welcome"]
    assert json.loads(definitions["w11-welcome"])["trigger"] == {"on": "list.joined"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GOOD.replace("0s", "soon"), r"w11\.yaml.*wait.*soon"),
        (GOOD.replace("trigger", "triger"), r"w11\.yaml"),
        ("a: [", r"w11\.yaml"),
        ("", r"w11\.yaml"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "w11.yaml").write_text(text)
    with pytest.raises(DefinitionError, match=complaint):
        read_files(tmp_path)


def test_two_files_with_one_id(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD)
    with pytest.raises(DefinitionError, match="w11-welcome"):
        read_files(tmp_path)


def test_a_file_that_no_log_takes_is_named(tmp_path: Path) -> None:
    codes = ", ".join(f"CÔDÉ{number:012}" for number in range(55_000))  # more bytes than characters
    text = f"""
definition: coupons
campaigns:
  - {{id: gift, kind: gift, description: {{it: regalo}}, pool: [{codes}]}}
"""
    (tmp_path / "coupons.yaml").write_text(text)
    with pytest.raises(DefinitionError, match=r"coupons: too large: 1,1\d\d,\d+ bytes"):
        read_files(tmp_path)


def test_more_definitions_than_one_record_can_name() -> None:
    check_sizes({f"w{number}": b"" for number in range(1_000)})
    with pytest.raises(DefinitionError, match="60,000 definitions are more than"):
        check_sizes({f"w{number}": b"" for number in range(60_000)})


def test_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no workflow files"):
        read_files(tmp_path)
