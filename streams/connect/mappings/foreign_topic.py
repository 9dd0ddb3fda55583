"""Reading a topic that others own, in a consumer group of its own.

The group shares the partitions among the processes that map it. What it commits is read by nobody
of ours; `MappingOffsets` says where a partition goes on, and whoever is given one seeks there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata

from schemas.records import Record
from streams.log import LogError, OffsetRange, TopicIdentity, UnknownTopic
from streams.runtime.logs.kafka import ISOLATION, KafkaLog, record_of
from streams.runtime.logs.kafka.retry import RetryPolicy, started
from streams.runtime.logs.kafka.security import KafkaSecurity

FETCH_RECORDS = 1_000
"""In flight at most: a tenth of a second of work."""

FETCH_BYTES = 8 * 1024 * 1024
PARTITION_BYTES = 1024 * 1024
"""Of one fetch; a larger record comes alone."""

POLL_MS = 500
UNSOUGHT_SECONDS = 0.02
SESSION_SECONDS = 10.0
LEAVING_SECONDS = 5.0
REBALANCE_MS = 60_000
"""For which a batch in flight may hold up the others when partitions change hands."""

MAX_PARTITIONS = 1_000
"""Of a topic that is mapped."""

_DAY_MS = 86_400_000

Assigned = Callable[[Sequence[int]], Awaitable[None]]


class ForeignTopic(Protocol):
    """What a mapper needs of a topic."""

    async def start(self, assigned: Assigned, revoked: Assigned) -> None:
        """Join the group; `assigned` is awaited with partitions that were given to us, before any
        of their records is fetched, and `revoked` before others get them. Raises LogError."""

    async def stop(self) -> None:
        """Leave the group. Safe to call twice."""

    async def identity(self) -> TopicIdentity:
        """Return what tells the topic from others, asked anew. Raises LogError, UnknownTopic."""

    async def spans(self, partitions: Sequence[int]) -> Mapping[int, OffsetRange]:
        """Return the offsets that are kept. Raises LogError."""

    def seek(self, partition: int, offset: int) -> None:
        """Go on from there."""

    async def fetch(self) -> Mapping[int, Sequence[Record]]:
        """Return what comes next, by partition; nothing when nothing came for a while. Raises
        LogError, also when what comes next isn't kept any more."""

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the broker, for whoever looks there. Never raises for its refusal."""

    def end(self, partition: int) -> int | None:
        """Return the last end of a partition that was heard of."""


class KafkaTopic:
    """Implements `ForeignTopic`. `servers` are HOST:PORT."""

    def __init__(
        self,
        topic: str,
        group: str,
        servers: Sequence[str],
        security: KafkaSecurity,
        *,
        session_seconds: float = SESSION_SECONDS,
    ) -> None:
        """`session_seconds`: after which a process that is gone is replaced."""
        self._topic = topic
        self._group = group
        self._servers = list(servers)
        self._security = security
        self._session_ms = round(session_seconds * 1_000)
        self._retry_policy = RetryPolicy(servers)
        # Of it only what asks for the topic's id is connected.
        self._about = KafkaLog(servers, security=security)
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self, assigned: Assigned, revoked: Assigned) -> None:
        """Join the group."""
        await self.identity()  # a consumer that asks for a missing topic may have it created
        with self._retry_policy.errors():
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._servers,
                group_id=self._group,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level=ISOLATION,
                fetch_max_bytes=FETCH_BYTES,
                max_partition_fetch_bytes=PARTITION_BYTES,
                session_timeout_ms=self._session_ms,
                heartbeat_interval_ms=self._session_ms // 10,
                rebalance_timeout_ms=REBALANCE_MS,
                # That we wait for a registry or for our own log is no reason to give up the
                # partitions: nobody else could go on either.
                max_poll_interval_ms=_DAY_MS,
                **self._security.client_settings(),
            )
            self._security.watch(consumer)
            consumer.subscribe([self._topic], listener=_Listener(consumer, assigned, revoked))
            self._consumer = await started(consumer, consumer.stop)

    async def stop(self) -> None:
        """Leave the group."""
        consumer, self._consumer = self._consumer, None
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._about.stop)
            if consumer is not None:
                stack.push_async_callback(_stopped, consumer)

    async def identity(self) -> TopicIdentity:
        """Return the topic's id and number of partitions."""
        found = (await self._about.identities([self._topic])).get(self._topic)
        if found is None:
            where = ", ".join(self._servers)
            raise UnknownTopic(f"there is no topic {self._topic} on Kafka at {where}")
        return found

    async def spans(self, partitions: Sequence[int]) -> Mapping[int, OffsetRange]:
        """Return the offsets that are kept."""
        consumer = self._joined()
        tps = [TopicPartition(self._topic, number) for number in partitions]
        with self._retry_policy.errors():
            starts = await self._retry_policy.tried(lambda: consumer.beginning_offsets(tps))
            ends = await self._retry_policy.tried(lambda: consumer.end_offsets(tps))
        return {tp.partition: OffsetRange(starts[tp], ends[tp]) for tp in tps}

    def seek(self, partition: int, offset: int) -> None:
        """Go on from there."""
        with suppress(IllegalStateError):  # it was taken away meanwhile
            self._joined().seek(TopicPartition(self._topic, partition), offset)

    async def fetch(self) -> Mapping[int, Sequence[Record]]:
        """Return what comes next."""
        with self._retry_policy.errors():
            try:
                found = await self._joined().getmany(timeout_ms=POLL_MS, max_records=FETCH_RECORDS)
            except NoOffsetForPartitionError:  # it was given to us, and `assigned` seeks it yet
                await asyncio.sleep(UNSOUGHT_SECONDS)
                return {}
            except OffsetOutOfRangeError as error:
                raise LogError(f"{self._topic} no longer holds what comes next") from error
        return {
            tp.partition: [record_of(each, self._topic) for each in records]
            for tp, records in found.items()
        }

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the broker."""
        committed = {
            TopicPartition(self._topic, number): OffsetAndMetadata(offset, "")
            for number, offset in offsets.items()
        }
        with suppress(CommitFailedError, IllegalStateError, KafkaError, OSError):
            async with asyncio.timeout(POLL_MS / 1_000):
                await self._joined().commit(committed)

    def end(self, partition: int) -> int | None:
        """Return the last end of a partition that was heard of."""
        if self._consumer is None:
            return None
        try:
            highwater = self._consumer.highwater(TopicPartition(self._topic, partition))
        except (IllegalStateError, AssertionError):
            return None
        return None if highwater is None else int(highwater)

    def _joined(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("not started")
        return self._consumer


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, consumer: AIOKafkaConsumer, assigned: Assigned, revoked: Assigned) -> None:
        self._consumer = consumer
        self._assigned = assigned
        self._revoked = revoked

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        await self._revoked(sorted(tp.partition for tp in revoked))

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        await self._assigned(sorted(tp.partition for tp in assigned))


async def _stopped(consumer: AIOKafkaConsumer) -> None:
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(LEAVING_SECONDS):
            await consumer.stop()
