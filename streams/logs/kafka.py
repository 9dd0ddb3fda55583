"""The log on Kafka, with aiokafka.

Appending goes through one idempotent producer (acks=all) in whole record batches to an explicit
partition: a tenth of the cost of sending record by record. Reading uses a consumer of its own, out
of any group, so that recoveries run beside each other. Everything waits out a broker that is away
for `patience` seconds and then raises LogUnavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NoError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from schemas.records import OutRecord, Record
from streams.log import (
    LogError,
    LogUnavailable,
    OffsetRange,
    TopicDescription,
    TopicSpec,
    UnknownTopic,
)
from streams.logs.security import KafkaSecurity
from streams.topology import DEAD_LETTERS, MAX_LETTER_BYTES

PATIENCE = 60.0
"""Seconds to wait for a broker that is away: a restart takes 5 to 20."""

LARGEST_REQUEST = 1_048_576
"""Bytes; the brokers' default for one record batch (message.max.bytes) is a little more."""

BATCH_BYTES = 512 * 1024
"""Bytes of one record batch; larger ones gain nothing and delay the other partitions."""

READ_BYTES = 4 * 1024 * 1024
READ_RECORDS = 10_000
"""Of one chunk of `read`; enough to make the round trip to the broker disappear."""

POLL_MS = 500
RETRY_SECONDS = 0.1

_Result = TypeVar("_Result")

_log = structlog.get_logger(__name__)


class KafkaLog:
    """Implements `streams.log.Log`. `servers` are HOST:PORT."""

    def __init__(
        self,
        servers: Sequence[str],
        *,
        security: KafkaSecurity | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._servers = list(servers)
        self._security = security or KafkaSecurity()
        self._patience = patience
        self._partitions: dict[str, int] = {}
        self._admin: AIOKafkaAdminClient | None = None
        self._offsets: AIOKafkaConsumer | None = None
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._discarded: set[asyncio.Task[None]] = set()

    # Connecting.

    async def start(self) -> None:
        """Connect. Raises LogUnavailable when no broker answers at once, LogError for bad files."""
        with self._errors():
            await self._connected_admin()
            await self._connected_offsets()
            await self._connected_producer()

    async def stop(self) -> None:
        """Flush and disconnect. Safe to call twice."""
        producer, self._producer = self._producer, None
        offsets, self._offsets = self._offsets, None
        admin, self._admin = self._admin, None
        if producer is not None:
            with suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(producer.stop(), self._patience)
        if offsets is not None:
            await offsets.stop()
        if admin is not None:
            await admin.close()
        if self._discarded:
            await asyncio.wait(self._discarded)

    def _client_settings(self) -> dict[str, Any]:
        try:
            security = self._security.client_settings()
        except OSError as error:  # also ssl.SSLError
            raise LogError(f"the TLS files for Kafka can't be used: {error}") from error
        return {"bootstrap_servers": self._servers, **security}

    async def _connected_admin(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            admin = AIOKafkaAdminClient(**self._client_settings())
            self._admin = await _started(admin, admin.close)
        return self._admin

    async def _connected_offsets(self) -> AIOKafkaConsumer:
        if self._offsets is None:
            self._offsets = await self._new_consumer()
        return self._offsets

    async def _connected_producer(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    acks="all",
                    enable_idempotence=True,
                    max_batch_size=BATCH_BYTES,
                    max_request_size=MAX_LETTER_BYTES,
                    **self._client_settings(),
                )
                self._producer = await _started(producer, producer.stop)
            return self._producer

    async def _new_consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=POLL_MS,
            max_partition_fetch_bytes=READ_BYTES,
            **self._client_settings(),
        )
        return await _started(consumer, consumer.stop)

    # Topics.

    async def create_topics(self, specs: Sequence[TopicSpec]) -> list[str]:
        """Create those that do not exist and return their names. Existing ones stay untouched."""
        wanted = [
            NewTopic(
                spec.name,
                num_partitions=spec.partitions,
                replication_factor=spec.replication,
                topic_configs=dict(spec.config),
            )
            for spec in specs
        ]
        if not wanted:
            return []
        with self._errors():
            response = await self._patiently(lambda: self._create(wanted))
            created = list(_created(response.topic_errors))
            for name in created:
                await self._patiently(partial(self._led, name))
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
            _raise_for(partition["error_code"])

    async def describe(self, topic: str) -> TopicDescription | None:
        """Return the topic as the broker has it, None when it does not exist."""
        with self._errors():
            try:
                metadata = await self._patiently(lambda: self._metadata(topic))
            except UnknownTopic:
                return None
            partitions = metadata["partitions"]
            return TopicDescription(
                name=topic,
                partitions=len(partitions),
                replication=min(len(partition["replicas"]) for partition in partitions),
                config=await self._patiently(lambda: self._config(topic)),
            )

    async def _metadata(self, topic: str) -> Mapping[str, Any]:
        admin = await self._connected_admin()
        (metadata,) = await admin.describe_topics([topic])
        if for_code(metadata["error_code"]) is UnknownTopicOrPartitionError:
            raise UnknownTopic(f"there is no topic {topic}; `ritorno topics create` makes it")
        _raise_for(metadata["error_code"])
        return dict(metadata)

    async def _config(self, topic: str) -> dict[str, str]:
        admin = await self._connected_admin()
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        (response,) = await admin.describe_configs([resource])
        ((code, _, _, _, entries),) = response.resources
        _raise_for(code)
        return {entry[0]: entry[1] for entry in entries if entry[1] is not None}

    async def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has (cached). Raises UnknownTopic."""
        if topic not in self._partitions:
            with self._errors():
                metadata = await self._patiently(lambda: self._metadata(topic))
                self._partitions[topic] = len(metadata["partitions"])
        return self._partitions[topic]

    async def offsets(self, topic: str) -> Mapping[int, OffsetRange]:
        """Return the offset range of each partition. Raises UnknownTopic."""
        tps = [TopicPartition(topic, number) for number in range(await self.partitions(topic))]
        with self._errors():
            starts, ends = await self._patiently(lambda: self._ranges(tps))
        return {tp.partition: OffsetRange(starts[tp], ends[tp]) for tp in tps}

    async def _ranges(self, tps: list[TopicPartition]) -> tuple[Any, Any]:
        consumer = await self._connected_offsets()
        return await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)

    async def offset_at(self, topic: str, partition: int, instant: int) -> int:
        """Return the lowest offset that was appended at `instant` or later; the end if none was."""
        tp = TopicPartition(topic, partition)
        with self._errors():
            found = await self._patiently(lambda: self._found_at(tp, instant))
        if found is not None:
            return int(found.offset)
        return (await self.offsets(topic))[partition].end

    async def _found_at(self, tp: TopicPartition, instant: int) -> Any:
        consumer = await self._connected_offsets()
        return (await consumer.offsets_for_times({tp: max(instant, 0)}))[tp]

    # Appending.

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        """Append in order to one partition and return the last offset once all are acknowledged.

        Raises LogError for a record that is too large, before anything is written.
        """
        if not records:
            raise ValueError("nothing to append")
        if partition >= await self.partitions(topic):
            raise UnknownTopic(f"topic {topic} has no partition {partition}")
        with self._errors():
            producer = await self._patiently(self._connected_producer)
            batches = list(_batches(producer, topic, records))
            try:
                async with asyncio.timeout(self._patience):
                    return await _send(producer, topic, partition, batches)
            except (KafkaError, OSError):  # also TimeoutError; not a cancellation by our caller
                # What was in flight used up sequence numbers: this producer would only be refused.
                self._discard(producer)
                raise

    def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            # So that nothing of it is written after we have said that we don't know.
            internals: Any = producer
            internals._message_accumulator.fail_all(KafkaConnectionError("producer discarded"))
            task = asyncio.create_task(_stop_quietly(producer))
            self._discarded.add(task)
            task.add_done_callback(self._discarded.discard)

    # Reading.

    async def read(
        self, topic: str, partition: int, start: int, stop: int
    ) -> AsyncIterator[Sequence[Record]]:
        """Read [start, stop) of one partition, outside any group, in chunks."""
        if start >= stop:
            return
        await self.partitions(topic)
        tp = TopicPartition(topic, partition)
        async with self._reader(tp, start) as reader:
            position = start
            while position < stop:
                with self._errors():
                    async with asyncio.timeout(self._patience):
                        found, position = await _advance(reader, tp, position)
                chunk = [_record(record) for record in found if record.offset < stop]
                if chunk:
                    yield chunk

    @asynccontextmanager
    async def _reader(self, tp: TopicPartition, start: int) -> AsyncIterator[AIOKafkaConsumer]:
        with self._errors():
            reader = await self._patiently(self._new_consumer)
        try:
            reader.assign([tp])
            reader.seek(tp, start)
            yield reader
        finally:
            await reader.stop()

    # Failing.

    async def _patiently(self, attempt: Callable[[], Awaitable[_Result]]) -> _Result:
        """Try until it works or the patience is at an end."""
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                return await attempt()
            except (KafkaError, OSError) as error:
                if not _passes(error):
                    raise
                if asyncio.get_running_loop().time() + RETRY_SECONDS >= deadline:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the client raises into a LogError for people."""
        servers = ", ".join(self._servers)
        try:
            yield
        except (KafkaConnectionError, KafkaTimeoutError, TimeoutError, OSError) as error:
            raise LogUnavailable(
                f"Kafka at {servers} does not answer: check that it runs, the address, "
                f"and the security settings ({error!r})"
            ) from error
        except MessageSizeTooLargeError as error:
            raise LogError(f"Kafka refused a record batch as too large: {error}") from error
        except KafkaError as error:
            kind = LogUnavailable if _passes(error) else LogError
            raise kind(f"Kafka at {servers} refused: {error!r}") from error


async def _started(client: Any, stop: Callable[[], Awaitable[None]]) -> Any:
    try:
        await client.start()
    except BaseException:
        await stop()
        raise
    return client


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, batches: Sequence[Any]
) -> int:
    """Send all batches, await their acknowledgements and return the last offset."""
    sent: list[Any] = []
    for batch in batches:
        sent.append(await producer.send_batch(batch, topic, partition=partition))  # noqa: PERF401  reads as what it is
    *_, last = await asyncio.gather(*sent)
    if last.offset < 0:
        raise LogUnavailable(f"{topic}[{partition}] was written, but where is not known")
    offset: int = last.offset + batches[-1].record_count() - 1
    return offset


async def _stop_quietly(producer: AIOKafkaProducer) -> None:
    try:
        await producer.stop()
    except Exception as error:
        _log.debug("a discarded producer stopped with an error", error=repr(error))


def _batches(producer: AIOKafkaProducer, topic: str, records: Sequence[OutRecord]) -> Iterator[Any]:
    """Pack records into as few record batches as their sizes allow."""
    # A letter is a record that was read, and more: it must fit even where the record just did.
    limit = MAX_LETTER_BYTES if topic == DEAD_LETTERS else LARGEST_REQUEST
    batch = producer.create_batch()
    for record in records:
        if not _put(batch, record):
            batch.close()
            yield batch
            batch = producer.create_batch()
            _put(batch, record)  # the first one always fits, however large
        if batch.size() > limit:
            raise LogError(
                f"a record of {batch.size():,} bytes for {topic} is too large: "
                f"it takes up to {limit:,}"
            )
    batch.close()
    yield batch


def _put(batch: Any, record: OutRecord) -> bool:
    headers = list(record.headers)
    stored = batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
    return stored is not None


def _created(topic_errors: Sequence[Sequence[Any]]) -> Iterator[str]:
    for name, code, *message in topic_errors:
        error = for_code(code)
        if error is NoError:
            yield name
        elif error is not TopicAlreadyExistsError:
            raise LogError(f"topic {name} could not be created: {error.__name__} {message[0]}")


def _passes(error: Exception) -> bool:
    """Tell whether trying again may help."""
    if isinstance(error, KafkaConnectionError | KafkaTimeoutError | OSError):
        return True
    return isinstance(error, KafkaError) and bool(error.retriable)


def _raise_for(code: int) -> None:
    if (error := for_code(code)) is not NoError:
        raise error()


async def _advance(
    reader: AIOKafkaConsumer, tp: TopicPartition, position: int
) -> tuple[Sequence[Any], int]:
    """Return what comes next and the position after it, which may also have passed a hole."""
    while True:
        found = await reader.getmany(tp, timeout_ms=POLL_MS, max_records=READ_RECORDS)
        reached = await reader.position(tp)
        if tp in found or reached > position:
            return found.get(tp, ()), reached


def _record(record: Any) -> Record:
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        record.headers,
    )
