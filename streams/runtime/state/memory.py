"""A store in memory: gone with the process, so each start recovers the whole changelog."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from streams.runtime.state.store import Item, StoreSize
from streams.runtime.transports.batch import TopicPartition


class MemoryStore:
    """A dict and a position."""

    def __init__(self) -> None:
        self._kept: dict[bytes, bytes] = {}
        self._position = 0
        self._bytes = 0

    def get(self, key: bytes) -> bytes | None:
        """Return what is kept under `key`, or None."""
        return self._kept.get(key)

    def write(self, items: Sequence[Item], position: int) -> None:
        """Apply `items` and move to `position`; nothing here can fail half-way."""
        kept = self._kept
        for key, stored in items:
            before = kept.pop(key, None) if stored is None else kept.get(key)
            if before is not None:
                self._bytes -= len(key) + len(before)
            if stored is not None:
                self._bytes += len(key) + len(stored)
                kept[key] = stored
        self._position = position

    def position(self) -> int:
        """Return the changelog offset up to which (exclusive) this store holds everything."""
        return self._position

    def size(self) -> StoreSize:
        """Return how much it keeps."""
        return StoreSize(len(self._kept), self._bytes)

    def scan(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key with what is kept under it; don't write meanwhile."""
        return iter(self._kept.items())

    def look_through(self) -> Generator[tuple[bytes, bytes]]:
        """As `scan`, but others may write meanwhile."""
        for key in list(self._kept):
            stored = self._kept.get(key)
            if stored is not None:
                yield key, stored

    def scrub(self, keys: Sequence[bytes] | None) -> None:
        """Nothing is in a file."""

    def reset(self) -> None:
        """Become empty, at position 0."""
        self._kept.clear()
        self._position = self._bytes = 0

    def close(self) -> None:
        """Keep everything: a partition that comes back to this process catches up from here."""

    def drop(self) -> None:
        """Forget everything."""
        self.reset()


def open_memory(_: TopicPartition) -> MemoryStore:
    """The StoreFactory of memory stores."""
    return MemoryStore()
