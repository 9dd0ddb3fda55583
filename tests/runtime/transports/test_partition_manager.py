"""The partition manager by itself: what the two transports rely on."""

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
        self.refused = ""

    def heartbeat_age(self) -> float:
        return self.age

    def refusal(self) -> str:
        return self.refused

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
    partition_manager = PartitionManager(pause=pauses)
    partition_manager.attach(source or Source())
    partition_manager.own("topic", owner)
    partition_manager.assigned([TP])
    async with asyncio.timeout(TIMEOUT):
        await partition_manager.until(lambda: TP in partition_manager.open())
    return partition_manager, pauses


async def test_an_opening_that_fails_is_tried_again_ever_more_slowly() -> None:
    owner = Owner(failures=12)
    partition_manager, pauses = await opened(owner)
    assert pauses.seconds[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses.seconds[-1] == BACKOFF.longest
    assert partition_manager.counts.failed_openings == 12
    assert "closed" not in owner.diary  # what never opened is not closed


async def test_without_a_start_the_source_is_asked_once_then_the_watermark_counts() -> None:
    source = Source()
    source.offset = 7
    partition_manager, _ = await opened(Owner(start=None), source)
    assert partition_manager.wanted()[TP].offset == 7
    batch = partition_manager.deliver(TP, partition_manager.wanted()[TP], records(7))
    assert batch is not None
    with pytest.raises(RuntimeError):
        async with partition_manager.enter(batch) as lease:
            assert lease is not None
            lease.done(12)
            raise RuntimeError("after a part of it")
    async with asyncio.timeout(TIMEOUT):
        await partition_manager.until(lambda: TP in partition_manager.open())
    assert partition_manager.wanted()[TP].offset == 12


async def test_a_failed_batch_has_the_partition_closed_and_opened_again() -> None:
    owner = Owner(start=3)
    partition_manager, pauses = await opened(owner)
    batch = partition_manager.deliver(TP, partition_manager.wanted()[TP], records(3))
    assert batch is not None
    with pytest.raises(ZeroDivisionError):
        async with partition_manager.enter(batch):
            raise ZeroDivisionError
    async with asyncio.timeout(TIMEOUT):
        await partition_manager.until(lambda: TP in partition_manager.open())
    assert owner.diary == ["opened", "closed", "opened"]
    assert pauses.seconds == [0.1]
    async with partition_manager.enter(batch) as lease:
        assert lease is None  # of the epoch before
    assert partition_manager.counts.stale_batches == 1


async def test_what_is_opened_again_and_again_says_why() -> None:
    partition_manager, _ = await opened(Owner())
    for number in range(3):
        async with asyncio.timeout(TIMEOUT):
            await partition_manager.until(lambda: TP in partition_manager.wanted())
        want = partition_manager.wanted()[TP]
        batch = partition_manager.deliver(TP, want, records(want.offset))
        assert batch is not None
        with pytest.raises(ZeroDivisionError):
            async with partition_manager.enter(batch):
                raise ZeroDivisionError(f"number {number}")
    assert partition_manager.health()[TP] == (False, 3, 3, "ZeroDivisionError: number 2")
    async with asyncio.timeout(TIMEOUT):
        await partition_manager.until(lambda: TP in partition_manager.wanted())
    assert partition_manager.health()[TP] == (True, 3, 3, "ZeroDivisionError: number 2")
    want = partition_manager.wanted()[TP]
    batch = partition_manager.deliver(TP, want, records(want.offset))
    assert batch is not None
    async with partition_manager.enter(batch):
        pass
    assert partition_manager.health()[TP] == (True, 0, 3, "ZeroDivisionError: number 2")
    await partition_manager.stop()
    assert partition_manager.reopened() == {TP: 3}


async def test_what_is_open_after_openings_that_failed_is_in_no_trouble() -> None:
    partition_manager, _ = await opened(Owner(failures=4))
    assert partition_manager.health()[TP][:3] == (True, 0, 0)


async def test_the_backoff_begins_anew_after_a_success() -> None:
    partition_manager, pauses = await opened(Owner())
    for fails in (True, True, False, True):
        async with asyncio.timeout(TIMEOUT):
            await partition_manager.until(lambda: TP in partition_manager.wanted())
        want = partition_manager.wanted()[TP]
        batch = partition_manager.deliver(TP, want, records(want.offset))
        assert batch is not None
        try:
            async with partition_manager.enter(batch):
                if fails:
                    raise RuntimeError
        except RuntimeError:
            continue
    async with asyncio.timeout(TIMEOUT):
        await partition_manager.until(lambda: len(pauses.seconds) == 3)
    assert pauses.seconds == [0.1, 0.2, 0.1]


async def test_revocation_waits_for_the_batch_in_flight_and_reports_its_watermark() -> None:
    owner = Owner()
    partition_manager, _ = await opened(owner)
    batch = partition_manager.deliver(TP, partition_manager.wanted()[TP], records(0))
    assert batch is not None
    async with partition_manager.enter(batch) as lease:
        assert lease is not None
        revoking = asyncio.create_task(partition_manager.revoked([TP]))
        await asyncio.sleep(0)
        lease.check()  # it may still finish
        assert partition_manager.wanted() == {}
        assert owner.diary == ["opened"]
        lease.done(10)
    assert await revoking == {TP: 10}
    assert owner.diary == ["opened", "closed"]
    assert partition_manager.owned() == set()


async def test_revocation_cancels_an_opening() -> None:
    never = asyncio.Event()

    class Slow(Owner):
        async def opened(self, tp: TopicPartition) -> int | None:
            self.diary.append("opening")
            never_returns = await never.wait()
            return int(never_returns)

    owner = Slow()
    partition_manager = PartitionManager()
    partition_manager.attach(Source())
    partition_manager.own("topic", owner)
    partition_manager.assigned([TP])
    await asyncio.sleep(0)
    async with asyncio.timeout(TIMEOUT):
        assert await partition_manager.revoked([TP]) == {}
    assert owner.diary == ["opening"]


async def test_a_turn_is_fenced_without_heartbeats_and_after_its_end() -> None:
    source = Source()
    partition_manager, _ = await opened(Owner(), source)
    batch = partition_manager.deliver(TP, partition_manager.wanted()[TP], records(0))
    assert batch is not None
    async with partition_manager.enter(batch) as lease:
        assert lease is not None
        lease.check()
        source.age = 10.0
        with pytest.raises(Fenced, match=r"no heartbeat for 10\.0 s"):
            lease.check()
        source.age = 0.0
    with pytest.raises(Fenced):
        lease.check()
    with pytest.raises(Fenced):
        lease.done(10)


async def test_a_batch_that_never_arrives_is_read_again() -> None:
    """Faust empties the agents' queues when flow resumes after a rebalance."""
    partition_manager, _ = await opened(Owner())
    lost = partition_manager.deliver(TP, partition_manager.wanted()[TP], records(0))
    assert partition_manager.wanted() == {}  # one ahead is enough
    partition_manager.rewind()
    assert partition_manager.wanted()[TP].offset == 0
    assert lost is not None
    async with partition_manager.enter(lost) as lease:
        assert lease is None  # should it turn up after all


async def test_a_fetch_that_comes_too_late_is_not_delivered() -> None:
    partition_manager, _ = await opened(Owner())
    want = partition_manager.wanted()[TP]
    assert partition_manager.deliver(TP, want, records(0)) is not None
    assert partition_manager.deliver(TP, want, records(0)) is None
    assert partition_manager.deliver(TopicPartition("topic", 1), want, records(0)) is None


async def test_what_is_committed_is_not_committed_again() -> None:
    partition_manager, _ = await opened(Owner())
    batch = partition_manager.deliver(TP, partition_manager.wanted()[TP], records(0))
    assert batch is not None
    async with partition_manager.enter(batch) as lease:
        assert lease is not None
        lease.done(10)
        lease.done(4)  # never backwards
    assert partition_manager.committable() == {TP: 10}
    partition_manager.committed({TP: 10})
    assert partition_manager.committable() == {}
    assert await partition_manager.stop() == {}


async def test_a_topic_without_owner_is_refused() -> None:
    partition_manager = PartitionManager()
    with pytest.raises(LookupError, match="owner of topic"):
        partition_manager.assigned([TP])


async def test_where_the_owner_begins_is_committed_without_a_further_record() -> None:
    """A worker that was killed before it could commit; on a quiet topic nothing comes after it."""
    partition_manager, _ = await opened(Owner(start=7))
    assert partition_manager.committable() == {TP: 7}
    partition_manager.committed({TP: 7})
    assert partition_manager.committable() == {}


async def test_that_a_partition_cannot_be_opened_is_told_at_once_and_once_a_minute() -> None:
    with structlog.testing.capture_logs() as logs:
        _, pauses = await opened(Owner(failures=20))
    told = [each for each in logs if "could not be opened" in each["event"]]
    assert len(told) == 1 + int(sum(pauses.seconds[:-1]) // 60)
    assert sum(pauses.seconds) > 300
