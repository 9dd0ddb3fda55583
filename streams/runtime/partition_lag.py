"""How far the partitions of this process are behind the end of their log.

Asked in the background: a scrape must not wait for a broker that is away. While it is, what was
seen last stays, so that a lag doesn't end because nobody can look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from streams.log import Log, LogError, OffsetRange
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager

LOOK_EVERY = 2.0
"""Seconds. One small request for each topic; Prometheus asks every fifteen."""


class PartitionLag:
    """Records that wait in each partition given to this process."""

    def __init__(
        self,
        log: Log,
        partition_manager: PartitionManager,
        topics: Sequence[str],
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log = log
        self._partition_manager = partition_manager
        self._topics = topics
        self._pause = pause
        self._waiting: dict[TopicPartition, int] = {}
        self._partitions: dict[str, int] = {}

    def waiting(self) -> Mapping[TopicPartition, int]:
        """Return how many records of each partition that is ours are not done, also those behind a
        foreign producer's open transaction."""
        owned = self._partition_manager.owned()
        return {tp: count for tp, count in self._waiting.items() if tp in owned}

    def partitions(self) -> Mapping[str, int]:
        """Return how many partitions each topic has."""
        return self._partitions

    async def watch(self) -> None:
        """Look again and again, for ever."""
        while True:
            await self.look()
            await self._pause(LOOK_EVERY)

    async def look(self) -> None:
        """Look once."""
        for topic in self._topics:
            try:
                spans = await self._log.offsets(topic)
            except LogError:
                continue  # what was seen last stays; /readyz and the log say that it is away
            self._partitions[topic] = len(spans)
            for tp in self._partition_manager.owned():
                if tp.topic == topic and tp.partition in spans:
                    await self._compare(tp, spans[tp.partition])

    async def _compare(self, tp: TopicPartition, span: OffsetRange) -> None:
        try:
            done = await self._partition_manager.position(tp)
        except Exception:  # a client's own errors: the broker is away, and what was seen last stays
            return
        self._waiting[tp] = max(0, span.high_watermark - max(span.start, done))
