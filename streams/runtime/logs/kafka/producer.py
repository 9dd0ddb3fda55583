"""The one producer of the log on Kafka: whole record batches to an explicit partition.

Idempotent (acks=all), and a tenth of the cost of sending record by record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from schemas.dead_letters import MAX_LETTER_BYTES
from schemas.records import OutRecord
from streams.log import LogUnavailable, RecordTooLarge
from streams.logging import get_logger
from streams.runtime.logs.kafka.retry import RetryPolicy, started
from streams.topic_names import TopicNames
from streams.topology import DEAD_LETTERS, LOG_RECORD_BYTES

BATCH_BYTES = 512 * 1024
"""Bytes of one record batch; larger ones gain nothing and delay the other partitions."""

_log = get_logger(__name__)


class KafkaProducer:
    """Connects at the first use, and anew after a failure that leaves its numbering in doubt."""

    def __init__(
        self,
        client_settings: Callable[[], dict[str, Any]],
        retry_policy: RetryPolicy,
        names: TopicNames,
        *,
        connecting: Callable[[AIOKafkaProducer], None] = lambda _: None,
    ) -> None:
        """`connecting` is told of each producer before it connects."""
        self._client_settings = client_settings
        self._connecting_with = connecting
        self._retry_policy = retry_policy
        self._names = names
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._discarded: set[asyncio.Task[None]] = set()

    async def connected(self) -> AIOKafkaProducer:
        """Return aiokafka's producer, connected."""
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    acks="all",
                    enable_idempotence=True,
                    max_batch_size=BATCH_BYTES,
                    max_request_size=MAX_LETTER_BYTES,
                    **self._client_settings(),
                )
                self._connecting_with(producer)
                self._producer = await started(producer, producer.stop)
            return self._producer

    async def stop(self) -> None:
        """Flush and disconnect. Safe to call twice."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(producer.stop(), self._retry_policy.seconds)
        if self._discarded:
            await asyncio.wait(self._discarded)

    async def append(self, topic: str, partition: int, records: Sequence[OutRecord]) -> int:
        """Append in order; return the last offset. Raises RecordTooLarge, with nothing written."""
        producer = await self._retry_policy.tried(self.connected)
        batches = list(_batches(producer, topic, records))
        try:
            async with asyncio.timeout(self._retry_policy.seconds):
                return await _send(producer, self._names.on_broker(topic), partition, batches)
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


def _batches(producer: AIOKafkaProducer, topic: str, records: Sequence[OutRecord]) -> Iterator[Any]:
    """Pack records into as few record batches as their sizes allow."""
    # A letter is a record that was read, and more: it must fit even where the record just did.
    limit = MAX_LETTER_BYTES if topic == DEAD_LETTERS else LOG_RECORD_BYTES
    batch = producer.create_batch()
    for record in records:
        if not _put(batch, record):
            batch.close()
            yield batch
            batch = producer.create_batch()
            _put(batch, record)  # the first one always fits, however large
        if batch.size() > limit:
            raise RecordTooLarge(
                f"a record of {batch.size():,} bytes for {topic} is too large: "
                f"it takes up to {limit:,}"
            )
    batch.close()
    yield batch


def _put(batch: Any, record: OutRecord) -> bool:
    headers = list(record.headers)
    stored = batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
    return stored is not None


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
