"""The gate by itself: what the two transports rely on."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from schemas.records import Record
from streams.runtime.transports.batch import Fenced, TopicPartition
from streams.runtime.transports.partition_manager import BACKOFF, PartitionManager

TP = TopicPartition("topic", 0)
TIMEOUT = 5.0


class Source:
    session_timeout = 10.0

    def __init__(self) -> None:
        self.age = 0.0
        self.offset = 0

    def heartbeat_age(self) -> float:
        return self.age

    async def first_offset(self, tp: TopicPartition) -> int:
        return self.offset


class Owner:
    """Says where to start, after as many failures as it is told, and keeps a diary."""

    def __init__(self, start: int | None = 0, failures: int = 0) -> None:
        self.diary: list[str] = []
        self.start = start
        self.failures = failures

    async def opened(self, tp: TopicPartition) -> int | None:
        self.diary.append("opened")
        if self.failures:
            self.failures -= 1
            raise RuntimeError("can't recover")
        return self.start

    async def closed(self, tp: TopicPartition) -> None:
        self.diary.append("closed")


def records(start: int, count: int = 10) -> list[Record]:
    return [Record("topic", 0, start + n, 0, b"k", b"v") for n in range(count)]


class Pauses:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def opened(owner: Owner, source: Source | None = None) -> tuple[PartitionManager, Pauses]:
    pauses = Pauses()
    gate = PartitionManager(pause=pauses)
    gate.attach(source or Source())
    gate.own("topic", owner)
    gate.assigned([TP])
    async with asyncio.timeout(TIMEOUT):
        await gate.until(lambda: TP in gate.open())
    return gate, pauses


async def test_an_opening_that_fails_is_tried_again_ever_more_slowly() -> None:
    owner = Owner(failures=12)
    gate, pauses = await opened(owner)
    assert pauses.seconds[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses.seconds[-1] == BACKOFF.longest
    assert gate.counts.failed_openings == 12
    assert "closed" not in owner.diary  # what never opened is not closed


async def test_without_a_start_the_source_is_asked_once_then_the_watermark_counts() -> None:
    source = Source()
    source.offset = 7
    gate, _ = await opened(Owner(start=None), source)
    assert gate.wanted()[TP].offset == 7
    batch = gate.deliver(TP, gate.wanted()[TP], records(7))
    assert batch is not None
    with pytest.raises(RuntimeError):
        async with gate.enter(batch) as turn:
            assert turn is not None
            turn.done(12)
            raise RuntimeError("after a part of it")
    async with asyncio.timeout(TIMEOUT):
        await gate.until(lambda: TP in gate.open())
    assert gate.wanted()[TP].offset == 12


async def test_a_failed_batch_has_the_partition_closed_and_opened_again() -> None:
    owner = Owner(start=3)
    gate, pauses = await opened(owner)
    batch = gate.deliver(TP, gate.wanted()[TP], records(3))
    assert batch is not None
    with pytest.raises(ZeroDivisionError):
        async with gate.enter(batch):
            raise ZeroDivisionError
    async with asyncio.timeout(TIMEOUT):
        await gate.until(lambda: TP in gate.open())
    assert owner.diary == ["opened", "closed", "opened"]
    assert pauses.seconds == [0.1]
    async with gate.enter(batch) as turn:
        assert turn is None  # of the epoch before
    assert gate.counts.stale_batches == 1


async def test_what_is_opened_again_and_again_says_why() -> None:
    gate, _ = await opened(Owner())
    for number in range(3):
        async with asyncio.timeout(TIMEOUT):
            await gate.until(lambda: TP in gate.wanted())
        want = gate.wanted()[TP]
        batch = gate.deliver(TP, want, records(want.offset))
        assert batch is not None
        with pytest.raises(ZeroDivisionError):
            async with gate.enter(batch):
                raise ZeroDivisionError(f"number {number}")
    assert gate.standing()[TP] == (False, 3, 3, "ZeroDivisionError: number 2")
    async with asyncio.timeout(TIMEOUT):
        await gate.until(lambda: TP in gate.wanted())
    assert gate.standing()[TP] == (True, 3, 3, "ZeroDivisionError: number 2")
    want = gate.wanted()[TP]
    batch = gate.deliver(TP, want, records(want.offset))
    assert batch is not None
    async with gate.enter(batch):
        pass
    assert gate.standing()[TP] == (True, 0, 3, "ZeroDivisionError: number 2")
    await gate.stop()
    assert gate.reopened() == {TP: 3}


async def test_what_is_open_after_openings_that_failed_is_in_no_trouble() -> None:
    gate, _ = await opened(Owner(failures=4))
    assert gate.standing()[TP][:3] == (True, 0, 0)


async def test_the_backoff_begins_anew_after_a_success() -> None:
    gate, pauses = await opened(Owner())
    for fails in (True, True, False, True):
        async with asyncio.timeout(TIMEOUT):
            await gate.until(lambda: TP in gate.wanted())
        want = gate.wanted()[TP]
        batch = gate.deliver(TP, want, records(want.offset))
        assert batch is not None
        try:
            async with gate.enter(batch):
                if fails:
                    raise RuntimeError
        except RuntimeError:
            continue
    async with asyncio.timeout(TIMEOUT):
        await gate.until(lambda: len(pauses.seconds) == 3)
    assert pauses.seconds == [0.1, 0.2, 0.1]


async def test_revocation_waits_for_the_batch_in_flight_and_reports_its_watermark() -> None:
    owner = Owner()
    gate, _ = await opened(owner)
    batch = gate.deliver(TP, gate.wanted()[TP], records(0))
    assert batch is not None
    async with gate.enter(batch) as turn:
        assert turn is not None
        revoking = asyncio.create_task(gate.revoked([TP]))
        await asyncio.sleep(0)
        turn.check()  # it may still finish
        assert gate.wanted() == {}
        assert owner.diary == ["opened"]
        turn.done(10)
    assert await revoking == {TP: 10}
    assert owner.diary == ["opened", "closed"]
    assert gate.owned() == set()


async def test_revocation_cancels_an_opening() -> None:
    never = asyncio.Event()

    class Slow(Owner):
        async def opened(self, tp: TopicPartition) -> int | None:
            self.diary.append("opening")
            never_returns = await never.wait()
            return int(never_returns)

    owner = Slow()
    gate = PartitionManager()
    gate.attach(Source())
    gate.own("topic", owner)
    gate.assigned([TP])
    await asyncio.sleep(0)
    async with asyncio.timeout(TIMEOUT):
        assert await gate.revoked([TP]) == {}
    assert owner.diary == ["opening"]


async def test_a_turn_is_fenced_without_heartbeats_and_after_its_end() -> None:
    source = Source()
    gate, _ = await opened(Owner(), source)
    batch = gate.deliver(TP, gate.wanted()[TP], records(0))
    assert batch is not None
    async with gate.enter(batch) as turn:
        assert turn is not None
        turn.check()
        source.age = 10.0
        with pytest.raises(Fenced, match=r"no heartbeat for 10\.0 s"):
            turn.check()
        source.age = 0.0
    with pytest.raises(Fenced):
        turn.check()
    with pytest.raises(Fenced):
        turn.done(10)


async def test_a_batch_that_never_arrives_is_read_again() -> None:
    """Faust empties the agents' queues when flow resumes after a rebalance."""
    gate, _ = await opened(Owner())
    lost = gate.deliver(TP, gate.wanted()[TP], records(0))
    assert gate.wanted() == {}  # one ahead is enough
    gate.rewind()
    assert gate.wanted()[TP].offset == 0
    assert lost is not None
    async with gate.enter(lost) as turn:
        assert turn is None  # should it turn up after all


async def test_a_fetch_that_comes_too_late_is_not_delivered() -> None:
    gate, _ = await opened(Owner())
    want = gate.wanted()[TP]
    assert gate.deliver(TP, want, records(0)) is not None
    assert gate.deliver(TP, want, records(0)) is None
    assert gate.deliver(TopicPartition("topic", 1), want, records(0)) is None


async def test_what_is_committed_is_not_committed_again() -> None:
    gate, _ = await opened(Owner())
    batch = gate.deliver(TP, gate.wanted()[TP], records(0))
    assert batch is not None
    async with gate.enter(batch) as turn:
        assert turn is not None
        turn.done(10)
        turn.done(4)  # never backwards
    assert gate.committable() == {TP: 10}
    gate.committed({TP: 10})
    assert gate.committable() == {}
    assert await gate.stop() == {}


async def test_a_topic_without_owner_is_refused() -> None:
    gate = PartitionManager()
    with pytest.raises(LookupError, match="owner of topic"):
        gate.assigned([TP])


async def test_where_the_owner_begins_is_committed_without_a_further_record() -> None:
    """A worker that was killed before it could commit; on a quiet topic nothing comes after it."""
    gate, _ = await opened(Owner(start=7))
    assert gate.committable() == {TP: 7}
    gate.committed({TP: 7})
    assert gate.committable() == {}


async def test_that_a_partition_cannot_be_opened_is_told_at_once_and_once_a_minute() -> None:
    with structlog.testing.capture_logs() as logs:
        _, pauses = await opened(Owner(failures=20))
    told = [each for each in logs if "could not be opened" in each["event"]]
    assert len(told) == 1 + int(sum(pauses.seconds[:-1]) // 60)
    assert sum(pauses.seconds) > 300
