"""A partition's customers while records are applied: decoded, changed, and found by what they name.

What has changed and is not in the store yet is kept here whatever the cache lets go, so that its
size changes nothing but speed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from agents.customer.visitors import VisitorExpiry
from agents.partition.cache import CacheMemory
from agents.partition.name_index import NameIndex
from schemas.customer import Customer, decode_customer, encode_customer, encode_erased
from schemas.customer.named import RunInFlight, in_flight, in_flight_in, named, named_in
from schemas.stored import FutureFormat, head, is_erased

PAUSE = 500
"""Customers encoded between two pauses: some milliseconds."""


class UnreadableCustomer(ValueError):
    """What is kept of a customer can't be read."""

    def __init__(self, customer: str) -> None:
        super().__init__(customer)
        self.customer = customer


class Customers:
    """The customers of one partition."""

    def __init__(
        self,
        load: Callable[[bytes], bytes | None],
        scan: Callable[[], Iterable[tuple[bytes, bytes]]],
        memory: CacheMemory,
        forgetting: VisitorExpiry,
    ) -> None:
        """`load` returns a kept record by key, `scan` all that is kept; `memory` holds who is
        decoded; `forgetting` tells whose record counts as if it weren't there."""
        self._forgetting = forgetting
        self._load = load
        self._references = NameIndex(scan)
        self._read = 0
        self._cache = memory.open(self._let_go)
        self.decoded: Mapping[bytes, Customer] = self._cache.customers
        """Those who needn't be read, by key."""
        self._changed: dict[bytes, Customer | bytes] = {}
        """Who isn't encoded is in the cache, or can't be encoded."""
        self._runs_before: dict[bytes, list[RunInFlight]] = {}
        """Of whoever was asked for since changes were taken: the runs in flight then."""

    def get(self, key: bytes) -> Customer:
        """Return a customer, a new one if nothing is kept. Raises UnreadableCustomer."""
        customer = self.decoded.get(key)
        if customer is None:
            changed = self._changed.get(key)
            if isinstance(changed, Customer):
                return changed
            stored = self._load(key) if changed is None else changed
            customer = _read(key.decode(), stored)
            self._cache.put(key, customer, 0 if stored is None else len(stored))
        if key not in self._runs_before:
            self._runs_before[key] = in_flight(customer) if customer.runs else []
        forgetting = self._forgetting
        # Of nearly everybody the day is all that is asked.
        if customer.heard < forgetting.since and forgetting.has_forgotten(customer):
            return self._forget(key, customer)
        return customer

    def peek(self, key: bytes) -> Customer | None:
        """Return what is kept, None for nothing; who isn't known doesn't take up room for that.
        Raises UnreadableCustomer."""
        if key not in self.decoded:
            stored = self._changed.get(key) or self._load(key)
            if stored is None:
                return None
            if isinstance(stored, bytes) and is_erased(stored):
                return Customer(key=key.decode(), applied=head(stored).applied)
        return self.get(key)

    def _forget(self, key: bytes, customer: Customer) -> Customer:
        """Return somebody of whom nothing is known; what was changed before is still written."""
        if isinstance(self._changed.get(key), Customer):
            self._changed[key] = stored_form(customer)
        blank = Customer(key=customer.key, applied=customer.applied)
        self._cache.drop(key)
        self._cache.put(key, blank, 0)
        return blank

    def begin_anew(self, key: bytes) -> Customer:
        """Return a customer of whom nothing is known, whatever is kept."""
        customer = Customer(key=key.decode())
        if key not in self._runs_before:
            self._runs_before[key] = in_flight_in(self._load(key) or encode_erased(0))
        self._cache.drop(key)
        self._cache.put(key, customer, 0)
        return customer

    def note_change(self, key: bytes, customer: Customer) -> None:
        """What `get` has returned has been changed."""
        self._changed[key] = customer

    def note_left(self, key: bytes, customer: Customer) -> None:
        """What `get` has returned was taken over by another: it is written behind that one."""
        self._changed.pop(key, None)
        self._changed[key] = customer

    def encoding(self) -> Iterator[None]:
        """Encode who has changed, pausing now and then; `changed` has less to do then."""
        for number, (key, customer) in enumerate(list(self._changed.items()), start=1):
            if not isinstance(customer, bytes):
                self._encode(key, customer)
            if number % PAUSE == 0:
                yield

    def changed(self) -> list[tuple[bytes, bytes]]:
        """Return key and kept form of who has changed since they were taken."""
        return [
            (key, customer if isinstance(customer, bytes) else stored_form(customer))
            for key, customer in self._changed.items()
        ]

    def take(self, changed: Iterable[tuple[bytes, bytes]]) -> Counter[RunInFlight]:
        """What `changed` has returned goes to the store. Return by how much the number of runs in
        flight has changed."""
        runs = self._runs_moved()
        self._cache.measured(changed)
        self._references.note(self._unread())
        self._references.catch_up(self._names_of)
        self._changed = {}
        self._runs_before = {}
        self._cache.shrink()
        return runs

    def _runs_moved(self) -> Counter[RunInFlight]:
        moved: Counter[RunInFlight] = Counter()
        for key, changed in self._changed.items():
            customer = self._cache.customers.get(key, changed)
            now = in_flight(customer) if isinstance(customer, Customer) else in_flight_in(customer)
            before = self._runs_before.get(key, [])
            if now != before:
                moved.update(now)
                moved.subtract(before)
        return moved

    # Who names something.

    @property
    def can_find(self) -> bool:
        """Whether `find` may be called."""
        return self._references.is_made

    def look_through(self, offset: int) -> Iterator[None]:
        """Let `find` know of everybody's changes before the record at `offset`; pauses now and
        then."""
        unread = self._unread() if self._references.is_right else self._changed
        yield from self._references.refresh(self._names_of, unread)
        self._read = offset

    def find(self, names: Iterable[str]) -> Sequence[bytes]:
        """Return the customers in whose records one of these names stands, by key; some more may
        be among them."""
        return self._references.of(names)

    def _unread(self) -> Iterator[bytes]:
        for key, customer in self._changed.items():
            applied = head(customer).applied if isinstance(customer, bytes) else customer.applied
            if applied >= self._read:
                yield key

    def _names_of(self, key: bytes) -> set[str]:
        changed = self._changed.get(key)
        customer = self._cache.customers.get(key, changed)
        if isinstance(customer, Customer):
            return named(customer)
        stored = self._load(key) if customer is None else customer
        return set() if stored is None else named_in(stored)

    def _let_go(self, key: bytes, customer: Customer) -> None:
        if isinstance(self._changed.get(key), Customer):
            self._encode(key, customer)

    def _encode(self, key: bytes, customer: Customer) -> None:
        # Who can't be encoded stays as it is: whose fault that is shows when it is written.
        with suppress(Exception):
            self._changed[key] = stored_form(customer)


def _read(name: str, stored: bytes | None) -> Customer:
    try:
        return Customer(key=name) if stored is None else decode_customer(name, stored)
    except FutureFormat:
        raise
    except Exception as error:
        raise UnreadableCustomer(name) from error


def stored_form(customer: Customer) -> bytes:
    """Return the kept form of a customer; of one of whom nothing is known only the offset."""
    if not customer.first_seen and customer == Customer(key=customer.key, applied=customer.applied):
        return encode_erased(customer.applied)
    return encode_customer(customer)
