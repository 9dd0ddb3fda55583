"""What many requests bring is appended together, and nobody is told so before it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.dead_letters import DeadLetter, read_letter
from schemas.events import Event
from schemas.events.shopping import OrderCompleted, OrderedProduct, PageViewed
from schemas.records import OutRecord
from streams.clock import SystemClock, VirtualClock
from streams.http.ingest.intake import Intake, IntakeFull
from streams.log import LogError, LogUnavailable, RecordTooLarge, scan
from streams.runtime.logs.embedded import EmbeddedLog
from streams.topology import CUSTOMER_EVENTS, DEAD_LETTERS, topics
from tests.mail.doubles import MemoryLog

START = 1_772_445_600_000


def viewed(id_: str, who: str = "v", title: str | None = None) -> Event:
    data = PageViewed(title=title)
    return Event(id_, "page.viewed", "/site", START, who, who, False, data)


def _id(record: OutRecord) -> str:
    return dict(record.headers).get("ce_id", b"a letter").decode()


class SlowLog(MemoryLog):
    """A log whose appends end when the test says so, or fail."""

    def __init__(self, partitions: int = 1) -> None:
        super().__init__(VirtualClock(START), partitions)
        self.go_on = asyncio.Event()
        self.asked = asyncio.Event()
        self.appends: list[list[str]] = []
        self.fails: LogError | None = None
        self.limit = 1_000_000

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        self.appends.append([_id(each) for each in records])
        self.asked.set()
        await self.go_on.wait()
        if self.fails is not None:
            raise self.fails
        if any(len(each.value or b"") > self.limit for each in records):
            raise RecordTooLarge("too large for this topic")
        return await super().append(topic, partition, records)


async def test_what_comes_meanwhile_is_appended_together_and_in_its_order() -> None:
    log = SlowLog()
    intake = Intake(log)
    first = asyncio.ensure_future(intake.take([viewed("1")]))
    await log.asked.wait()
    others = [asyncio.ensure_future(intake.take([viewed(str(n))])) for n in range(2, 50)]
    await asyncio.sleep(0)
    assert not first.done()
    log.go_on.set()
    await asyncio.gather(first, *others)
    assert log.appends == [["1"], [str(n) for n in range(2, 50)]]
    assert (intake.waiting_records, intake.waiting_bytes) == (0, 0)


async def test_nobody_hears_of_success_when_the_log_fails_and_the_next_one_does() -> None:
    log = SlowLog()
    log.go_on.set()
    log.fails = LogUnavailable("the broker is away")
    intake = Intake(log)
    outcomes = await asyncio.gather(
        intake.take([viewed("1")]), intake.take([viewed("2")]), return_exceptions=True
    )
    assert [type(each) for each in outcomes] == [LogUnavailable, LogUnavailable]
    log.fails = None
    await intake.take([viewed("3")])
    assert [each.header("ce_id") for each in log.events()] == [b"3"]
    assert (intake.waiting_records, intake.waiting_bytes) == (0, 0)


async def test_one_that_is_too_large_harms_nobody_else() -> None:
    log = SlowLog()
    log.limit = 500
    intake = Intake(log)
    first = asyncio.ensure_future(intake.take([viewed("1")]))
    await log.asked.wait()
    rest = [intake.take([viewed("2")]), intake.take([viewed("3", title="x" * 900)]),
            intake.take([viewed("4")])]  # fmt: skip
    waiting = asyncio.gather(first, *rest, return_exceptions=True)
    await asyncio.sleep(0)
    log.go_on.set()
    outcomes = await waiting
    assert [type(each) for each in outcomes] == [type(None), type(None), RecordTooLarge, type(None)]
    assert (intake.waiting_records, intake.waiting_bytes) == (0, 0)


async def test_one_that_nobody_could_read_again_costs_none_of_its_page() -> None:
    log = SlowLog()
    log.go_on.set()
    intake = Intake(log)
    lines = [OrderedProduct(product_id="p", name="è" * 490)] * 1_020
    order = OrderCompleted(order_id="2", total=Decimal("52"), products=lines)
    large = Event("2", "order.completed", "/shop", START, "anna", None, False, order, named=True)
    page = [viewed("1"), large, viewed("3")]
    with pytest.raises(RecordTooLarge):
        await intake.take(page)
    assert log.events() == []
    await intake.take(page, refused_at=START)
    await intake.take([large], refused_at=START)  # as a poll brings it again and again
    assert len(log.kept[DEAD_LETTERS, 0]) == 1
    assert [each.header("ce_id") for each in log.events()] == [b"1", b"3"]
    letter = read_letter(log.kept[DEAD_LETTERS, 0][0])
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.time, letter.original.key) == ("too_large", START, b"anna")
    assert letter.detail.startswith("order.completed 2: 10")
    assert letter.detail.endswith(" bytes, at most 1000000 are accepted")
    assert len(letter.original.value or b"") == 10_000


async def test_more_than_there_is_room_for_is_sent_away_at_once() -> None:
    log = SlowLog()
    intake = Intake(log, most_records=3)
    taken = [asyncio.ensure_future(intake.take([viewed(str(n))])) for n in range(3)]
    await log.asked.wait()
    with pytest.raises(IntakeFull, match="waiting: 3 records"):
        await intake.take([viewed("4")])
    log.go_on.set()
    await asyncio.gather(*taken)
    await intake.take([viewed("5")])
    small = Intake(log, most_bytes=10)
    await small.take([viewed("6", title="one that is alone finds room, however large")])


async def test_who_goes_away_stops_nothing() -> None:
    log = SlowLog()
    intake = Intake(log)
    first = asyncio.ensure_future(intake.take([viewed("1")]))
    await log.asked.wait()
    gone = asyncio.ensure_future(intake.take([viewed("2")]))
    await asyncio.sleep(0)
    gone.cancel()
    log.go_on.set()
    await first
    await intake.stop()
    assert [each.header("ce_id") for each in log.events()] == [b"1", b"2"]


async def test_events_and_letters_are_in_the_embedded_log(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path, SystemClock())
    await log.start()
    await log.create_topics(topics(4))
    intake = Intake(log)
    letter = OutRecord(b"v", b"{", (("dl_reason", b"invalid_json"),))
    await asyncio.gather(
        *(intake.take([viewed(f"{who}{n}", who) for n in range(3)], letters=[letter] * (who == "a"))
          for who in "abcdefgh")
    )  # fmt: skip
    found: dict[bytes | None, list[bytes | None]] = {}
    async for record in scan(log, CUSTOMER_EVENTS):
        found.setdefault(record.key, []).append(record.header("ce_id"))
    assert found == {who.encode(): [f"{who}{n}".encode() for n in range(3)] for who in "abcdefgh"}
    assert [record.value async for record in scan(log, DEAD_LETTERS)] == [b"{"]
    await log.stop()
