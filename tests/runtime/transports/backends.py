"""The two logs with their transports, as the conformance suite drives them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiokafka
import faust
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from streams.clock import Clock, SystemClock
from streams.log import Log, TopicSpec
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.logs.kafka import KafkaLog
from streams.runtime.transports import kafka
from streams.runtime.transports.consumer import app_settings, attach_manager, batch_topic
from streams.runtime.transports.partition_manager import PartitionManager
from streams.topic_names import TopicNames


class EmbeddedBackend:
    """SQLite in the test's directory."""

    def __init__(self, directory: Path, clock: Clock | None = None) -> None:
        self._directory = directory
        self._log = EmbeddedLog(directory / "log", clock or SystemClock())

    async def open_log(self) -> Log:
        await self._log.start()
        return self._log

    async def settle(self, topics: Sequence[TopicSpec]) -> None:
        await self._log.start()
        await self._log.create_topics(topics)

    def app(self, group: str, log: Log, partition_manager: PartitionManager) -> Any:
        return _app(
            group, self._directory, log, partition_manager, {"broker": "ritorno-embedded://"}
        )

    def channel(self, app: Any, topic: str) -> Any:
        return batch_topic(app, topic)

    async def rebalance(self, app: Any) -> None:
        await app.consumer.rebalance()

    async def close(self) -> None:
        await self._log.stop()


class KafkaBackend:
    """The session's broker; topics and groups have names of their own, and topics a prefix."""

    names = TopicNames("shop_of-tests.")

    def __init__(self, broker: Any, directory: Path) -> None:
        self._servers = [broker.bootstrap]
        self._directory = directory
        self._log = KafkaLog(self._servers, names=self.names)

    async def open_log(self) -> Log:
        await self._log.start()
        return self._log

    async def settle(self, topics: Sequence[TopicSpec]) -> None:
        await self._log.start()
        await self._log.create_topics(topics)

    def app(self, group: str, log: Log, partition_manager: PartitionManager) -> Any:
        # The shortest session a broker allows: members notice a rebalance by the heartbeat.
        settings = kafka.app_settings(servers=self._servers, session_timeout=6.0)
        return _app(group, self._directory, log, partition_manager, settings)

    def channel(self, app: Any, topic: str) -> Any:
        return batch_topic(app, topic)

    async def rebalance(self, app: Any) -> None:
        """Let another member join, take some of the partitions, and leave."""
        owned = app.partition_manager.owned()
        joined = asyncio.Event()
        intruder = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=app.conf.id,
            partition_assignment_strategy=[RangePartitionAssignor],
            enable_auto_commit=False,
        )
        await intruder.start()
        try:
            topics = {self.names.on_broker(tp.topic) for tp in owned}
            intruder.subscribe(topics, listener=_Assigned(joined))
            await joined.wait()
        finally:
            await intruder.stop()
        await app.partition_manager.until(lambda: app.partition_manager.owned() == owned)

    async def close(self) -> None:
        await self._log.stop()


class _Assigned(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, joined: asyncio.Event) -> None:
        self._joined = joined

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing is kept here."""

    async def on_partitions_assigned(self, assigned: Any) -> None:
        if assigned:
            self._joined.set()


def _app(
    group: str,
    directory: Path,
    log: Log,
    partition_manager: PartitionManager,
    settings: Mapping[str, Any],
) -> Any:
    app = faust.App(group, datadir=str(directory), **app_settings(), **settings)
    app.record_log = log
    attach_manager(app, partition_manager)
    return app
