"""Two workers on real Kafka, one of them killed with -9: how soon the other goes on where it was.

Until the session of the dead one is over nobody can know of it: that is the broker's part, and a
setting. What is counted beside it is ours: to form the group anew, to get the partitions' state
back from the changelog, to open them, and to commit the first event behind the kill.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.machine import Machine, Worker
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.throughput import SEED, SILENT
from benchmarks.workload import Workload, fill
from schemas.stored import PROGRESS_KEY, unpack_progress
from streams.clock import SystemClock
from streams.log import GroupMember
from streams.runtime.logs.kafka import KafkaLog
from streams.topology import CUSTOMER_EVENTS, CUSTOMERS, GROUP, KAFKA_PARTITIONS

EVENTS_BEFORE = 100_000
"""Before the kill: they make the state that is taken over."""
SESSION_SECONDS = 6
"""The shortest that a broker accepts by default; only the broker's part depends on it."""
DRAIN_SECONDS = 180
LONGEST_SECONDS = 60
BETWEEN = 0.05
"""Seconds between two looks at the group."""
AT_ONCE = 40
"""Events appended between two looks, so that each partition gets some."""


@dataclass
class _Progress:
    """What the changelog says of each partition."""

    offsets: dict[int, int] = field(default_factory=dict)
    """Up to which it is committed."""
    ends: dict[int, int] = field(default_factory=dict)
    """Where the log of each ended at the kill; empty before it."""
    first: dict[int, float] = field(default_factory=dict)
    """When something from behind the kill was first committed, seconds since the epoch."""

    def take(self, partition: int, next_offset: int, time: float) -> None:
        """Note that a partition has got on."""
        self.offsets[partition] = max(next_offset, self.offsets.get(partition, 0))
        if self.ends and next_offset > self.ends[partition]:
            self.first.setdefault(partition, time)

    def is_at(self, ends: dict[int, int]) -> bool:
        """Whether each partition is committed up to there."""
        return all(self.offsets.get(each, 0) >= end for each, end in ends.items())


async def measure(here: Machine, say: Say) -> list[Result]:
    """Kill one of two workers, and watch the changelog and the group."""
    workload = Workload(seed=SEED, now=SystemClock().now())
    session = {"RITORNO_KAFKA_SESSION_SECONDS": str(SESSION_SECONDS)}
    with (
        here.worker("killed", **SILENT, **session) as killed,
        here.worker("other", **SILENT, **session) as other,
    ):
        say("two workers join")
        killed.start()
        other.start()
        await asyncio.gather(killed.ready(), other.ready())
        say(f"they take {EVENTS_BEFORE:,} events")
        await fill(here.log, workload.events(EVENTS_BEFORE))
        async with _followed(here) as progress, asyncio.timeout(DRAIN_SECONDS):
            while not progress.is_at(await _ends(here)):  # noqa: ASYNC110  # of other processes
                await asyncio.sleep(BETWEEN)
            say("kill -9 of one of them")
            return await _kill(here, killed, workload, progress)


async def _kill(
    here: Machine, killed: Worker, workload: Workload, progress: _Progress
) -> list[Result]:
    assert isinstance(here.log, KafkaLog)
    before = await here.log.members(GROUP)
    progress.ends = await _ends(here)
    killed.kill()
    began, noticed = time.time(), 0.0
    async with asyncio.timeout(LONGEST_SECONDS):
        while len(progress.first) < KAFKA_PARTITIONS:
            await fill(here.log, workload.events(AT_ONCE))
            await asyncio.sleep(BETWEEN)
            if not noticed and len(await here.log.members(GROUP)) < len(before):
                noticed = time.time()
    theirs = _lost(before, await here.log.members(GROUP))
    times = sorted(progress.first[each] for each in theirs)
    return [
        result("takeover.broker_notices", noticed - began, "s"),
        result("takeover.first_event_after_kill", times[0] - began, "s"),
        result("takeover.beyond_the_broker", times[0] - noticed, "s"),
        result("takeover.all_partitions_beyond", times[-1] - noticed, "s"),
    ]


def _lost(before: list[GroupMember], after: list[GroupMember]) -> frozenset[int]:
    """Return the partitions of the member who is not there any more."""
    left = {member.published for member in after}
    (gone,) = (member for member in before if member.published not in left)
    return gone.partitions[CUSTOMER_EVENTS]


async def _ends(here: Machine) -> dict[int, int]:
    spans = await here.log.offsets(CUSTOMER_EVENTS)
    return {number: span.end for number, span in spans.items()}


@asynccontextmanager
async def _followed(here: Machine) -> AsyncIterator[_Progress]:
    """Follow the changelog meanwhile."""
    progress = _Progress()
    consumer = AIOKafkaConsumer(bootstrap_servers=here.server, fetch_max_wait_ms=20)
    await consumer.start()
    following = asyncio.create_task(_follow(consumer, progress))
    try:
        yield progress
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await consumer.stop()


async def _follow(consumer: AIOKafkaConsumer, progress: _Progress) -> None:
    partitions = [TopicPartition(CUSTOMERS.keeps, each) for each in range(KAFKA_PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=100)).items():
            for record in records:
                if record.key == PROGRESS_KEY:
                    at = unpack_progress(record.value).next_offset
                    progress.take(tp.partition, at, record.timestamp / 1_000)
