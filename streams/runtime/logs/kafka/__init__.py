"""The log on Kafka, with aiokafka.

Appending goes through one producer (`producer`). Reading uses a consumer of its own, out of
any group, so that recoveries run beside each other. Everything waits out a broker that is away for
`retry` seconds and then raises LogUnavailable (`retry`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)
from aiokafka.errors import (
    NoError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from schemas.records import OutRecord, Record
from streams.log import (
    GroupMember,
    LogError,
    LogUnavailable,
    OffsetRange,
    TopicDescription,
    TopicIdentity,
    TopicSpec,
    UnknownTopic,
)
from streams.runtime.logs.kafka import batches, bearer, login
from streams.runtime.logs.kafka.producer import KafkaProducer
from streams.runtime.logs.kafka.retry import MAX_WAIT, RetryPolicy, raise_for, started
from streams.runtime.logs.kafka.security import KafkaSecurity
from streams.runtime.logs.kafka.topic_ids import identities
from streams.topic_names import TopicNames

batches.install()
bearer.install()

READ_BYTES = 4 * 1024 * 1024
READ_RECORDS = 2_000
"""Of one chunk of `read`, taken from what was fetched: some 20 ms of work for whoever reads."""

PICK_BYTES = 64 * 1024
"""Of one fetch of `pick`: some hundred records, of which one is wanted."""

POLL_MS = 500

ISOLATION = "read_committed"
"""What a producer has taken back never was: not for workers, and so not for replays and copies."""

WRITTEN = "read_uncommitted"
"""Of a consumer that is asked where a log ends, and reads nothing."""


class KafkaLog:
    """Implements `streams.log.Log`. `servers` are HOST:PORT; `names`: of the topics there."""

    def __init__(
        self,
        servers: Sequence[str],
        *,
        security: KafkaSecurity | None = None,
        names: TopicNames = TopicNames(),  # noqa: B008  # it can't be changed
        max_wait: float = MAX_WAIT,
    ) -> None:
        self._servers = list(servers)
        self.names = names
        self.security = security or KafkaSecurity()
        self._retry_policy = RetryPolicy(servers, max_wait)
        self._partitions: dict[str, int] = {}
        self._admin: AIOKafkaAdminClient | None = None
        self._offsets: AIOKafkaConsumer | None = None
        self._high_watermarks: AIOKafkaConsumer | None = None
        self._producer = KafkaProducer(
            self._client_settings, self._retry_policy, names, connecting=self.security.watch
        )

    # Connecting.

    async def start(self) -> None:
        """Connect. Raises LogUnavailable when no broker answers at once, LogError for bad files and
        for a login that is refused."""
        try:
            with self._retry_policy.errors():
                await self._connected_admin()
                await self._connected_offsets()
                await self._producer.connected()
        except LogUnavailable as error:
            security = self.security.client_settings()
            if refused := await login.refusal(self._servers, security):
                where = ", ".join(self._servers)
                raise LogError(f"Kafka at {where} refused: {refused}") from error
            raise

    async def stop(self) -> None:
        """Flush and disconnect. Safe to call twice."""
        offsets, self._offsets = self._offsets, None
        watermarks, self._high_watermarks = self._high_watermarks, None
        admin, self._admin = self._admin, None
        await self._producer.stop()
        for consumer in (offsets, watermarks):
            if consumer is not None:
                await consumer.stop()
        if admin is not None:
            await admin.close()

    def _client_settings(self) -> dict[str, Any]:
        try:
            security = self.security.client_settings()
        except OSError as error:  # also ssl.SSLError
            raise LogError(f"the TLS files for Kafka can't be used: {error}") from error
        return {"bootstrap_servers": self._servers, **security}

    async def _connected_admin(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            admin = AIOKafkaAdminClient(**self._client_settings())
            self.security.watch(admin)
            self._admin = await started(admin, admin.close)
        return self._admin

    async def _connected_offsets(self) -> AIOKafkaConsumer:
        if self._offsets is None:
            self._offsets = await self._new_consumer()
        return self._offsets

    async def _connected_high_watermarks(self) -> AIOKafkaConsumer:
        if self._high_watermarks is None:
            self._high_watermarks = await self._new_consumer(isolation=WRITTEN)
        return self._high_watermarks

    async def consumer_of(self, group: str, fetch_bytes: int) -> AIOKafkaConsumer:
        """Return a new consumer that reads and commits under a group's name and is no member of
        it; whoever asks for it stops it. Raises LogError."""
        with self.errors():
            return await self._retry_policy.tried(
                partial(self._new_consumer, fetch_bytes, group=group)
            )

    def errors(self) -> AbstractContextManager[None]:
        """Turn what the client raises into a LogError for people."""
        return self._retry_policy.errors()

    async def _new_consumer(
        self,
        fetch_bytes: int = READ_BYTES,
        isolation: str = ISOLATION,
        group: str | None = None,
    ) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=isolation,
            fetch_max_wait_ms=POLL_MS,
            max_partition_fetch_bytes=fetch_bytes,
            **self._client_settings(),
        )
        self.security.watch(consumer)
        return await started(consumer, consumer.stop)

    # Topics.

    async def create_topics(self, specs: Sequence[TopicSpec]) -> list[str]:
        """Create those that do not exist and return their names. Existing ones stay untouched."""
        wanted = [
            NewTopic(
                self.named(spec.name),
                num_partitions=spec.partitions,
                replication_factor=spec.replication,
                topic_configs=dict(spec.config),
            )
            for spec in specs
        ]
        if not wanted:
            return []
        with self._retry_policy.errors():
            response = await self._retry_policy.tried(lambda: self._create(wanted))
            created = [self.names.plain(name) for name in _created(response.topic_errors)]
            for name in created:
                await self._retry_policy.tried(partial(self._led, name))
        return created

    async def _create(self, topics: list[NewTopic]) -> Any:
        admin = await self._connected_admin()
        return await admin.create_topics(topics)

    async def _led(self, topic: str) -> None:
        """Raise a retriable error until each partition has a leader."""
        try:
            metadata = await self._metadata(topic)
        except UnknownTopic as error:  # created, but not every broker has heard of it yet
            raise UnknownTopicOrPartitionError from error
        for partition in metadata["partitions"]:
            raise_for(partition["error_code"])

    def named(self, topic: str) -> str:
        """Return what the broker calls the topic."""
        return self.names.on_broker(topic)

    def _tp(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self.named(topic), partition)

    async def describe(self, topic: str) -> TopicDescription | None:
        """Return the topic as the broker has it, None when it does not exist."""
        with self._retry_policy.errors():
            try:
                metadata = await self._retry_policy.tried(lambda: self._metadata(topic))
            except UnknownTopic:
                return None
            partitions = metadata["partitions"]
            return TopicDescription(
                name=topic,
                partitions=len(partitions),
                replication=min(len(partition["replicas"]) for partition in partitions),
                config=await self._retry_policy.tried(lambda: self._config(topic)),
            )

    async def _metadata(self, topic: str) -> Mapping[str, Any]:
        admin = await self._connected_admin()
        name = self.named(topic)
        (metadata,) = await admin.describe_topics([name])
        if for_code(metadata["error_code"]) is UnknownTopicOrPartitionError:
            raise UnknownTopic(f"there is no topic {name}; `ritorno topics create` makes it")
        raise_for(metadata["error_code"], name)
        return dict(metadata)

    async def _config(self, topic: str) -> dict[str, str]:
        admin = await self._connected_admin()
        name = self.named(topic)
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        ((code, _, _, _, entries),) = response.resources
        raise_for(code, name)
        return {entry[0]: entry[1] for entry in entries if entry[1] is not None}

    async def identities(self, topics: Sequence[str]) -> Mapping[str, TopicIdentity]:
        """Return the ids and the numbers of partitions as the broker has them now."""
        with self._retry_policy.errors():
            return await self._retry_policy.tried(lambda: self._identified(topics))

    async def _identified(self, topics: Sequence[str]) -> Mapping[str, TopicIdentity]:
        admin = await self._connected_admin()
        found = await identities(admin, [self.named(topic) for topic in topics])
        return {self.names.plain(name): identity for name, identity in found.items()}

    async def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has (cached). Raises UnknownTopic."""
        if topic not in self._partitions:
            with self._retry_policy.errors():
                metadata = await self._retry_policy.tried(lambda: self._metadata(topic))
                self._partitions[topic] = len(metadata["partitions"])
        return self._partitions[topic]

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        """Return the offset range of each partition. Raises UnknownTopic."""
        tps = [self._tp(topic, number) for number in range(await self.partitions(topic))]
        with self._retry_policy.errors():
            starts, written, ends = await self._retry_policy.tried(lambda: self._ranges(tps))
        return {
            tp.partition: OffsetRange(starts[tp], ends[tp], max(0, written[tp] - ends[tp]))
            for tp in tps
        }

    async def _ranges(self, tps: list[TopicPartition]) -> tuple[Any, Any, Any]:
        consumer = await self._connected_offsets()
        watermarks = await self._connected_high_watermarks()
        # First what is written, then what may be read of it: what comes in between isn't pending.
        written = await watermarks.end_offsets(tps)
        return await consumer.beginning_offsets(tps), written, await consumer.end_offsets(tps)

    async def offset_at(self, topic: str, partition: int, instant: int) -> int:
        """Return the lowest offset that was appended at `instant` or later; the end if none was."""
        tp = self._tp(topic, partition)
        with self._retry_policy.errors():
            found = await self._retry_policy.tried(lambda: self._found_at(tp, instant))
        if found is not None:
            return int(found.offset)
        return (await self.offsets(topic))[partition].end

    async def _found_at(self, tp: TopicPartition, instant: int) -> Any:
        consumer = await self._connected_offsets()
        return (await consumer.offsets_for_times({tp: max(instant, 0)}))[tp]

    # Who reads.

    async def readers(self, topic: str) -> list[str]:
        """Return the groups that have committed offsets of a topic."""
        with self._retry_policy.errors():
            return await self._retry_policy.tried(lambda: self._reading(topic))

    async def _reading(self, topic: str) -> list[str]:
        admin = await self._connected_admin()
        names = sorted(str(group[0]) for group in await admin.list_consumer_groups())
        offsets = {name: await admin.list_consumer_group_offsets(name) for name in names}
        return [
            name for name in names if any(tp.topic == self.named(topic) for tp in offsets[name])
        ]

    async def members(self, group: str) -> list[GroupMember]:
        """Return the consumer group as the broker has it, empty while it is being formed."""
        with self._retry_policy.errors():
            return await self._retry_policy.tried(lambda: self._described(group))

    async def _described(self, group: str) -> list[GroupMember]:
        admin = await self._connected_admin()
        (response,) = await admin.describe_consumer_groups([group])
        (described,) = response.groups
        raise_for(described[0], group)
        return [self._member(id_, *told) for id_, _, _, *told in described[5]]

    def _member(self, id_: str, metadata: bytes, assignment: bytes) -> GroupMember:
        partitions: dict[str, set[int]] = defaultdict(set)
        if assignment:
            for name, numbers in ConsumerProtocolMemberAssignment.decode(assignment).assignment:
                if self.names.has(name):
                    partitions[self.names.plain(name)].update(numbers)
        told = ConsumerProtocolMemberMetadata.decode(metadata).user_data if metadata else b""
        has = {topic: frozenset(each) for topic, each in partitions.items()}
        return GroupMember(told or b"", has, id_)

    # Appending.

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        """Append in order to one partition and return the last offset once all are acknowledged.

        Raises LogError for a record that is too large, before anything is written.
        """
        if not records:
            raise ValueError("nothing to append")
        if partition >= await self.partitions(topic):
            raise UnknownTopic(f"topic {self.named(topic)} has no partition {partition}")
        with self._retry_policy.errors():
            return await self._producer.append(topic, partition, records)

    # Reading.

    async def read(
        self, topic: str, partition: int, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        """Read [start, stop) of one partition, outside any group, in chunks."""
        if start >= stop:
            return
        await self.partitions(topic)
        tp = self._tp(topic, partition)
        async with self._reader(tp, start) as reader:
            position = start
            while position < stop:
                with self._retry_policy.errors():
                    async with asyncio.timeout(self._retry_policy.seconds):
                        found, position = await _advance(reader, tp, position)
                chunk = [record_of(record, topic) for record in found if record.offset < stop]
                if chunk:
                    yield chunk

    async def pick(
        self, topic: str, partition: int, offsets: Sequence[int]
    ) -> AsyncIterator[Sequence[Record]]:
        """Read the records at `offsets`, which ascend, with one small request for each."""
        if not offsets:
            return
        kept = (await self.offsets(topic))[partition]
        tp = self._tp(topic, partition)
        async with self._reader(tp, offsets[0], fetch_bytes=PICK_BYTES) as reader:
            waiting = deque(offset for offset in offsets if kept.start <= offset < kept.end)
            while waiting:
                reader.seek(tp, waiting[0])
                with self._retry_policy.errors():
                    async with asyncio.timeout(self._retry_policy.seconds):
                        found, position = await _advance(reader, tp, waiting[0])
                chunk = []
                for record in found:  # the next ones may have come along
                    while waiting and waiting[0] < record.offset:
                        waiting.popleft()
                    if waiting and waiting[0] == record.offset:
                        chunk.append(record_of(record, topic))
                        waiting.popleft()
                while waiting and waiting[0] < position:
                    waiting.popleft()
                if chunk:
                    yield chunk

    @asynccontextmanager
    async def _reader(
        self, tp: TopicPartition, start: int, fetch_bytes: int = READ_BYTES
    ) -> AsyncIterator[AIOKafkaConsumer]:
        with self._retry_policy.errors():
            reader = await self._retry_policy.tried(partial(self._new_consumer, fetch_bytes))
        try:
            reader.assign([tp])
            reader.seek(tp, start)
            yield reader
        finally:
            await reader.stop()


def _created(topic_errors: Sequence[Sequence[Any]]) -> Iterator[str]:
    for name, code, *message in topic_errors:
        error = for_code(code)
        if error is NoError:
            yield name
        elif error is not TopicAlreadyExistsError:
            raise LogError(f"topic {name} could not be created: {error.__name__} {message[0]}")


async def _advance(
    reader: AIOKafkaConsumer, tp: TopicPartition, position: int
) -> tuple[Sequence[Any], int]:
    """Return what comes next and the position after it, which may also have passed a hole."""
    while True:
        found = await reader.getmany(tp, timeout_ms=POLL_MS, max_records=READ_RECORDS)
        reached = await reader.position(tp)
        if tp in found or reached > position:
            return found.get(tp, ()), reached


def record_of(record: Any, topic: str) -> Record:
    """Return what aiokafka has fetched as a record of our `topic`."""
    return _new(
        Record,
        (
            topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
        ),
    )


_new: Callable[[type[Record], Sequence[Any]], Record] = tuple.__new__
"""Half the time of calling the class, for each record that is read."""
