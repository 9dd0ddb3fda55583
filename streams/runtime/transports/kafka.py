"""The Kafka transport: Faust's aiokafka driver, delivering batches. Scheme `ritorno-kafka://`.

On real Kafka the stock driver lost events in six ways. What cures each of them here:

1. A partition without a committed offset went on from its fetch position after a rebalance had
   emptied the buffers. → Each fetch begins at the offset the partition manager wants; where nothing
   is committed that is the earliest (`KafkaConsumer.first_offset`, `_Thread.fetch`).
2. Partitions were opened before they had been sought, and records fetched again were dropped as
   old. → Only what the partition manager wants is fetched, the rest is paused from the assignment
   on, and there is no second idea of the read position.
3. Faust acknowledges an event whose agent failed. → Only the partition manager's watermarks are
   committed, and a dropped batch is read again (`streams/runtime/transports/consumer.py`).
4. A batch in flight outlived the revocation of its partition. → The revocation waits for it, and
   later ones are stale (`PartitionManager.revoked`, `PartitionManager.enter`).
5. The offsets between two batch events counted as a gap, acknowledged at once. → Faust tracks no
   offsets of these topics at all.
6. As a guard, a fetch that begins later than wanted is repeated once, and believed only when the
   broker shows the same again; one that begins earlier is of a log that was made anew, and is not
   believed at all (`KafkaConsumer._as_wanted`).

Against a paused process that wakes up after others have taken over: `heartbeat_age`, which a lease
checks before it writes.

The aiokafka consumer runs on a thread with its own event loop, so that heartbeats don't wait for
agents. `_Thread` lives there, `KafkaConsumer` and the partition manager on the app's loop.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import aiokafka
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    for_code,
)
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as stock
from faust.types import TP
from mode.threads import WorkerThread

from schemas.records import Record
from streams.logging import get_logger
from streams.runtime.logs.kafka import ISOLATION, record_of
from streams.runtime.logs.kafka.retry import explained
from streams.runtime.logs.kafka.security import KafkaSecurity
from streams.runtime.transports.assigned_partition import FetchPosition
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.transports.consumer import BatchConsumer
from streams.topic_names import TopicNames

SCHEME = "ritorno-kafka"

BATCH_RECORDS = 4_000
"""Records of one fetch at most: some 0.1 s of an agent's work, and enough to spread the cost of an
event and of a round trip to the broker."""

BATCH_BYTES = 2 * 1024 * 1024
"""Bytes of one fetch per partition at most: BATCH_RECORDS of some 500 bytes. Fuller batches write
fewer kept records, since a customer's is written once per batch."""

FETCH_WAIT_MS = 100
"""How long the broker holds a fetch that finds nothing. One request at a time goes to a broker, so
this is also how long a partition just opened or drained may wait for the idle ones. Faust's 1500
delays it by that much; ten empty requests a second cost nothing."""

SESSION_TIMEOUT = 10.0
HEARTBEAT_INTERVAL = 0.3
"""Seconds. A worker that is gone is noticed after the first, and that the group is formed anew the
others learn by their next heartbeat. Three small requests a second cost nothing. Brokers refuse
sessions below 6 s by default."""

CLOSING_SECONDS = 0.2
"""For which the coordination with the group may go on when it is left."""
LEAVING_SECONDS = 3.0
"""For which a broker's answer to our leaving is waited; without it the session has to end."""
HANGING_UP_SECONDS = 1.0
"""For what then remains to be closed; a worker has ten for everything."""

_NEVER = -math.inf

_THROWN_OUT = "it has thrown this worker out: paused for too long, or another has the same id"

_log = get_logger(__name__)


def app_settings(
    *,
    servers: Sequence[str],
    worker_id: str | None = None,
    security: KafkaSecurity | None = None,
    session_timeout: float = SESSION_TIMEOUT,
) -> dict[str, Any]:
    """Return the Faust settings for this transport, beside `consumer.app_settings`.

    `servers` are HOST:PORT. With a `worker_id`, unique in the group, a worker that restarts within
    `session_timeout` seconds gets its partitions back at once (static membership).
    """
    return {
        "broker": [f"{SCHEME}://{server}" for server in servers],
        "broker_credentials": (security or KafkaSecurity()).faust_credentials(),
        "broker_session_timeout": session_timeout,
        "broker_heartbeat_interval": min(HEARTBEAT_INTERVAL, session_timeout / 4),
        "broker_max_poll_records": BATCH_RECORDS,
        "consumer_max_fetch_size": BATCH_BYTES,
        "consumer_group_instance_id": worker_id,
    }


def _publishing(content: bytes) -> type[RangePartitionAssignor]:
    """Return the assignor of a member that publishes `content` for whoever looks at the group.

    The broker keeps a member's metadata and shows it with its partitions; the assignor's leader
    doesn't look at it, so members with and without it share a group.
    """

    class Publishing(RangePartitionAssignor):  # type: ignore[misc]  # aiokafka is untyped
        @classmethod
        def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
            return ConsumerProtocolMemberMetadata(cls.version, list(topics), content)

    return Publishing


class _RebalanceListener(stock.ConsumerRebalanceListener):  # type: ignore[misc]  # Faust is untyped
    """Called on the thread, by aiokafka's coordinator."""

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> Awaitable[None]:
        # No coroutine: Faust counts on being called before anybody awaits.
        told: Awaitable[None] = super().on_partitions_revoked(self._thread.plain(revoked))
        return told

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        self._thread.joined(assigned)
        await super().on_partitions_assigned(self._thread.plain(assigned))


class _DaemonThread(WorkerThread):  # type: ignore[misc]  # mode is untyped
    """A process may end without it, should it hang: it holds nothing that must be written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.daemon = True


class _Thread(stock.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped
    """Owns the aiokafka consumer. All methods but `beat_age` and `interrupt` run on the thread."""

    Worker = _DaemonThread

    def __post_init__(self) -> None:
        super().__post_init__()
        self._reads: dict[Any, int] = {}
        self._last_beat = _NEVER
        self.refusal = ""
        self._interrupted = asyncio.Event()

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=stock.server_list(transport.url, transport.default_port),
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            # By ranges: one worker has the same partitions of each topic, so all of a customer.
            partition_assignment_strategy=[_publishing(self.app.published)],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=ISOLATION,
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=_ms(conf.broker_max_poll_interval),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            check_crcs=conf.broker_check_crcs,
            request_timeout_ms=_ms(conf.broker_request_timeout),
            session_timeout_ms=_ms(conf.broker_session_timeout),
            rebalance_timeout_ms=_ms(conf.broker_rebalance_timeout),
            heartbeat_interval_ms=_ms(conf.broker_heartbeat_interval),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **stock.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )
        self.app.logging_in(consumer)
        return consumer

    async def on_start(self) -> None:
        """Connect, and watch the heartbeats."""
        await super().on_start()
        coordinator = self._consumer._coordinator
        beat = coordinator._do_heartbeat

        async def watched() -> Any:
            sent = _now()
            accepted = await beat()
            if accepted:
                # From when it was sent: the broker's timeout begins no earlier.
                self._last_beat = sent
            elif not coordinator.member_id:
                self._last_beat = _NEVER
                self.refusal = _THROWN_OUT
                _log.error("the group has thrown this worker out; either it was paused for too "
                           "long, or another one runs under the same worker id",
                           worker_id=self.app.conf.consumer_group_instance_id)  # fmt: skip
            return accepted

        coordinator._do_heartbeat = watched

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribe to our `topics`, by the names that they have on the broker. Any thread."""
        await super().subscribe([self._names.on_broker(topic) for topic in topics])

    def assignment(self) -> set[TP]:
        """Return the partitions that we have, by our names."""
        return self.plain(self._ensure_consumer().assignment())

    def plain(self, tps: Iterable[Any]) -> set[TP]:
        """Return the broker's partitions by our names."""
        return {TP(self._names.plain(tp.topic), tp.partition) for tp in tps}

    @property
    def _names(self) -> TopicNames:
        names: TopicNames = self.app.record_log.names
        return names

    async def on_thread_stop(self) -> None:
        """Hang up. In order if that is possible in time: while the broker is away aiokafka waits
        for it without an end, and the process for this thread."""
        try:
            async with asyncio.timeout(HANGING_UP_SECONDS):
                await super().on_thread_stop()
        except (Exception, asyncio.CancelledError) as error:  # whatever it is, this is the end
            # A cancellation is one of aiokafka's own requests, which its fetcher passes on.
            _log.info("the consumer could not leave in order", error=repr(error))
            if self._consumer is not None:
                with suppress(Exception, asyncio.CancelledError):
                    await self._consumer._client.close()

    def on_crash(self, msg: str, *fmt: Any, **_: Any) -> None:
        """Say so in the log; mode would print it."""
        _log.error("the consumer's thread has broken down", exc_info=True)

    def joined(self, assigned: Iterable[Any]) -> None:
        """Begin a generation: nothing is read until the partition manager says from where."""
        self._last_beat = _now()
        self.refusal = ""
        self._reads.clear()
        self._consumer.pause(*assigned)

    def beat_age(self) -> float:
        """Return the seconds since the last heartbeat that was accepted. Any thread."""
        return _now() - self._last_beat

    def interrupt(self) -> None:
        """End the wait of the fetch under way. Any thread."""
        self.thread_loop.call_soon_threadsafe(self._interrupted.set)

    async def fetch(
        self, wanted: Mapping[Any, int], max_wait: float
    ) -> dict[Any, tuple[int, list[Record]]]:
        """Return records of the `wanted` partitions (partition → offset), and from which offset on
        they were asked for."""
        consumer = self._ensure_consumer()
        if consumer._coordinator._coordination_task.done():
            raise ConsumerStoppedError("the group's coordination has ended")  # ends the worker
        # Errors of the group, such as a lack of permission, wait here until somebody looks.
        try:
            consumer._coordinator.check_errors()
        except KafkaError as error:  # and the coordinator tries again, without a word
            self.refusal = explained(error)
            raise
        ready = consumer.assignment() & wanted.keys()
        for tp in ready:
            self._read_from(consumer, tp, wanted[tp])
        with consumer._subscription.fetch_context():  # or idle openings count as a dead consumer
            if not ready:
                await self._waited(self._interrupted.wait(), max_wait)
                return {}
            found = await self._waited(
                consumer._fetcher.fetched_records(
                    ready, timeout=max_wait, max_records=consumer._max_poll_records
                ),
                max_wait,
            )
        for tp, records in found.items():
            self._reads[tp] = records[-1].offset + 1
        return {
            tp: (records.begin, [record_of(record, topic) for record in records])
            for tp, records in found.items()
            for topic in (self._names.plain(tp.topic),)
        }

    def _read_from(self, consumer: aiokafka.AIOKafkaConsumer, tp: Any, offset: int) -> None:
        if self._reads.get(tp) != offset:
            consumer.seek(tp, offset)
            consumer.resume(tp)
            self._reads[tp] = offset

    async def _waited(self, waiting: Any, max_wait: float) -> Any:
        """Await `waiting` until somebody interrupts; it holds no records while it waits."""
        task = asyncio.ensure_future(waiting)
        interrupted = asyncio.ensure_future(self._interrupted.wait())
        try:
            await asyncio.wait(
                {task, interrupted}, timeout=max_wait, return_when=asyncio.FIRST_COMPLETED
            )
            return task.result() if task.done() else {}
        finally:
            task.cancel()
            interrupted.cancel()
            # Here and not at the beginning: one that came before the wait must end it at once.
            self._interrupted.clear()

    def forget(self, tp: Any) -> None:
        """Have the next fetch of `tp` seek. Any thread."""
        self._reads.pop(tp, None)

    async def first_offset(self, tp: Any) -> int:
        """Return the committed offset, or the earliest that is kept."""
        consumer = self._ensure_consumer()
        earliest: int = (await consumer.beginning_offsets([tp]))[tp]
        committed: int | None = await consumer.committed(tp)
        return earliest if committed is None else max(committed, earliest)

    async def commit_offsets(self, offsets: Mapping[Any, int]) -> bool:
        """Commit; return False when the group has moved on."""
        try:
            await self._ensure_consumer().commit(
                {tp: OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
            )
        except (CommitFailedError, IllegalStateError) as error:
            _log.info("commit refused, the group has moved on", error=str(error))
            return False
        return True

    async def leave(self) -> None:
        """Leave the group for good; a static member too, which aiokafka lets wait for the end of
        its session.

        Who is alone stays in it: nobody waits for the partitions, and a broker lets the first
        member of an empty group wait for others (three seconds by default), while who comes back
        under its worker id within the session has them at once.
        """
        consumer = self._consumer
        coordinator = consumer and consumer._coordinator
        if coordinator is None or coordinator._closing.done():
            return
        member_id, node = coordinator.member_id, coordinator.coordinator_id
        # Ends at once, unless the group is just being formed: then it waits for all others, who
        # wait for us. So our leaving has a connection of its own, and ends that wait.
        closing = asyncio.create_task(coordinator.close())
        await asyncio.wait([closing], timeout=CLOSING_SECONDS)
        if member_id and node is not None and coordinator._group_instance_id is not None:
            try:
                async with asyncio.timeout(LEAVING_SECONDS):
                    if await self._has_others(node, coordinator.group_id):
                        leave = LeaveGroupRequest(coordinator.group_id, member_id)
                        answer = await consumer._client.send(node, leave)
                        if answer.error_code:
                            raise for_code(answer.error_code)
            except (KafkaError, TimeoutError) as error:
                _log.warning("the group could not be left: it gives our partitions to others once "
                             "the session is over", error=repr(error))  # fmt: skip
        # It waits for a broker that is away without an end.
        done, _ = await asyncio.wait([closing], timeout=HANGING_UP_SECONDS)
        if done:
            await closing
        else:
            closing.cancel()

    async def _has_others(self, node: int, group: str) -> bool:
        answer = await self._consumer._client.send(node, DescribeGroupsRequest([group]))
        ((error_code, *_, members),) = answer.groups
        return error_code != 0 or len(members) > 1

    def close(self) -> None:
        """Do nothing: the consumer is stopped with its thread, not from another one."""


class KafkaConsumer(BatchConsumer, stock.Consumer):  # type: ignore[misc]  # Faust is untyped
    """Faust's consumer on Kafka; the manager's `FetchSource`."""

    RebalanceListener = _RebalanceListener

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._suspects: dict[TopicPartition, tuple[int, int]] = {}

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    # The manager's `FetchSource`.

    @property
    def session_timeout(self) -> float:
        """Seconds without a heartbeat after which the group gives our partitions to another."""
        return float(self.app.conf.broker_session_timeout)

    def heartbeat_age(self) -> float:
        """Return the seconds since the last accepted heartbeat; inf after a refusal."""
        return float(self._thread.beat_age())

    def refusal(self) -> str:
        """Return why the group refuses this worker, since it was a member last; empty if not."""
        return str(self._thread.refusal)

    async def first_offset(self, tp: TopicPartition) -> int:
        """Return the group's committed offset, or the earliest one where there is none."""
        return int(await self._on_thread(self._thread.first_offset(self._theirs(tp))))

    async def leave(self) -> None:
        """Leave the group, so that others have the partitions at once."""
        await self._on_thread(self._thread.leave())

    # Fetching.

    async def fetch(
        self, wanted: Mapping[TopicPartition, FetchPosition], max_wait: float
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return records of `wanted` partitions, each beginning at the wanted offset, or at the
        first one behind it that isn't a transaction's end or was aborted."""
        offsets = {self._theirs(tp): want.offset for tp, want in wanted.items()}
        found = await self._on_thread(self._thread.fetch(offsets, max_wait))
        names = self.app.record_log.names
        fetched = {
            TopicPartition(names.plain(tp.topic), tp.partition): each for tp, each in found.items()
        }
        return {
            tp: records
            for tp, (begin, records) in fetched.items()
            if self._as_wanted(tp, wanted[tp].offset, begin, records[0].offset)
        }

    def interrupt(self) -> None:
        """End the current wait of `fetch`."""
        self._thread.interrupt()

    def _as_wanted(self, tp: TopicPartition, wanted: int, begin: int, first: int) -> bool:
        """Tell whether a fetch may be delivered; one that begins elsewhere must do so twice."""
        if wanted in (begin, first):
            self._suspects.pop(tp, None)
            return True
        where = {"topic": tp.topic, "partition": tp.partition, "wanted": wanted, "got": first}
        if first < wanted:  # a new log, read from its beginning; whoever opens it finds out
            text = f"offset {wanted} was asked for, and the log shows {first}"
            self.partition_manager.distrust(tp, RuntimeError(text))
            return False
        if self._suspects.pop(tp, None) == (wanted, first):
            self.partition_manager.counts.gaps += 1
            _log.error("the broker has no records in between, going on after them", **where)
            return True
        self._suspects[tp] = (wanted, first)
        self.partition_manager.counts.refetches += 1
        _log.warning("a fetch began elsewhere than wanted, repeating it", **where)
        self._thread.forget(self._theirs(tp))
        return False

    # Committing.

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        theirs = {self._theirs(tp): offset for tp, offset in offsets.items()}
        return bool(await self._on_thread(self._thread.commit_offsets(theirs)))

    def _theirs(self, tp: tuple[str, int]) -> Any:
        topic, partition = tp
        return aiokafka.TopicPartition(self.app.record_log.named(topic), partition)

    async def _on_thread(self, work: Any) -> Any:
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(work, self._thread.thread_loop)
        )


class _Producer(stock.Producer):  # type: ignore[misc]  # Faust is untyped
    """Faust wants one; we write through `streams.log.Log`, so it never connects."""

    async def on_start(self) -> None:
        """Do nothing."""

    async def on_stop(self) -> None:
        """Do nothing."""

    async def flush(self) -> None:
        """Do nothing."""


class KafkaTransport(stock.Transport):  # type: ignore[misc]  # Faust is untyped
    """Registered as the entry point `ritorno-kafka` of `faust.transports`."""

    Consumer = KafkaConsumer
    Producer = _Producer


def _ms(seconds: float | None) -> int:
    return int((seconds or 0) * 1000)


def _now() -> float:
    # Unlike time.monotonic it goes on while the machine is suspended, which is when it matters.
    return time.clock_gettime(time.CLOCK_BOOTTIME)
