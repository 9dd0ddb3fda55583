"""A dead letter keeps the record as it was, goes back to where it came from, and only there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.controls import control_record
from schemas.dead_letters import (
    DeadLetter,
    Resolution,
    is_signed,
    read_letter,
    refuse,
    resolve,
    signed_letter,
)
from schemas.events import RETRY
from schemas.origin import HEADER as ORIGIN
from schemas.records import OutRecord, Record
from schemas.retry import Retry, encode_retry
from schemas.signing import NotSigned, RecordSigner
from streams.clock import VirtualClock
from streams.operate import dead_letters
from streams.operate.dead_letters import open_letters, resend
from streams.partitioner import partition_of
from streams.runtime.logs.embedded import EmbeddedLog
from streams.topology import (
    CUSTOMER_EVENTS,
    CUSTOMERS_CHANGELOG,
    DEAD_LETTERS,
    LOG_RECORD_BYTES,
    topics,
)
from tests.keys import SIGNER

START = 1_772_357_400_000
HOME = partition_of(b"v", 4)
NAMES = st.text(max_size=12) | st.sampled_from(["dl_topic", "dl_resolved", "ce_id"])
HEADERS = st.lists(st.tuples(NAMES, st.binary(max_size=20)), max_size=8)


def as_read(out: OutRecord, offset: int = 0) -> Record:
    return Record(DEAD_LETTERS, 0, offset, START, out.key, out.value, tuple(out.headers))


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=50), HEADERS, st.text())
def test_the_original_survives_whatever_it_is(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]], detail: str
) -> None:
    record = Record(CUSTOMER_EVENTS, 3, 17, START, key, value, tuple(headers))
    refusal = refuse(record, reason="r", detail=detail, time=START)
    letter = read_letter(as_read(refusal, 5))
    assert isinstance(letter, DeadLetter)
    assert not is_signed(letter, SIGNER)
    signed = read_letter(as_read(signed_letter(refusal, SIGNER), 5))
    assert isinstance(signed, DeadLetter)
    assert signed._replace(signature=None) == letter
    assert is_signed(signed, SIGNER)
    assert letter.original == OutRecord(key, value, tuple(headers))
    assert letter.origin == (CUSTOMER_EVENTS, 3, 17)
    assert (letter.id, letter.reason, letter.time) == ("0:5", "r", START)
    # Refused again after it was sent again: the second letter holds what the first one held.
    again = read_letter(as_read(refuse(record, reason="s", detail="", time=START), 6))
    assert isinstance(again, DeadLetter)
    assert again.original == letter.original


def test_a_resolution_names_its_letter() -> None:
    record = Record(CUSTOMER_EVENTS, 3, 17, START, b"k", b"v")
    letter = read_letter(as_read(refuse(record, reason="r", detail="", time=START), 5))
    assert isinstance(letter, DeadLetter)
    assert read_letter(as_read(resolve(letter), 9)) == Resolution(0, 5)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EmbeddedLog]:
    embedded = EmbeddedLog(tmp_path / "log", VirtualClock(START))
    await embedded.start()
    await embedded.create_topics(topics(4))
    yield embedded
    await embedded.stop()


async def refused(log: EmbeddedLog, *records: Record) -> None:
    letters = [refuse(record, reason="invalid_json", detail="", time=START) for record in records]
    await log.append(DEAD_LETTERS, 0, [signed_letter(each, SIGNER) for each in letters])


async def read_all(log: EmbeddedLog, topic: str) -> list[Record]:
    found: list[Record] = []
    for partition, span in (await log.offsets(topic)).items():
        async for chunk in log.read(topic, partition, span.start, span.end):
            found += chunk
    return found


async def test_letters_go_back_untouched_and_once(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        dead_letters, "RESENT_TOGETHER", 2
    )  # so that five letters are three batches
    headers = (("ce_type", b"x"), ("dl_topic", b"forged"))
    originals = [
        Record(CUSTOMER_EVENTS, 2, n, START, b"c-1", f"{n}".encode(), headers) for n in range(5)
    ]
    await refused(log, *originals)
    assert (await resend(log, lambda _: True, lambda: SIGNER)).resent == 5
    assert (await resend(log, lambda _: True, lambda: SIGNER)).resent == 0
    assert [letter async for letter in open_letters(log)] == []
    sent = await read_all(log, CUSTOMER_EVENTS)
    assert [(r.partition, r.key, r.value, tuple(r.headers)) for r in sent] == [
        (2, b"c-1", f"{n}".encode(), headers) for n in range(5)
    ]


async def test_what_ritorno_has_signed_is_signed_when_it_comes_back(log: EmbeddedLog) -> None:
    headers = [("ce_type", b"visitor.linked"), ("ce_id", b"x")]
    plain = OutRecord(b"v", b'{"customer_id":"anna"}', headers)
    told = plain._replace(headers=[*headers, (ORIGIN, b"1/0/2/0")])
    signed = [SIGNER.sign(CUSTOMER_EVENTS, each) for each in (plain, told)]
    forged = signed[1]._replace(value=b'{"customer_id":"mallory"}')
    for record in (*signed, forged):
        await refused(log, Record(CUSTOMER_EVENTS, HOME, 0, START, *record))
    assert (await resend(log, lambda _: True, lambda: SIGNER)).resent == 3
    *again, forged_again = await read_all(log, CUSTOMER_EVENTS)
    for each in again:
        SIGNER.check(CUSTOMER_EVENTS, each)
        assert each.header(ORIGIN) is None
    with pytest.raises(NotSigned):
        SIGNER.check(CUSTOMER_EVENTS, forged_again)


def with_header(letter: OutRecord, name: str, value: bytes) -> OutRecord:
    return letter._replace(
        headers=[(each, value if each == name else content) for each, content in letter.headers]
    )


async def test_what_we_have_not_refused_is_not_signed_again(log: EmbeddedLog) -> None:
    """Something that was obeyed a year ago, copied among the dead letters, would count again."""
    headers = [("ce_type", b"visitor.linked"), ("ce_id", b"x"), (ORIGIN, b"1/0/2/0")]
    told = SIGNER.sign(CUSTOMER_EVENTS, OutRecord(b"v", b'{"customer_id":"anna"}', headers))
    retry = SIGNER.sign(CUSTOMER_EVENTS, control_record(RETRY, encode_retry(Retry("anna"))))
    for original in (told, retry):
        letter = refuse(
            Record(CUSTOMER_EVENTS, HOME, 7, START, *original), reason="r", detail="", time=START
        )
        ours = signed_letter(letter, SIGNER)
        copies = [letter, signed_letter(letter, RecordSigner([("k1", "somebody's own secret")]))]
        other = b"%d" % ((HOME + 1) % 4)
        copies += [with_header(ours, "dl_offset", b"8"), with_header(ours, "dl_partition", other)]
        copies += [with_header(ours, "dl_time", b"2026-03-01T09:30:01Z")]
        await log.append(DEAD_LETTERS, 0, copies)
    report = await resend(log, lambda _: True, lambda: SIGNER)
    assert report.resent == 0
    assert {why for _, why in report.kept} == {
        "it wasn't Ritorno that has refused it: a copy, and not told once more"
    }
    assert len(report.kept) == 10
    await log.append(DEAD_LETTERS, 0, [ours])
    assert (await resend(log, lambda _: True, lambda: SIGNER)).resent == 1


async def test_a_forged_letter_can_not_reach_a_changelog(log: EmbeddedLog) -> None:
    await refused(log, Record(CUSTOMERS_CHANGELOG, 0, 1, START, b"c-1", b"state"))
    report = await resend(log, lambda _: True, lambda: SIGNER)
    assert report.resent == 0
    assert "nothing reads the topic" in report.kept[0][1]
    assert await read_all(log, CUSTOMERS_CHANGELOG) == []


async def test_the_largest_record_can_be_refused(log: EmbeddedLog) -> None:
    """Otherwise its partition would stand still for ever."""
    largest = b"y" * LOG_RECORD_BYTES
    await log.append(CUSTOMER_EVENTS, 0, [OutRecord(None, largest)])
    await refused(log, *await read_all(log, CUSTOMER_EVENTS))
    [letter] = [letter async for letter in open_letters(log)]
    assert letter.original.value == largest


async def test_rubbish_among_the_letters_does_not_hide_the_others(log: EmbeddedLog) -> None:
    await log.append(DEAD_LETTERS, 0, [OutRecord(b"k", b"rubbish")])
    await log.append(DEAD_LETTERS, 0, [OutRecord(None, b"", (("dl_resolved", b"x"),))])
    await refused(log, Record(CUSTOMER_EVENTS, 0, 1, START, None, b"v"))
    assert [letter.id async for letter in open_letters(log)] == ["0:2"]
