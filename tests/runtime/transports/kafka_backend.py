"""What the tests of the Kafka transport add to the conformance suite's backend."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import faust
from aiokafka.admin import AIOKafkaAdminClient

from streams.log import Log
from streams.runtime.logs.kafka import KafkaLog
from streams.runtime.logs.kafka.security import KafkaSecurity
from streams.runtime.transports import kafka
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.transports.consumer import app_settings, attach_manager
from streams.runtime.transports.partition_manager import PartitionManager
from tests.broker import KafkaBroker
from tests.runtime.transports.backends import KafkaBackend


class KafkaWorkers(KafkaBackend):
    """Each app is a worker of its own, on any of the broker's listeners."""

    def __init__(
        self,
        broker: KafkaBroker,
        directory: Path,
        *,
        bootstrap: str | None = None,
        security: KafkaSecurity | None = None,
        worker_id: str | None = None,
        session_timeout: float = kafka.SESSION_TIMEOUT,
    ) -> None:
        super().__init__(broker, directory)
        self._servers = [bootstrap or broker.bootstrap]
        self._security = security
        self._worker_id = worker_id
        self._session_timeout = session_timeout
        self._log = KafkaLog(self._servers, security=security)

    def app(self, group: str, log: Log, partition_manager: PartitionManager) -> Any:
        settings = kafka.app_settings(
            servers=self._servers,
            worker_id=self._worker_id,
            security=self._security,
            session_timeout=self._session_timeout,
        )
        app = faust.App(group, datadir=str(self._directory), **app_settings(), **settings)
        app.record_log = log
        attach_manager(app, partition_manager)
        return app

    async def rejoin(self, app: Any) -> None:
        """Have all partitions revoked and assigned again, without another member."""
        generation = app.consumer_generation_id
        owned = app.partition_manager.owned()
        thread = app.consumer._thread
        thread.thread_loop.call_soon_threadsafe(thread._consumer._coordinator.request_rejoin)
        await app.partition_manager.until(
            lambda: (
                app.consumer_generation_id != generation and app.partition_manager.owned() == owned
            )
        )

    async def admin(self) -> AIOKafkaAdminClient:
        """Return a started admin client; who asks for it closes it."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        return admin

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """Return what the group has committed, as the broker has it."""
        admin = await self.admin()
        try:
            offsets = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        return {TopicPartition(*tp): found.offset for tp, found in offsets.items()}


def unique(prefix: str) -> str:
    """Return a name that no other test, nor another run against this broker, has used."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"
