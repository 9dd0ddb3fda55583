"""Following topics on Kafka under a group's name, without being a member of the group.

One consumer for the group; whoever reads a partition asks it for that one's records alone. The
broker forgets offsets of a group without members seven days after they were committed
(`offsets.retention.minutes`), so whoever follows commits now and then although nothing has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.records import Record

if TYPE_CHECKING:
    from streams.runtime.logs.kafka import KafkaLog

WAIT_MS = 1_000
"""For which one look for records lasts."""

MOST_RECORDS = 500
FETCH_BYTES = 512 * 1024
"""Of one partition, read ahead."""


class KafkaFollowing:
    """Reads topics under a group's name."""

    def __init__(self, log: KafkaLog, group: str, topics: Sequence[str]) -> None:
        self._log = log
        self._group = group
        self._topics = topics
        self._consumer: AIOKafkaConsumer | None = None
        self._opening = asyncio.Lock()

    async def position(self, topic: str, partition: int) -> int | None:
        """Return the committed offset, None when there is none. Raises LogError."""
        consumer = await self._opened()
        with self._log.errors():
            found: int | None = await consumer.committed(self._tp(topic, partition))
        return found

    async def end(self, topic: str, partition: int) -> int:
        """Return the next offset that can be read. Raises LogError."""
        return (await self._log.offsets(topic))[partition].end

    async def fetch(self, topic: str, partition: int, start: int) -> Sequence[Record]:
        """Return the next records from `start` on, waiting until there are any. Raises LogError."""
        from streams.runtime.logs.kafka import record_of  # noqa: PLC0415  # imports this module

        consumer, tp = await self._opened(), self._tp(topic, partition)
        with self._log.errors():
            if tp in consumer.paused():
                consumer.seek(tp, start)
                consumer.resume(tp)
            elif await consumer.position(tp) != start:
                consumer.seek(tp, start)
            while True:
                found = await consumer.getmany(tp, timeout_ms=WAIT_MS, max_records=MOST_RECORDS)
                if records := found.get(tp):
                    return [record_of(each, topic) for each in records]

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Keep the offsets from which the group goes on. Raises LogError."""
        consumer = await self._opened()
        with self._log.errors():
            await consumer.commit({self._tp(*place): offset for place, offset in offsets.items()})

    async def close(self) -> None:
        """Hang up. Safe to call twice."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    def _tp(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self._log.named(topic), partition)

    async def _opened(self) -> AIOKafkaConsumer:
        """Return the consumer; it is given all partitions and fetches of those that are read."""
        async with self._opening:
            if self._consumer is None:
                consumer = await self._log.consumer_of(self._group, FETCH_BYTES)
                tps = [
                    self._tp(topic, number)
                    for topic in self._topics
                    for number in range(await self._log.partitions(topic))
                ]
                consumer.assign(tps)
                consumer.pause(*tps)
                self._consumer = consumer
            return self._consumer
