"""Stores of partitions that were just taken away, in case they come straight back.

An eager rebalance takes every partition from every worker and hands most of them back a moment
later. A store that comes back only has to catch up; one that does not is dropped once the new
assignment is known, so that nothing is left of customers that are another worker's now.
"""

from __future__ import annotations

from collections.abc import Container

from streams.runtime.state.store import Store, StoreFactory
from streams.runtime.transports.batch import TopicPartition


class Parking:
    """Opens, parks and drops the stores of one changelog."""

    def __init__(self, open_store: StoreFactory) -> None:
        self._open_store = open_store
        self._parked: dict[TopicPartition, Store] = {}

    def take(self, tp: TopicPartition) -> Store:
        """Return the parked store of `tp`, or open it. Raises StateError."""
        parked = self._parked.pop(tp, None)
        return self._open_store(tp) if parked is None else parked

    def park(self, tp: TopicPartition, store: Store) -> None:
        """Keep the store until `settle` or `take`."""
        self._parked[tp] = store

    def settle(self, owned: Container[TopicPartition]) -> None:
        """Drop what is parked and not `owned` by this process any more."""
        for tp in [each for each in self._parked if each not in owned]:
            self._parked.pop(tp).drop()

    def close(self) -> None:
        """Close what is parked and leave it on disk: this process ends, and may start again."""
        for store in self._parked.values():
            store.close()
        self._parked.clear()
