"""What both Faust transports share: a consumer that delivers batches and commits watermarks.

Faust keeps what it is good at: the app, the agents, the group. Of its consumer it loses fetching,
acknowledging, committing and seeking, which the `PartitionManager` decides:

- each fetch says where it begins (`PartitionManager.wanted`), so nothing depends on where Faust or
  the client believe to have stopped;
- all records fetched from a partition become one Faust event whose value is a `PartitionBatch`;
- only the partition manager's watermarks are committed, whatever Faust acknowledges;
- a revocation first waits for the batch in flight, then commits, then lets go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import faust
from faust.transport.consumer import Consumer
from faust.types import TP, ConsumerMessage

from schemas.records import Record
from streams.logging import get_logger
from streams.runtime.transports.assigned_partition import FetchPosition
from streams.runtime.transports.batch import PartitionBatch, TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager

FETCH_TIMEOUT = 1.0
"""Seconds a fetch waits for records before the loop looks whether it should stop."""

COMMIT_INTERVAL = 1.0
"""Seconds between commits. Owners know their position themselves; commits are for lag metrics and
for owners that keep no state."""

COMMIT_TIMEOUT = 10.0
"""Seconds after which a commit is given up: it must not hold a revocation while a broker is away.
A watermark that isn't committed costs a repetition, never an event."""

LAST_COMMIT_TIMEOUT = 2.0
"""The same when the app stops, and all of it has STOP_SECONDS (`streams/runtime/worker.py`)."""

PAUSE_AFTER_ERROR = 1.0
"""Seconds before the next fetch after one that failed."""

_log = get_logger(__name__)


def app_settings() -> dict[str, Any]:
    """Return the Faust settings that both transports need, for `faust.App(id, **settings)`."""
    return {
        "store": "memory://",
        "web_enabled": False,  # Faust's server binds 0.0.0.0:6066
        "topic_allow_declare": False,  # topics are created by us, once
        "topic_disable_leader": True,  # its topic would be auto-created
        "stream_wait_empty": True,  # calls BatchConsumer.wait_empty when the app stops
        "stream_recovery_delay": 0.0,
        "broker_commit_interval": COMMIT_INTERVAL,
        "autodiscover": False,
    }


def attach_manager(app: faust.App, partition_manager: PartitionManager) -> None:
    """Give `app` the manager of its partitions. Call it before the app starts.

    `app.published` may then be set: what the process tells whoever looks at its consumer group; and
    `app.logging_in`: who is told of a Kafka consumer before it logs in (`KafkaSecurity.watch`).
    """
    app.partition_manager = partition_manager
    app.published = b""
    app.logging_in = lambda _: None
    app.sensors.add(_EndOfEvents(partition_manager))


def batch_topic(app: faust.App, name: str) -> Any:
    """Return the Faust topic `name` whose events' values are `PartitionBatch`es.

    For `@app.agent(batch_topic(app, name))`; the partition manager keeps order at any concurrency.
    """
    return app.topic(name, schema=_BatchSchema(), acks=False)


class BatchConsumer(Consumer):  # type: ignore[misc]  # Faust is untyped
    """Faust's consumer without its bookkeeping. A driver adds `fetch`, `_commit` and a Source."""

    partition_manager: PartitionManager

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.partition_manager = self.app.partition_manager
        self.partition_manager.attach(self)
        self._rebalancing_since: float | None = None

    # To be provided by the driver.

    async def fetch(
        self, wanted: Mapping[TopicPartition, FetchPosition], max_wait: float
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return records of `wanted` partitions, each beginning at the wanted offset.

        Waits at most `max_wait` seconds for the first of them, less when `interrupt` is called.
        """
        raise NotImplementedError

    def interrupt(self) -> None:
        """End the current wait of `fetch`."""
        raise NotImplementedError

    async def leave(self) -> None:
        """Leave the group: others may have what this process has let go. Safe to call twice."""
        raise NotImplementedError

    # Delivery.

    async def _drain_messages(self, fetcher: Any) -> None:
        """Deliver batches for ever. Called by Faust's Fetcher."""
        while not (self.should_stop or fetcher.should_stop):
            if not self.flow_active:
                await self.wait(self.can_resume_flow)
                continue
            try:
                await self._deliver(await self._fetch_wanted())
            except self.consumer_stopped_errors:
                if not self.app.should_stop:
                    raise
                return
            except asyncio.CancelledError:
                if not (self.app.should_stop or fetcher.should_stop):
                    raise
                return  # Faust would take it for the cancellation by a rebalance, and crash
            except Exception:  # Faust would end the worker; whatever it was, it may be over
                _log.exception("fetching failed, trying again")
                await self.sleep(PAUSE_AFTER_ERROR)

    async def _fetch_wanted(self) -> list[PartitionBatch]:
        wanted = self.partition_manager.wanted()
        fetching = asyncio.ensure_future(self.fetch(wanted, FETCH_TIMEOUT))
        # A partition that has become free must not wait until the idle ones have news.
        more = asyncio.ensure_future(self.partition_manager.until(lambda: self._wants_more(wanted)))
        try:
            await asyncio.wait({fetching, more}, return_when=asyncio.FIRST_COMPLETED)
            if not fetching.done():
                self.interrupt()
            fetched = await fetching
        finally:
            more.cancel()
            fetching.cancel()
        batches = (
            self.partition_manager.deliver(tp, wanted[tp], records)
            for tp, records in fetched.items()
        )
        return [batch for batch in batches if batch is not None]

    def _wants_more(self, wanted: Mapping[TopicPartition, FetchPosition]) -> bool:
        return any(wanted.get(tp) != want for tp, want in self.partition_manager.wanted().items())

    async def _deliver(self, batches: Iterable[PartitionBatch]) -> None:
        for batch in batches:
            await self.callback(self._batch_message(batch))

    def _batch_message(self, batch: PartitionBatch) -> ConsumerMessage:
        last = batch.records[-1]
        return ConsumerMessage(
            topic=last.topic,
            partition=last.partition,
            offset=last.offset,
            timestamp=last.timestamp / 1000,
            timestamp_type=1,
            headers=[],
            key=None,
            value=batch,
            checksum=None,
            tp=TP(last.topic, last.partition),
            # Without it the stream skips the event silently.
            generation_id=self.app.consumer_generation_id,
        )

    def resume_flow(self) -> None:
        """Let records flow after a rebalance; Faust has just emptied the agents' queues."""
        super().resume_flow()
        self.partition_manager.rewind()

    # Partitions coming and going.

    async def on_partitions_revoked(self, revoked: Iterable[TP]) -> None:
        """Wait for the batches in flight, commit, let go; then tell Faust."""
        self._rebalancing_since = asyncio.get_running_loop().time()
        await self._let_go(revoked)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Tell Faust, then open the partitions in the background."""
        await super().on_partitions_assigned(assigned, generation_id)
        if not self.app.should_stop:
            self.partition_manager.assigned(TopicPartition(*tp) for tp in assigned)
            if self._rebalancing_since is not None:
                took = asyncio.get_running_loop().time() - self._rebalancing_since
                self._rebalancing_since = None
                self.partition_manager.on_rebalance(took)

    async def wait_empty(self) -> None:
        """Finish the batches in flight, commit and let go. Called at each rebalance, and when the
        app stops: then the group is left, too."""
        await self._let_go(self.partition_manager.owned())
        if self.app.should_stop:
            await self.leave()

    async def on_stop(self) -> None:
        """Do the same where Faust had no reason to call `wait_empty`."""
        await self._let_go(self.partition_manager.owned())
        await self.leave()

    async def _let_go(self, tps: Iterable[tuple[str, int]]) -> None:
        await self._commit_watermarks(
            await self.partition_manager.revoked(TopicPartition(*tp) for tp in tps)
        )

    async def perform_seek(self) -> None:
        """Do nothing: each fetch says where it begins."""

    # Committing.

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit the partition manager's watermarks, and nothing that Faust believes to be done."""
        return await self._commit_watermarks(self.partition_manager.committable())

    async def _commit_watermarks(self, offsets: Mapping[TopicPartition, int]) -> bool:
        if not offsets:
            return False
        try:
            seconds = LAST_COMMIT_TIMEOUT if self.app.should_stop else COMMIT_TIMEOUT
            async with asyncio.timeout(seconds):
                done = bool(await self._commit({TP(*tp): offset for tp, offset in offsets.items()}))
        except Exception as error:
            done = False
            _log.warning("commit failed", error=repr(error))
        if done:
            self.partition_manager.committed(offsets)
        else:
            self.partition_manager.counts.failed_commits += 1
        return done

    # What Faust would watch over.

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: it looks at acknowledgements, which there are none of, and cries wolf."""


class _BatchSchema(faust.Schema):  # type: ignore[misc]  # Faust is untyped
    """Passes the batch on as it is."""

    def compile(self, app: faust.App, **_: Any) -> Callable[..., Any]:
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return create_event(None, message.value, message.headers, message)

        return decode


class _EndOfEvents(faust.Sensor):  # type: ignore[misc]  # Faust is untyped
    """Tells the partition manager when Faust is through with an event.

    An agent that was cancelled or that raised outside the partition manager drops its event, and
    Faust goes on with the next one as if nothing had happened.
    """

    def __init__(self, partition_manager: PartitionManager, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._partition_manager = partition_manager

    def on_stream_event_out(
        self, tp: Any, offset: int, stream: Any, event: Any, state: Any = None
    ) -> None:
        """Called after the agent's body, however it ended."""
        if isinstance(event.value, PartitionBatch):
            self._partition_manager.dropped(event.value)
