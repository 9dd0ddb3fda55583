"""Stores of partitions that were just taken away, in case they come straight back.

An eager rebalance takes every partition from every worker and hands most of them back a moment
later. A store that comes back only has to catch up; one that does not is dropped once the new
assignment is known, so that nothing is left of customers that are another worker's now.

Likewise stores of partitions that this process is about to be given: they catch up before that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container

from streams.log import Log
from streams.logging import get_logger
from streams.runtime.state.recovery import recover
from streams.runtime.state.store import Store, StoreFactory
from streams.runtime.transports.batch import TopicPartition

_log = get_logger(__name__)


class RetainedStores:
    """Opens, retains and drops the stores of one changelog."""

    def __init__(self, open_store: StoreFactory) -> None:
        self._open_store = open_store
        self._retained: dict[TopicPartition, Store] = {}
        self._preparing: dict[TopicPartition, asyncio.Task[None]] = {}

    async def prepare(self, log: Log, tp: TopicPartition) -> None:
        """Retain a store of `tp`, caught up with its changelog, for `take`. Nothing is written
        there. Never raises: what is not ready is read when the partition is opened."""
        preparing = self._preparing.get(tp)
        if preparing is None:
            self._preparing[tp] = preparing = asyncio.create_task(self._catch_up(log, tp))
        await asyncio.wait({preparing})
        if self._preparing.get(tp) is preparing:
            del self._preparing[tp]

    async def _catch_up(self, log: Log, tp: TopicPartition) -> None:
        try:
            if tp not in self._retained:
                self._retained[tp] = self._open_store(tp)
            store = self._retained[tp]
            recovered = await recover(log, tp.topic, tp.partition, store)
            if recovered.stale_keys:  # the owner is to find them again, and to write over them
                store.write((), recovered.start)
        except Exception as error:  # whatever it is: it is met, and told of, by the opening
            _log.info("state could not be made ready", changelog=tp.topic,
                      partition=tp.partition, error=repr(error))  # fmt: skip

    def take(self, tp: TopicPartition) -> Store:
        """Return the retained store of `tp`, or open it. Raises StateError."""
        self._stop_preparing(tp)
        retained = self._retained.pop(tp, None)
        return self._open_store(tp) if retained is None else retained

    def retain(self, tp: TopicPartition, store: Store) -> None:
        """Keep the store until `drop_unassigned` or `take`."""
        self._retained[tp] = store

    def drop_unassigned(self, owned: Container[TopicPartition]) -> None:
        """Drop what is retained and not `owned` by this process any more."""
        for tp in [each for each in self._retained if each not in owned]:
            self._stop_preparing(tp)
            self._retained.pop(tp).drop()

    def close(self) -> None:
        """Close what is retained and leave it on disk: this process ends, and may start again."""
        for tp, store in self._retained.items():
            self._stop_preparing(tp)
            store.close()
        self._retained.clear()

    def _stop_preparing(self, tp: TopicPartition) -> None:
        """From now on nobody else touches the store: a task that is cancelled wakes up with that,
        and leaves the store with all that its position says."""
        preparing = self._preparing.pop(tp, None)
        if preparing is not None:
            preparing.cancel()
