"""Customers who are held back: what is kept of them can't be read by this release.

It is left as it is, whatever comes. Their events wait beside it, in order and within bounds, under
keys of the partition's own; their timers don't fire; everybody else goes on. When they are tried
again (`schemas/retry.py`) what has waited is applied in order, at that record's place in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from schemas.records import Record
from schemas.set_aside import SetAside
from schemas.stored import HELD_BACK_PREFIX, NEVER, WAITING_PREFIX, body, is_erased, pack

MOST_EVENTS = 500
"""That wait for one customer: a busy month. Applied within one record, some 30 ms."""

MOST_BYTES = 256 * 1024
"""Of them. With what is kept beside it far from what a log takes for a record."""

VISITORS = 0.5
"""The part of the room up to which a visitor's events may wait who has the id of whoever is held
back: the shop's have the rest for themselves."""

ERASURES = 1.1
"""The same of erasures: who is forgotten must not come back with what waits."""

ALL_CUSTOMERS_BYTES = 8 * 1024 * 1024
"""Bytes that wait in a partition: thirty-odd customers at their limit, thousands with a day's."""


_Event = tuple[bytes, int, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
"""Whom it waits for, then what a Record holds behind its offset."""


class HeldBackCustomer(msgspec.Struct, array_like=True):
    """What is known of one customer who is held back."""

    since: int
    """Offset of the record from which on."""
    error: str
    offsets: list[int] = []
    """Of the events that wait."""
    bytes: int = 0
    """Theirs."""
    applied: int = -1
    """Offset of the last record that this includes."""


class HeldBackCustomers:
    """Those of one partition."""

    def __init__(
        self,
        kept: Iterable[tuple[bytes, bytes]],
        load: Callable[[bytes], bytes | None],
        scan: Callable[[], Iterable[tuple[bytes, bytes]]] = tuple,
    ) -> None:
        """`kept`: what the store holds under HELD_BACK_PREFIX; `load` reads the store, and `scan`
        all of it. A list that can't be read is put together again from the events. Raises
        FutureFormat."""
        self._load = load
        lists = {key.removeprefix(HELD_BACK_PREFIX): stored for key, stored in kept}
        self.customers = {key: held for key, each in lists.items() if (held := _read(each))}
        damaged = lists.keys() - self.customers.keys()
        if damaged:
            self.customers |= _from_events(damaged, scan())
        self._bytes = sum(held.bytes for held in self.customers.values())
        self._changed: dict[bytes, None] = {}
        self._events: dict[bytes, bytes | None] = {}

    def hold_back(self, key: bytes, site: SetAside) -> None:
        """Hold a customer back from a record on; one who is held back already stays so."""
        if key not in self.customers:
            self.customers[key] = HeldBackCustomer(site.offset, site.error)
            self._changed[key] = None

    def includes(self, key: bytes, offset: int) -> bool:
        """Whether a record is among what waits already."""
        return offset <= self.customers[key].applied

    def wait(self, key: bytes, record: Record, share: float = 1) -> bool:
        """Let an event wait; returns False when there is no room for it. `share`: the part of the
        room up to which it may."""
        held = self.customers[key]
        content = _ENCODER.encode((key, *record[3:]))
        size = len(content)
        fits = len(held.offsets) < MOST_EVENTS * share
        fits = fits and held.bytes + size <= MOST_BYTES * share
        if fits and self._bytes + size <= ALL_CUSTOMERS_BYTES * share:
            self._events[_event_key(record.offset)] = pack(record.offset, NEVER, content)
            held.offsets.append(record.offset)
            held.bytes += size
            self._bytes += size
        else:
            fits = False
        held.applied = record.offset
        self._changed[key] = None
        return fits

    def release(self, key: bytes, topic: str, partition: int) -> tuple[list[Record], list[int]]:
        """Hold a customer back no more; return the events that have waited, in order, and the
        offsets of those that can't be read."""
        held = self.customers.pop(key)
        self._bytes -= held.bytes
        self._changed[key] = None
        records: list[Record] = []
        damaged: list[int] = []
        for offset in held.offsets:
            event_key = _event_key(offset)
            stored = self._events.get(event_key) or self._load(event_key)
            self._events[event_key] = None
            if stored is None or is_erased(stored):
                # Removed already, before a crash; what it has led to was written before that.
                continue
            event = _read_event(stored)
            if event is not None:
                records.append(Record(topic, partition, offset, *event[1:]))
            else:
                damaged.append(offset)
        return records, damaged

    def take(self) -> list[tuple[bytes, bytes | None]]:
        """Return what is to be kept since the last call: events before what lists them."""
        states = list(self._events.items())
        for key in self._changed:
            held = self.customers.get(key)
            value = None if held is None else pack(held.applied, NEVER, _ENCODER.encode(held))
            states.append((HELD_BACK_PREFIX + key, value))
        self._events, self._changed = {}, {}
        return states


def _read(stored: bytes) -> HeldBackCustomer | None:
    try:
        return _DECODER.decode(body(stored))
    except (msgspec.MsgspecError, UnicodeError):
        return None


def _from_events(
    customers: Collection[bytes], kept: Iterable[tuple[bytes, bytes]]
) -> dict[bytes, HeldBackCustomer]:
    """Put lists together again. Whether an event behind the last one was refused is forgotten."""
    found = {key: HeldBackCustomer(0, "the list of what waits can't be read") for key in customers}
    waiting = sorted(each for each in kept if each[0].startswith(WAITING_PREFIX))
    for event_key, stored in waiting:
        event = _read_event(stored)
        if event is not None and event[0] in found:
            held = found[event[0]]
            held.applied = int.from_bytes(event_key.removeprefix(WAITING_PREFIX))
            held.offsets.append(held.applied)
            held.bytes += len(body(stored))
    return found


def _read_event(stored: bytes | None) -> _Event | None:
    if stored is None or is_erased(stored):
        return None
    try:
        event: _Event = _EVENT.decode(body(stored))
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return event


def waits_for(stored: bytes) -> bytes | None:
    """Return the key of whom a kept event waits for, None when it can't be read. Raises
    FutureFormat."""
    event = _read_event(stored)
    return None if event is None else event[0]


def _event_key(offset: int) -> bytes:
    return WAITING_PREFIX + offset.to_bytes(8)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(HeldBackCustomer)
_EVENT = msgspec.msgpack.Decoder(_Event)
