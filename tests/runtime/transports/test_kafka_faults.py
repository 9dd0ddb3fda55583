"""The Kafka transport and the Kafka log while the broker is away, paused, or asks who we are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiokafka
import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from schemas.records import OutRecord
from streams.log import Log, LogError, LogUnavailable, TopicSpec
from streams.runtime.logs.kafka import KafkaLog
from streams.runtime.logs.kafka.security import KafkaSecurity, Mechanism
from streams.runtime.transports.assigned_partition import BatchLease
from streams.runtime.transports.batch import Fenced, PartitionBatch, TopicPartition
from tests.broker import KafkaBroker
from tests.runtime.transports.kafka_backend import KafkaWorkers, unique
from tests.runtime.transports.machine import (
    TIMEOUT,
    CountingOwner,
    append_numbers,
    numbers,
    running,
)
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

SHORT_SESSION = 1.5
FORMING_SECONDS = 8.0
"""Less than the session of who has not left, whom the group would wait for."""


@pytest.fixture
async def backend(kafka_broker: KafkaBroker, tmp_path: Path) -> AsyncIterator[KafkaWorkers]:
    backend = KafkaWorkers(kafka_broker, tmp_path, session_timeout=SHORT_SESSION)
    yield backend
    await backend.close()


@pytest.fixture
async def log(backend: KafkaWorkers) -> KafkaLog:
    return await backend.open_log()


@pytest.fixture
async def topic(log: Log) -> str:
    name = unique("faults")
    await log.create_topics([TopicSpec(name=name, partitions=1)])
    return name


async def test_without_heartbeats_a_batch_may_not_write(
    backend: KafkaWorkers, log: Log, topic: str, kafka_broker: KafkaBroker
) -> None:
    """A worker that heard nothing of its group for a session's length may have been replaced: what
    it would write now, a zombie would write. It gives the batch up and reads it again later.
    """
    owner = CountingOwner()
    checks: list[str] = []

    async def while_the_broker_is_silent(batch: PartitionBatch, lease: BatchLease) -> None:
        lease.check()
        if not checks:
            kafka_broker.pause()
            try:
                await eventually(
                    lambda: app.consumer.heartbeat_age() > SHORT_SESSION, "a session is over"
                )
                checks.append("silent")
                lease.check()  # leaves the partition manager as the agents' runtimes do
            finally:
                kafka_broker.resume()  # after the check: heartbeats have a thread of their own

    owner.before_done = while_the_broker_is_silent
    await append_numbers(log, topic, 0, 0, 100)
    async with running(backend, log, unique("group"), {topic: _Tolerant(owner)}) as app:
        await owner.until(lambda: owner.total() >= 100)
        assert checks == ["silent"]
        assert app.partition_manager.counts.reopened >= 1
    assert numbers(owner.taken[TopicPartition(topic, 0)]) == list(range(100))


async def test_a_broker_that_dies_is_waited_for(
    backend: KafkaWorkers, log: Log, topic: str, kafka_broker: KafkaBroker
) -> None:
    """Nothing crashes, nothing is lost: appends and the consumer go on when it is back."""
    owner = CountingOwner()
    async with running(backend, log, unique("group"), {topic: owner}):
        await append_numbers(log, topic, 0, 0, 10)
        await owner.until(lambda: owner.total() >= 10)
        kafka_broker.kill()
        appending = asyncio.create_task(append_numbers(log, topic, 0, 10, 10))
        kafka_broker.launch()
        await asyncio.to_thread(kafka_broker.wait_until_ready)
        await appending
        await owner.until(lambda: owner.total() >= 20)
    assert sorted(set(numbers(owner.taken[TopicPartition(topic, 0)]))) == list(range(20))


async def test_a_worker_that_restarts_gets_its_partitions_back_without_a_rebalance(
    kafka_broker: KafkaBroker, tmp_path: Path, log: Log, topic: str
) -> None:
    """Static membership: within the session's length nobody else takes over meanwhile."""
    backend = KafkaWorkers(kafka_broker, tmp_path, worker_id="worker-1")
    group = unique("group")
    owner = CountingOwner()
    generations = []
    for start in (0, 10):
        await append_numbers(log, topic, 0, start, 10)
        async with running(backend, log, group, {topic: owner}) as app:
            await owner.until(lambda expected=start + 10: owner.total() >= expected)
            generations.append(app.consumer_generation_id)
    assert generations[0] == generations[1]
    assert numbers(owner.taken[TopicPartition(topic, 0)]) == list(range(20))
    await backend.close()


async def test_who_stops_as_planned_hands_over_at_once(
    kafka_broker: KafkaBroker, tmp_path: Path, log: KafkaLog, topic: str
) -> None:
    """A static member as well: its session would let the others wait for ten seconds."""
    group, owners, stops = unique("group"), (CountingOwner(), CountingOwner()), asyncio.Event()
    backends = [KafkaWorkers(kafka_broker, tmp_path, worker_id=name) for name in ("one", "two")]

    async def first() -> None:
        async with running(backends[0], log, group, {topic: owners[0]}):
            await stops.wait()

    stopping = asyncio.create_task(first())
    async with running(backends[1], log, group, {topic: owners[1]}) as app:
        await eventually_members(log, group, 2)
        stops.set()
        await stopping
        assert len(await log.members(group)) < 2  # empty while it is being formed anew
        await app.partition_manager.until(
            lambda: app.partition_manager.open() == {TopicPartition(topic, 0)}
        )
    for each in backends:
        await each.close()


async def test_who_stops_while_the_group_is_being_formed_leaves_it_too(
    kafka_broker: KafkaBroker, tmp_path: Path, log: KafkaLog, topic: str
) -> None:
    """The others are waited for, and wait for us: for a minute, if nobody leaves."""
    group, late = unique("group"), _Late()
    other = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=kafka_broker.bootstrap,
        group_id=group,
        partition_assignment_strategy=[RangePartitionAssignor],
        enable_auto_commit=False,
        heartbeat_interval_ms=100,
    )
    await other.start()
    backend = KafkaWorkers(kafka_broker, tmp_path, worker_id="one")
    try:
        async with running(backend, log, group, {topic: CountingOwner()}) as app:
            other.subscribe([topic], listener=late)
            await eventually(lambda: app.consumer_generation_id == 2, "the group has formed anew")
            late.holds_up = True
            thread = app.consumer._thread
            thread.thread_loop.call_soon_threadsafe(thread._consumer._coordinator.request_rejoin)
            await late.revoking.wait()  # the group waits for it, and so does our worker
        late.may_go_on.set()
        async with asyncio.timeout(FORMING_SECONDS):
            await late.has_all.wait()
    finally:
        late.may_go_on.set()
        await other.stop()
        await backend.close()


async def eventually_members(log: KafkaLog, group: str, count: int) -> None:
    """Wait until the group has so many members, as the broker has it."""

    async def are_there() -> bool:
        return len(await log.members(group)) == count

    await eventually(are_there, f"{group} has {count} members", seconds=TIMEOUT)


class _Late(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Gives its partitions up when it is told to."""

    def __init__(self) -> None:
        self.holds_up = False
        self.revoking, self.may_go_on, self.has_all = (asyncio.Event() for _ in range(3))

    async def on_partitions_revoked(self, revoked: Any) -> None:
        if self.holds_up:
            self.revoking.set()
            await self.may_go_on.wait()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        if self.may_go_on.is_set() and assigned:
            self.has_all.set()


async def test_a_broker_that_stays_away_is_reported_and_the_log_recovers(
    backend: KafkaWorkers, log: Log, topic: str, kafka_broker: KafkaBroker
) -> None:
    """Appends end in LogUnavailable, and the next one after the broker's return succeeds."""
    impatient = KafkaLog([kafka_broker.bootstrap], max_wait=0.5)
    await impatient.start()
    await append_numbers(impatient, topic, 0, 0, 1)
    kafka_broker.pause()
    try:
        with pytest.raises(LogUnavailable, match=r"Kafka at 127.0.0.1:\d+ does not answer"):
            await append_numbers(impatient, topic, 0, 1, 1)
    finally:
        kafka_broker.resume()
    last = await log.append(topic, 0, [OutRecord(b"k", b"2")])
    patient = KafkaLog([kafka_broker.bootstrap])
    await patient.start()
    found = [r async for chunk in patient.read(topic, 0, 0, last + 1) for r in chunk]
    assert [r.value for r in found] in ([b"0", b"2"], [b"0", b"1", b"2"])
    await impatient.stop()
    await patient.stop()


async def test_no_broker_at_all_is_said_in_words() -> None:
    log = KafkaLog(["127.0.0.1:1"], max_wait=0.5)
    with pytest.raises(LogUnavailable, match="check that it runs"):
        await log.start()
    await log.stop()


SASL: list[Mechanism] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def security(broker: KafkaBroker, mechanism: Mechanism | None) -> KafkaSecurity:
    return KafkaSecurity(
        tls=True,
        ca_file=broker.ca_file,
        mechanism=mechanism,
        username=broker.username,
        password=broker.password,
    )


@pytest.mark.parametrize(
    "mechanism",
    [None, *(pytest.param(each, marks=pytest.mark.slow) for each in SASL[:2]), SASL[2]],
)
async def test_log_and_transport_over_tls_and_sasl(
    kafka_broker: KafkaBroker, tmp_path: Path, mechanism: Mechanism | None
) -> None:
    listener = kafka_broker.sasl_bootstrap if mechanism else kafka_broker.tls_bootstrap
    backend = KafkaWorkers(
        kafka_broker, tmp_path, bootstrap=listener, security=security(kafka_broker, mechanism)
    )
    log = await backend.open_log()
    topic = unique("secure")
    assert await log.create_topics([TopicSpec(name=topic, partitions=1)]) == [topic]
    owner = CountingOwner()
    async with running(backend, log, unique("group"), {topic: owner}):
        await append_numbers(log, topic, 0, 0, 10)
        await owner.until(lambda: owner.total() >= 10)
    read = [r async for chunk in log.read(topic, 0, 0, 10) for r in chunk]
    assert numbers(read) == numbers(owner.taken[TopicPartition(topic, 0)]) == list(range(10))
    await backend.close()


async def test_a_wrong_password_is_refused_and_not_told(kafka_broker: KafkaBroker) -> None:
    wrong = KafkaSecurity(
        tls=True,
        ca_file=kafka_broker.ca_file,
        mechanism="SCRAM-SHA-512",
        username=kafka_broker.username,
        password="not this one",
    )
    log = KafkaLog([kafka_broker.sasl_bootstrap], security=wrong, max_wait=1)
    with pytest.raises(LogError, match="refused: wrong password, or no such user") as refused:
        await log.start()
    assert "not this one" not in str(refused.value) + repr(wrong)
    await log.stop()


@pytest.mark.parametrize("mechanism", SASL)
async def test_a_new_password_is_what_new_connections_log_in_with(
    kafka_broker: KafkaBroker, mechanism: Mechanism
) -> None:
    """Of a client that runs already: aiokafka keeps the password and has no way to change it."""
    old, other = security(kafka_broker, mechanism), security(kafka_broker, mechanism)
    other.password = "not this one"
    log = KafkaLog([kafka_broker.sasl_bootstrap], security=old, max_wait=1)
    await log.start()
    try:
        for now, works in ((other, False), (security(kafka_broker, mechanism), True)):
            old.exchange(now)
            assert log._admin is not None
            for connection in list(log._admin._client._conns.values()):
                connection.close()
            if works:
                assert await log.describe(unique("nothing")) is None
            else:
                with pytest.raises(LogUnavailable):
                    await log.describe(unique("nothing"))
    finally:
        await log.stop()


async def test_a_certificate_that_nobody_vouches_for_is_refused(kafka_broker: KafkaBroker) -> None:
    log = KafkaLog([kafka_broker.tls_bootstrap], security=KafkaSecurity(tls=True), max_wait=1)
    with pytest.raises(LogUnavailable):
        await log.start()
    await log.stop()


async def test_a_missing_certificate_file_is_said_in_words(tmp_path: Path) -> None:
    missing = KafkaSecurity(tls=True, ca_file=tmp_path / "missing.pem")
    with pytest.raises(LogError, match="TLS files"):
        await KafkaLog(["127.0.0.1:1"], security=missing).start()


class _Tolerant(CountingOwner):
    """Lets Fenced end a batch as the agents' runtimes do."""

    def __init__(self, owner: CountingOwner) -> None:
        super().__init__()
        self._owner = owner

    async def process(self, partition_manager: Any, batch: PartitionBatch) -> None:
        try:
            await self._owner.process(partition_manager, batch)
        except Fenced:
            self._note("failed", batch.tp)
