"""Stores of partitions that were just taken away, in case they come straight back.

An eager rebalance takes every partition from every worker and hands most of them back a moment
later. A store that comes back only has to catch up; one that does not is dropped once the new
assignment is known, so that nothing is left of customers that are another worker's now.
"""

from __future__ import annotations

from collections.abc import Container

from streams.runtime.state.store import Store, StoreFactory
from streams.runtime.transports.batch import TopicPartition


class RetainedStores:
    """Opens, retains and drops the stores of one changelog."""

    def __init__(self, open_store: StoreFactory) -> None:
        self._open_store = open_store
        self._retained: dict[TopicPartition, Store] = {}

    def take(self, tp: TopicPartition) -> Store:
        """Return the retained store of `tp`, or open it. Raises StateError."""
        retained = self._retained.pop(tp, None)
        return self._open_store(tp) if retained is None else retained

    def retain(self, tp: TopicPartition, store: Store) -> None:
        """Keep the store until `drop_unassigned` or `take`."""
        self._retained[tp] = store

    def drop_unassigned(self, owned: Container[TopicPartition]) -> None:
        """Drop what is retained and not `owned` by this process any more."""
        for tp in [each for each in self._retained if each not in owned]:
            self._retained.pop(tp).drop()

    def close(self) -> None:
        """Close what is retained and leave it on disk: this process ends, and may start again."""
        for store in self._retained.values():
            store.close()
        self._retained.clear()
