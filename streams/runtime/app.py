"""The Faust app: a consumer group, its assignment, and one agent per topic that is read.

Faust is used for consumption only. Nothing is produced through it and it keeps no tables: records
go through `Log`, state through `streams/runtime/state/`. The two transports of ours hand each agent
whole batches and take their commits from the `PartitionManager` (`streams/runtime/transports/`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import faust
from faust.tables.manager import TableManager
from faust.types import TP

from streams.log import Log
from streams.runtime.factories import consumer_group
from streams.runtime.transports import consumer
from streams.runtime.transports.batch import Fenced, PartitionBatch, TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager
from streams.settings import Settings
from streams.topology import AgentSpec

if TYPE_CHECKING:
    from streams.runtime.logs.kafka import KafkaLog

CONCURRENCY = 2
"""Batches of one agent under way: deciding needs the processor, writing waits for the log, so two
keep both busy (some 15 % more events a second); a third would wait for the processor."""

Process = Callable[[PartitionBatch], Awaitable[None]]


class NoTables(TableManager):  # type: ignore[misc]  # Faust ships without type information
    """Faust's manager of tables begins by sleeping for a second, so that modules which are still
    being imported can add theirs. There are none, and a worker is ready that much sooner."""

    async def on_start(self) -> None:
        """Be done with what there is to recover, which is nothing."""
        await self._update_channels()
        await self.recovery.start()


class App(faust.App):  # type: ignore[misc]  # Faust ships without type information
    """A Faust app that brings what our transports need."""

    def __init__(
        self, *, settings: Settings, record_log: Log, partition_manager: PartitionManager
    ) -> None:
        options = {
            **consumer.app_settings(),
            **_broker(settings, record_log),
            "datadir": str(settings.data_dir / "faust"),
            "TableManager": NoTables,
        }
        super().__init__(consumer_group(settings), **options)
        self.record_log = record_log
        consumer.attach_manager(self, partition_manager)
        if settings.on_kafka:
            self.logging_in = _kafka(record_log).security.watch

    def read(self, agent: AgentSpec, process: Process) -> None:
        """Register `agent`: each batch of the topic it reads goes to `process`."""

        async def body(batches: Any) -> None:
            async for batch in batches:
                await process(batch)

        # While one batch is being written the next one, of another partition, is being decided. The
        # partition manager gives a partition to one batch at a time, in order, whoever brings it.
        self.agent(
            consumer.batch_topic(self, agent.reads), name=agent.name, concurrency=CONCURRENCY
        )(body)

    def on_assignment(
        self, topic: str, changed: Callable[[Iterable[TopicPartition]], None]
    ) -> None:
        """Tell `changed` after each assignment which partitions of `topic` this process has."""

        async def assigned(_: Any, assigned: set[TP], **__: Any) -> None:
            changed(
                [TopicPartition(tp.topic, tp.partition) for tp in assigned if tp.topic == topic]
            )

        self.on_partitions_assigned.connect(assigned, weak=False)

    def check(self, tp: TopicPartition) -> None:
        """Raise Fenced when this process may have lost `tp`; for who writes outside of a lease."""
        if tp not in self.partition_manager.owned():
            raise Fenced(f"{tp.topic}/{tp.partition} is another worker's")
        age = self.consumer.heartbeat_age()
        if age >= self.consumer.session_timeout:
            raise Fenced(f"no heartbeat for {age:.1f} s: another worker may own the partition")


def _broker(settings: Settings, log: Log) -> dict[str, Any]:
    if not settings.on_kafka:
        return {"broker": "ritorno-embedded://"}
    # aiokafka takes a third of a second to import, which the embedded log needn't wait for.
    from streams.runtime.transports import kafka  # noqa: PLC0415  # see above

    return kafka.app_settings(
        servers=settings.bootstrap_servers,
        worker_id=settings.worker_id,
        # Of the log, so that both have new certificates and a new password together.
        security=_kafka(log).security,
        session_timeout=settings.kafka_session_seconds,
    )


def _kafka(log: Log) -> KafkaLog:
    from streams.runtime.logs.kafka import KafkaLog  # noqa: PLC0415  # see `_broker`

    assert isinstance(log, KafkaLog)
    return log
