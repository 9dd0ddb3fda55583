"""Publishing in batches: order kept, memory bounded, a failure says how far it got."""

import io
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.records import OutRecord, Record
from schemas.wire import MAX_EVENT_BYTES, parse_published, to_record
from streams.clock import VirtualClock
from streams.log import LogUnavailable
from streams.runtime.logs.embedded import EmbeddedLog
from streams.tools.event_types import near_own
from streams.tools.publisher import BATCH, PublishInterrupted, publish, read_lines
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS, topics
from tests.keys import SIGNER

START = 1_772_357_400_000


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EmbeddedLog]:
    embedded = EmbeddedLog(tmp_path / "log", VirtualClock(START))
    await embedded.start()
    await embedded.create_topics(topics(4))
    yield embedded
    await embedded.stop()


def event(number: int) -> bytes:
    return json.dumps({
        "type": "track", "event": "Product Added", "messageId": f"m{number}",
        "userId": f"c-{number % 7}", "properties": {"product_id": "p", "quantity": 1},
    }).encode() + b"\n"  # fmt: skip


async def records(log: EmbeddedLog, topic: str) -> list[Record]:
    found: list[Record] = []
    for partition, span in (await log.offsets(topic)).items():
        async for chunk in log.read(topic, partition, span.start, span.end):
            found += chunk
    return found


class FailingLog:
    """Fails at the nth append to customer-events, like a broker that goes away."""

    def __init__(self, log: EmbeddedLog, *, appends: int) -> None:
        self._log = log
        self._left = appends

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, topic: str, partition: int, batch: Sequence[OutRecord]) -> int:
        self._left -= 1
        if self._left < 0:
            raise LogUnavailable("the broker does not answer")
        return await self._log.append(topic, partition, batch)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": "mail.unsubscribed", "subject": "c", "data": {"command_id": "m1"}}, "unsigned"),
        ({"type": "visitor.linked", "subject": "c", "data": {"customer_id": "d"}}, "unknown_type"),
        ({"type": "page.viewed", "subject": "c", "source": "/ritorno/mailer"}, "unsigned"),
        ({"type": "page.viewed", "subject": "ritorno/coupons/gift"}, "reserved"),
        ({"type": "mail.unsubscribed", "subject": "c"}, ""),
    ],
)
async def test_what_no_worker_would_believe_is_refused_at_the_door(
    log: EmbeddedLog, fields: dict[str, Any], reason: str
) -> None:
    line = json.dumps({"specversion": "1.0", "id": "e", **fields}).encode()
    report = await publish(
        log, read_lines(io.BytesIO(line)), clock=VirtualClock(START), signer=lambda: SIGNER
    )
    assert report.by_reason == ({reason: 1} if reason else {})


async def test_what_was_recorded_keeps_its_signature(log: EmbeddedLog) -> None:
    fields = {"type": "mail.unsubscribed", "subject": "c", "data": {"command_id": "m1"}}
    event = parse_published(json.dumps({"specversion": "1.0", "id": "e", **fields}))
    ours = SIGNER.sign(CUSTOMER_EVENTS, to_record(event))
    recorded = {
        "key": (ours.key or b"").decode(),
        "headers": {name: value.decode() for name, value in ours.headers},
        "value": json.loads(ours.value or b""),
    }
    lines = read_lines(io.BytesIO(json.dumps(recorded).encode()))
    report = await publish(log, lines, clock=VirtualClock(START), signer=lambda: SIGNER)
    assert report.refused == 0
    (record,) = await records(log, CUSTOMER_EVENTS)
    SIGNER.check(CUSTOMER_EVENTS, record)


async def test_order_is_kept_per_customer_over_batches(log: EmbeddedLog) -> None:
    count = 2 * BATCH + 17
    stream = io.BytesIO(b"".join(event(n) for n in range(count)))
    seen: list[int] = []
    report = await publish(
        log, read_lines(stream), clock=VirtualClock(START), signer=lambda: SIGNER,
        on_progress=lambda so_far: seen.append(so_far.through),
    )  # fmt: skip
    assert (report.events, report.refused, report.through) == (count, 0, count)
    assert seen == [BATCH, 2 * BATCH, count]
    by_customer: dict[bytes, list[int]] = {}
    for record in await records(log, CUSTOMER_EVENTS):
        assert record.key is not None
        number = int((record.header("ce_id") or b"")[1:])
        by_customer.setdefault(record.key, []).append(number)
    assert sum(map(len, by_customer.values())) == count
    assert all(numbers == sorted(numbers) for numbers in by_customer.values())


async def test_after_a_failure_it_goes_on_from_the_line_it_names(log: EmbeddedLog) -> None:
    content = b"".join(event(n) for n in range(2 * BATCH))
    failing = FailingLog(log, appends=4)  # the first batch has one append for each partition
    with pytest.raises(PublishInterrupted) as caught:
        await publish(
            failing,
            read_lines(io.BytesIO(content)),
            clock=VirtualClock(START),
            signer=lambda: SIGNER,
        )
    assert caught.value.report.through == BATCH
    assert f"--from-line {BATCH + 1}" in str(caught.value)
    rest = read_lines(io.BytesIO(content), from_line=BATCH + 1)
    await publish(log, rest, clock=VirtualClock(START), signer=lambda: SIGNER)
    ids = [record.header("ce_id") for record in await records(log, CUSTOMER_EVENTS)]
    assert len(ids) == len(set(ids)) == 2 * BATCH


async def test_a_line_of_any_length_is_refused_and_the_next_one_read(log: EmbeddedLog) -> None:
    huge = b'{"x": "' + b"y" * (3 * MAX_EVENT_BYTES) + b'"}\n'
    lines = list(read_lines(io.BytesIO(huge + event(1))))
    assert [line.number for line in lines] == [1, 2]
    assert len(lines[0].content) <= MAX_EVENT_BYTES + 1
    report = await publish(log, lines, clock=VirtualClock(START), signer=lambda: SIGNER)
    assert (report.events, report.by_reason) == (1, {"too_large": 1})
    [letter] = await records(log, DEAD_LETTERS)
    assert letter.value is not None
    assert len(letter.value) == 10_000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "invalid_json"),
        (b"[1]", "invalid_event"),
        (b"\xff\xfe", "invalid_json"),
        (b"[" * 500_000, "invalid_json"),
        (b'{"type":"track","event":"","messageId":"m","userId":"c"}', "unknown_type"),
        (b'{"type":"identify","userId":"c"}', "missing_id"),
        (b'{"type":"identify","messageId":"m"}', "missing_id"),
    ],
)
async def test_bad_lines_become_letters_untouched(
    log: EmbeddedLog, line: bytes, reason: str
) -> None:
    report = await publish(
        log, read_lines(io.BytesIO(line)), clock=VirtualClock(START), signer=lambda: SIGNER
    )
    assert report.by_reason == {reason: 1}
    [letter] = await records(log, DEAD_LETTERS)
    assert letter.value == line
    assert letter.header("dl_reason") == reason.encode()
    assert letter.header("dl_time") == b"2026-03-01T09:30:00Z"
    assert await records(log, CUSTOMER_EVENTS) == []


async def test_who_misspells_an_event_type_is_told_which_one_is_near(log: EmbeddedLog) -> None:
    lines = [
        b'{"specversion":"1.0","id":"1","type":"order.complete","subject":"c"}',
        b'{"type":"track","event":"Product View","messageId":"2","userId":"c"}',
        b'{"specversion":"1.0","id":"3","type":"visitor.link","subject":"c"}',
        b'{"specversion":"1.0","id":"4","type":"zzz","subject":"c"}',
    ]
    report = await publish(
        log, read_lines(io.BytesIO(b"\n".join(lines))), clock=VirtualClock(START),
        signer=lambda: SIGNER,
    )  # fmt: skip
    assert [each.detail for each in report.examples] == [
        "type: unknown 'order.complete'; did you mean order.completed?",
        "type: unknown 'visitor.link'",  # what only we may say is nobody's mistake
        "type: unknown 'zzz'",
    ]
    assert report.own == {"custom.product_view": 1}
    assert near_own("custom.product_view") == "; did you mean Product Viewed?"
    assert near_own("custom.lottery_won") == ""
    letters = await records(log, DEAD_LETTERS)
    assert letters[0].header("dl_detail") == b"type: unknown 'order.complete'"
