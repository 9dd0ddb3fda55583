"""Stand-ins for the world around the mailer: metrics that remember, a gate, an in-memory log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from agents.mail.queue.concurrency import ConcurrencyLimits
from schemas.commands import SuppressCommand
from schemas.records import OutRecord, Record
from schemas.stored import NEVER, Progress
from streams.clock import Clock
from streams.log import OffsetRange, TopicDescription, TopicSpec, UnknownTopic
from streams.runtime.log_identity import LogIdentity
from streams.runtime.transports.batch import PartitionBatch, PartitionOwner, TopicPartition

PARTITIONS = {"dead-letters": 1}


class CountingMetrics:
    """Counts what it is told as tuples; stands in for MailMetrics."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[Any, ...]] = Counter()
        self.gauges: dict[tuple[Any, ...], float] = {}
        self._news = asyncio.Event()

    async def until(self, *key: Any, count: int = 1) -> None:
        """Wait until `key` has been counted `count` times."""
        async with asyncio.timeout(10):
            while self.seen[key] < count:
                self._news.clear()
                await self._news.wait()

    async def until_gauge(self, *key: Any, at_least: float) -> None:
        """Wait until a gauge has reached a value."""
        async with asyncio.timeout(10):
            while self.gauges.get(key, 0) < at_least:
                self._news.clear()
                await self._news.wait()

    def request(self, mail_class: str, template: str, result: str) -> None:
        self.seen["request", result] += 1

    def outcome(self, mail_class: str, provider: str, outcome: str, reason: str) -> None:
        self.seen["outcome", mail_class, outcome, reason] += 1
        self.seen["provider", provider, outcome] += 1

    def ambiguous(self, mail_class: str) -> None:
        self.seen["ambiguous", mail_class] += 1

    def sent_age(self, mail_class: str, seconds: float) -> None:
        self.seen["sent_age",] += 1

    def waiting(self, partition: int, delivery: str, mails: int) -> None:
        self.gauges["waiting", partition, delivery] = mails

    def held(self, partition: int, reason: str, mails: int) -> None:
        self.gauges["held", partition, reason] = mails
        self._news.set()

    def stuck(self, partition: int, mails: int) -> None:
        self.gauges["stuck", partition] = mails
        self._news.set()

    def breaker(self, *, open_: bool) -> None:
        self.gauges["breaker",] = open_

    def webhook(self, result: str) -> None:
        self.seen["webhook", result] += 1
        self._news.set()

    def throttled(self, relay: str, provider: str) -> None:
        self.seen["throttled", provider] += 1

    def oldest(self, partition: int, seconds: float) -> None:
        self.gauges["oldest", partition] = seconds

    def rendered(self, template: str, seconds: float) -> None:
        self.seen["rendered", template] += 1

    def reply(self, relay: str, code: int) -> None:
        self.seen["reply", code] += 1

    def delivered(self, relay: str, provider: str, seconds: float) -> None:
        self.seen["delivered",] += 1

    def pool_wait(self, relay: str, seconds: float) -> None:
        self.seen["pool_wait",] += 1

    def connections(self, relay: str, *, busy: int, idle: int) -> None:
        self.gauges["busy",] = busy
        self.gauges["idle",] = idle

    def relay_down(self, relay: str, reason: str) -> None:
        self.seen["relay_down", reason] += 1
        self._news.set()

    def relay_up(self, relay: str) -> None:
        self.seen["relay_up",] += 1


class OneWay:
    """A relay that is always up, for a turnstile; a subclass lends connections."""

    name = "relay"
    retry_at = 0
    doubtful = False

    def __init__(self, connections: int = 3) -> None:
        self.concurrency = ConcurrencyLimits(connections)

    def watch(self, changed: Callable[[], None]) -> None: ...

    def answers(self) -> None: ...

    async def close(self) -> None: ...


class AnyLog(LogIdentity):
    """For batches that a test hands over itself: no log holds them."""

    def __init__(self) -> None:
        """Nothing is asked."""

    async def known(self, topic: str, partition: int, progress: Progress) -> Progress:
        return progress


def expired_everywhere(partition: int) -> int:
    """A time of the customers' log, later than any."""
    return NEVER


async def suppress_nobody(commands: Sequence[SuppressCommand]) -> None:
    """Where no address is suppressed."""
    assert not commands


class MemoryLog:
    """A Log that forgets everything with the process; stamps with the clock it is given."""

    def __init__(self, clock: Clock, partitions: int = 1) -> None:
        self._clock = clock
        self._partitions = partitions
        self.kept: dict[tuple[str, int], list[Record]] = {}
        self.appended = asyncio.Condition()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def create_topics(self, specs: Sequence[TopicSpec]) -> list[str]:
        return []

    async def members(self, group: str) -> None:
        pass

    def named(self, topic: str) -> str:
        """Return the topic's name."""
        return topic

    async def describe(self, topic: str) -> TopicDescription | None:
        return None

    async def partitions(self, topic: str) -> int:
        return PARTITIONS.get(topic, self._partitions)

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        kept = self.kept.setdefault((topic, partition), [])
        for key, value, headers in records:
            now = self._clock.now()
            kept.append(Record(topic, partition, len(kept), now, key, value, tuple(headers)))
        async with self.appended:
            self.appended.notify_all()
        return len(kept) - 1

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        if self._partitions < 1:
            raise UnknownTopic(topic)
        count = await self.partitions(topic)
        return {n: OffsetRange(0, len(self.kept.get((topic, n), []))) for n in range(count)}

    async def offset_at(self, topic: str, partition: int, instant: int) -> int:
        kept = self.kept.get((topic, partition), [])
        return next((each.offset for each in kept if each.timestamp >= instant), len(kept))

    async def read(
        self, topic: str, partition: int, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        yield self.kept.get((topic, partition), [])[start:stop]

    async def pick(
        self, topic: str, partition: int, offsets: Sequence[int]
    ) -> AsyncIterator[Sequence[Record]]:
        kept = self.kept.get((topic, partition), [])
        yield [kept[offset] for offset in offsets if offset < len(kept)]

    def events(self, partition: int = 0) -> list[Record]:
        """Return what is in a partition of customer-events."""
        return self.kept.get(("customer-events", partition), [])

    def types(self, partition: int = 0) -> list[str]:
        """Return the event types in a partition of customer-events."""
        return [(each.header("ce_type") or b"").decode() for each in self.events(partition)]

    async def until(self, count: int, type_: str, partition: int = 0) -> None:
        """Wait until customer-events has `count` events of a type."""
        async with asyncio.timeout(10), self.appended:
            await self.appended.wait_for(lambda: self.types(partition).count(type_) >= count)


class SimpleLease:
    """A turn that is never fenced and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.next_offset: int | None = None

    def check(self) -> None: ...

    def done(self, next_offset: int) -> None:
        self.next_offset = next_offset


class SimpleLeases:
    """Lets every batch in; remembers failures instead of opening again."""

    def __init__(self) -> None:
        self.leases: list[SimpleLease] = []
        self.failures: list[BaseException] = []

    def own(self, topic: str, owner: PartitionOwner) -> None: ...

    @asynccontextmanager
    async def enter(self, batch: PartitionBatch) -> AsyncIterator[SimpleLease]:
        permit = SimpleLease()
        self.leases.append(permit)
        try:
            yield permit
        except BaseException as error:
            self.failures.append(error)
            raise


def batch(records: Sequence[Record], partition: int = 0) -> PartitionBatch:
    """Return a batch of send-commands."""
    return PartitionBatch(
        tp=TopicPartition("send-commands", partition), fetch_epoch=1, records=records
    )
