"""A topic that others own, in memory: as a broker has it, one process given all its partitions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.mappings.mapping import SourceMapping
from schemas.mappings import Source
from schemas.notation import DEFAULT_NOTATION
from schemas.records import Record
from schemas.signing import RecordSigner
from schemas.wire import parse_record
from streams.clock import VirtualClock
from streams.connect.mappings.counts import MappingCounts
from streams.connect.mappings.decoding import Decoder
from streams.connect.mappings.foreign_topic import Assigned
from streams.connect.mappings.mapper import Mapper
from streams.connect.mappings.offsets import MappingOffsets
from streams.connect.mappings.schema_registry import SchemaRegistry
from streams.log import LogError, OffsetRange, TopicIdentity
from streams.topology import CUSTOMER_EVENTS, topics
from tests.mappings.ordini import TIME
from tests.runtime.doubles import START, MemoryLog

SIGNER = RecordSigner([("test", "a key of the tests")])


class Topic:
    """What is in the topic."""

    def __init__(self, partitions: int = 2, id_: str = "one") -> None:
        self.id = id_
        self.records: list[list[Record]] = [[] for _ in range(partitions)]
        self.starts = [0] * partitions
        self.ends = [0] * partitions

    def add(self, partition: int, value: Any, key: str | None = None) -> None:
        content = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
        key_ = None if key is None else key.encode()
        offset = self.ends[partition]
        self.records[partition].append(Record("ordini", partition, offset, TIME, key_, content))
        self.ends[partition] += 1

    def delete_before(self, partition: int, offset: int) -> None:
        self.starts[partition] = offset
        kept = self.records[partition]
        self.records[partition] = [each for each in kept if each.offset >= offset]


class Membership:
    """Implements ForeignTopic for one process."""

    def __init__(self, topic: Topic, *, at_once: int = 3) -> None:
        self.topic = topic
        self.sought: dict[int, int] = {}
        self.committed: dict[int, int] = {}
        self.drained = asyncio.Event()
        self.joined = False
        self._at_once = at_once
        self._assigned: Assigned
        self._revoked: Assigned

    async def start(self, assigned: Assigned, revoked: Assigned) -> None:
        self._assigned, self._revoked, self.joined = assigned, revoked, True
        await assigned(range(len(self.topic.records)))

    async def stop(self) -> None:
        self.joined = False

    async def rebalance(self, partitions: Sequence[int]) -> None:
        await self._revoked(sorted(self.sought))
        self.sought.clear()
        await self._assigned(partitions)

    async def identity(self) -> TopicIdentity:
        return TopicIdentity(self.topic.id, len(self.topic.records))

    async def spans(self, partitions: Sequence[int]) -> Mapping[int, OffsetRange]:
        return {n: OffsetRange(self.topic.starts[n], self.topic.ends[n]) for n in partitions}

    def seek(self, partition: int, offset: int) -> None:
        self.sought[partition] = offset

    async def fetch(self) -> Mapping[int, Sequence[Record]]:
        await asyncio.sleep(0)
        found = {}
        for number, offset in self.sought.items():
            if offset < self.topic.starts[number]:
                raise LogError("it no longer holds what comes next")
            news = [each for each in self.topic.records[number] if each.offset >= offset]
            if news:
                found[number] = news[: self._at_once]
                self.sought[number] = found[number][-1].offset + 1
        if not found:
            self.drained.set()
            await asyncio.sleep(0.001)  # as a broker's answer takes: who asks asks again at once
        return found

    async def commit(self, offsets: Mapping[int, int]) -> None:
        self.committed |= offsets

    def end(self, partition: int) -> int | None:
        return self.topic.ends[partition]


class Process:
    """One process that maps a topic into a log, until it is killed or stopped."""

    def __init__(
        self,
        mapping: SourceMapping,
        topic: Topic,
        log: MemoryLog,
        *,
        registry: SchemaRegistry | None = None,
        clock: VirtualClock | None = None,
    ) -> None:
        self.membership = Membership(topic)
        self.counts = MappingCounts()
        self.mapper = Mapper(
            mapping,
            topic=self.membership,
            log=log,
            offsets=MappingOffsets(log, SIGNER),
            decoder=Decoder(mapping.source, registry),
            signer=SIGNER,
            clock=clock or VirtualClock(START),
            counts=self.counts,
            notation=DEFAULT_NOTATION,
        )

    async def run_until(self, condition: Callable[[], bool]) -> None:
        """Map until `condition` holds, then stop in order. Raises what the mapper raises."""
        task = asyncio.create_task(self.mapper.run())
        try:
            async with asyncio.timeout(10):
                while not condition() and not task.done():  # noqa: ASYNC110  # who maps tells nobody
                    await asyncio.sleep(0)
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def drain(self) -> None:
        """Map all that is there."""
        await self.run_until(self.is_drained)

    def is_drained(self) -> bool:
        topic, sought = self.membership.topic, self.membership.sought
        ahead = any(sought.get(number, 0) < end for number, end in enumerate(topic.ends))
        return self.membership.drained.is_set() and not ahead


async def new_log(partitions: int = 3) -> MemoryLog:
    log = MemoryLog()
    await log.create_topics(topics(partitions))
    return log


def appended(log: MemoryLog) -> list[str]:
    """The ids of all events in the log, sorted."""
    found = [each for partition in log.topics[CUSTOMER_EVENTS] for each in partition]
    return sorted(parse_record(each).id for each in found)


def source(**changed: Any) -> Source:
    return Source.model_validate(changed)
