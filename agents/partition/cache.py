"""Decoded customers: a cache with a limit in bytes, for all partitions of a process together.

A customer is decoded when it is needed and stays for the next time, until others need the room.
Who goes is who came first. What a decoded customer takes is estimated by its kept form. By how much
it grows is seen when its changes are taken: before that some thousand events can't make much of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from weakref import WeakMethod, WeakSet

from schemas.customer import Customer

CACHE_BYTES = 128 << 20
"""Of a process whose settings say nothing else: some 10,000 customers of the usual size. Python's
search for cycles looks through all of them, and nobody gets an answer meanwhile."""
EMPTY = 4_000
"""Bytes of a decoded customer of whom nothing is known."""
PER_KEPT_BYTE = 7
"""Bytes of decoded objects for each byte of the kept form; DESIGN.md has 12–17 kB for 2.4 kB."""
PAUSE = 500
"""Customers let go between two pauses: some milliseconds."""


class CacheMemory:
    """The bytes that decoded customers may take in a process, the same for each open partition."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._caches: WeakSet[Cache] = WeakSet()

    @property
    def used(self) -> int:
        """Bytes that they take now, by estimate."""
        return sum(cache.used for cache in self._caches)

    def empty(self) -> Iterator[None]:
        """Let all of them go, pausing now and then; who is needed meanwhile comes back."""
        for cache in list(self._caches):
            for _ in range(0, len(cache.customers), PAUSE):
                cache.let_go(PAUSE)
                yield

    def open(self, let_go: Callable[[bytes, Customer], None]) -> Cache:
        """Return a partition's cache. `let_go` is told of each customer that leaves it."""
        cache = Cache(let_go)
        self._caches.add(cache)
        share = self._limit // len(self._caches)
        for each in list(self._caches):
            each.limit = share
            each.shrink()
        return cache


class Cache:
    """The decoded customers of one partition. One of them is always there, however large."""

    def __init__(self, let_go: Callable[[bytes, Customer], None]) -> None:
        self.limit = 0
        """Bytes."""
        self.used = 0
        """Bytes, by estimate."""
        self.customers: dict[bytes, Customer] = {}
        self._sizes: dict[bytes, int] = {}
        self._owner = WeakMethod(let_go)  # whose owner holds this cache

    def put(self, key: bytes, customer: Customer, kept: int) -> None:
        """Take in a customer whose kept form has `kept` bytes."""
        size = EMPTY + PER_KEPT_BYTE * kept
        if self.used + size > self.limit:
            self.shrink(size)
        self.customers[key] = customer
        self._sizes[key] = size
        self.used += size

    def drop(self, key: bytes) -> None:
        """Forget a customer, for one that takes its place."""
        if self.customers.pop(key, None) is not None:
            self.used -= self._sizes.pop(key)

    def measured(self, kept: Iterable[tuple[bytes, bytes]]) -> None:
        """These customers' kept forms are these now."""
        sizes, used = self._sizes, self.used
        for key, stored in kept:
            before = sizes.get(key)
            if before is not None:
                size = sizes[key] = EMPTY + PER_KEPT_BYTE * len(stored)
                used += size - before
        self.used = used

    def shrink(self, wanted: int = 0) -> None:
        """Let customers go until there is room for so many bytes more."""
        while self.used + wanted > self.limit and self.customers:
            self._let_one_go()

    def let_go(self, number: int) -> None:
        """Let so many customers go, if there are as many."""
        for _ in range(min(number, len(self.customers))):
            self._let_one_go()

    def _let_one_go(self) -> None:
        key = next(iter(self.customers))
        self.used -= self._sizes.pop(key)
        customer = self.customers.pop(key)
        if let_go := self._owner():
            let_go(key, customer)
