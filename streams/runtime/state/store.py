"""What is kept per partition: bytes under keys, and how much of the changelog is in it.

A store is a local copy of one changelog partition, never the truth: it can be thrown away at any
time and recovered (`streams/runtime/state/recovery.py`). It belongs to one partition of one topic:
a revoked partition is dropped whole and a scan never meets another partition's customers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from schemas.failures import Failure
from streams.runtime.transports.batch import TopicPartition

Item = tuple[bytes, bytes | None]
"""A key and what is kept under it (`schemas/stored.py`); None removes the key."""


STORE_FILES = 64
"""That a store of one partition has open at most: of the log of its writes, its lock and the like a
dozen, the rest of its tables, of 64 MB each."""


class StateError(Failure):
    """A store can't be opened or written; the text says what to do, for a shopkeeper."""


class StoreSize(NamedTuple):
    """How much a store keeps."""

    records: int
    """By RocksDB's estimate: what was written over lately is counted twice until it is merged."""
    bytes: int
    """On disk, compressed, with the tables in memory that were not written there yet; of a store in
    memory keys and values."""


class Store(Protocol):
    """Bytes under keys for one partition. Keys that begin with two NULs belong to the store."""

    def get(self, key: bytes) -> bytes | None:
        """Return what is kept under `key`, or None."""

    def write(self, items: Sequence[Item], position: int) -> None:
        """Apply `items` in order and move to `position`, all or nothing."""

    def position(self) -> int:
        """Return the changelog offset up to which (exclusive) this store holds everything."""

    def size(self) -> StoreSize:
        """Return how much it keeps, in microseconds. Raises StateError."""

    def scan(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key with what is kept under it, in no promised order."""

    def look_through(self) -> Generator[tuple[bytes, bytes]]:
        """As `scan`, but others may write meanwhile; what they change is seen as it was or as it
        is. Close it before the store is."""

    def scrub(self, keys: Sequence[bytes] | None) -> None:
        """Let no file hold what was kept under `keys` before, of all keys when None.

        May take seconds; may be called from another thread. Raises StateError.
        """

    def reset(self) -> None:
        """Become empty, at position 0: the store and its changelog don't belong together."""

    def close(self) -> None:
        """Release files and locks; what was written stays for the next time. Safe to call twice."""

    def drop(self) -> None:
        """Close, and leave nothing behind. Safe to call after `close`."""


StoreFactory = Callable[[TopicPartition], Store]
"""Opens the store of a partition. Raises StateError."""

ClearLeftovers = Callable[[str, Iterable[TopicPartition]], None]
"""Removes what an earlier process has left of partitions of a topic that are not those given."""
