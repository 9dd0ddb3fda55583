"""The embedded Faust transport: one process consumes all partitions of an `EmbeddedLog`.

The app brings the log and the partition manager (`app.record_log`, `app.partition_manager`), so
that an append of this process wakes the consumer at once. What is delivered, in which order and
what is committed is decided by the same `PartitionManager` as on Kafka. A "group" is only the name
under which offsets are kept, and a rebalance happens at the start, when Faust subscribes to other
topics, and in `rebalance`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, cast

from faust.transport import base
from faust.types import TP

from schemas.records import OutRecord, Record
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.transports.assigned_partition import FetchPosition
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.transports.consumer import BatchConsumer


class Consumer(BatchConsumer):
    """Reads the partitions that the partition manager wants from the log; the manager's
    `FetchSource`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._records: EmbeddedLog = self.app.record_log
        self._assigned: set[TP] = set()
        self._topics: tuple[str, ...] = ()
        self._generation = 0
        self._rebalancing = asyncio.Lock()
        self._interrupted = asyncio.Event()

    @property
    def session_timeout(self) -> float:
        """Seconds; of no consequence, as the heartbeat is always fresh."""
        return float(self.app.conf.broker_session_timeout)

    def heartbeat_age(self) -> float:
        """Return 0: while this process holds the log's worker lock, nobody else consumes."""
        return 0.0

    def refusal(self) -> str:
        """Return nothing: see `heartbeat_age`."""
        return ""

    async def first_offset(self, tp: TopicPartition) -> int:
        """Return the committed offset, or the earliest one where there is none."""
        committed = await self._records.committed(self.app.conf.id)
        if tp in committed:
            return committed[tp]
        return (await self._records.offsets(tp.topic))[tp.partition].start

    async def on_start(self) -> None:
        """Become the one consumer. Raises LogError when another process is."""
        await self._records.start()
        await self._records.claim()
        await super().on_start()

    async def on_stop(self) -> None:
        """Let all partitions go, commit what is done, let another process consume."""
        await super().on_stop()
        await self._records.release()

    async def leave(self) -> None:
        """Do nothing: there is nobody who waits for it."""

    # Assignment.

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Take all partitions of `topics`, in the background: Faust waits for this to return."""
        self._topics = tuple(topics)
        self.add_future(self.rebalance())

    async def rebalance(self) -> None:
        """Give up all partitions and take all of the subscribed topics, as a group would."""
        async with self._rebalancing:
            self.app.on_rebalance_start()
            await self.on_partitions_revoked(set(self._assigned))
            self._assigned = {
                TP(topic, partition)
                for topic in self._topics
                for partition in range(await self._records.partitions(topic))
            }
            self._generation += 1
            self.app.consumer_generation_id = self._generation
            await self.on_partitions_assigned(set(self._assigned), self._generation)

    def assignment(self) -> set[TP]:
        """Return what is assigned now."""
        return set(self._assigned)

    # Delivery and commit.

    async def fetch(
        self,
        wanted: Mapping[TopicPartition, FetchPosition],
        timeout: float,  # noqa: ASYNC109  # BatchConsumer's signature
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return the next chunk of each partition that has something new."""
        self._interrupted.clear()
        version = self._records.version
        fetched = await self._fetch(wanted)
        if fetched or await self._no_news(version, timeout):
            return fetched
        return await self._fetch(wanted)

    async def _fetch(
        self, wanted: Mapping[TopicPartition, FetchPosition]
    ) -> dict[TopicPartition, Sequence[Record]]:
        fetched: dict[TopicPartition, Sequence[Record]] = {}
        for tp, want in wanted.items():
            records = await self._records.fetch(tp.topic, tp.partition, want.offset)
            if records:
                fetched[tp] = records
        return fetched

    async def _no_news(self, version: int, at_most: float) -> bool:
        """Wait for an append; return True when there was none in time."""
        waiting = [
            asyncio.ensure_future(self._records.wait_beyond(version)),
            asyncio.ensure_future(self._interrupted.wait()),
            asyncio.ensure_future(self.suspend_flow.wait()),
        ]
        try:
            await asyncio.wait(waiting, timeout=at_most, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        return self._records.version == version

    def interrupt(self) -> None:
        """End the current wait of `fetch`."""
        self._interrupted.set()

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        await self._records.commit(self.app.conf.id, offsets)
        return True

    # Positions belong to the partition manager: Faust has nothing to seek.

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Do nothing; see perform_seek."""
        return {}

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Refuse: only changelogs of Faust tables are sought, and there are none."""
        if partitions:
            raise NotImplementedError(
                "the partition manager decides where partitions are read from"
            )

    async def _seek(self, partition: TP, offset: int) -> None:
        await self.seek_wait({partition: offset})

    async def position(self, tp: TP) -> int | None:
        """Return the next offset to be delivered, None while the partition is not wanted."""
        want = self.partition_manager.wanted().get(TopicPartition(*tp))
        return None if want is None else want.offset

    async def _getmany(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("records are fetched as the partition manager wants them")

    def _to_message(self, tp: TP, record: Any) -> Any:
        raise NotImplementedError("records are delivered in batches")

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    # The log.

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the earliest kept offset of each partition."""
        return {
            tp: (await self._records.offsets(tp.topic))[tp.partition].start for tp in partitions
        }

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the next offset to be written of each partition."""
        return {tp: self.highwater(tp) for tp in partitions}

    def highwater(self, tp: TP) -> int:
        """Return the next offset to be written."""
        return self._records.end(tp.topic, tp.partition)

    def topic_partitions(self, topic: str) -> int | None:
        """Return None: the log is asked where it matters, and Faust needs it for tables only."""
        return None

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int:
        """Refuse to guess: our producers name the partition."""
        if partition is None:
            raise NotImplementedError("records are appended to an explicit partition")
        return partition

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        """Do nothing: topics are created by `ritorno topics create`, from the topology."""


class EmbeddedProducer(base.Producer):  # type: ignore[misc]  # Faust ships without type information
    """Faust wants one; everything of ours is appended through the log."""

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[int]:
        """Append one record to an explicit partition; the awaitable is its offset."""
        if partition is None:
            raise NotImplementedError("records are appended to an explicit partition")
        log = cast(EmbeddedLog, self.app.record_log)
        return asyncio.ensure_future(
            log.append(topic, partition, [OutRecord(key, value, _headers(headers))])
        )

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> int:
        """Append one record and wait until it is on disk."""
        return await (await self.send(*args, **kwargs))

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        """Do nothing: topics are created by `ritorno topics create`, from the topology."""

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Refuse to guess: our producers name the partition."""
        raise NotImplementedError("records are appended to an explicit partition")

    def supports_headers(self) -> bool:
        """Return True."""
        return True


class EmbeddedTransport(base.Transport):  # type: ignore[misc]  # Faust ships without type information
    """Entry point `ritorno-embedded` of the group `faust.transports`."""

    Consumer = Consumer
    EmbeddedProducer = EmbeddedProducer
    driver_version = "ritorno-embedded"


def _headers(headers: Any) -> Sequence[tuple[str, bytes]]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return tuple(pairs)
