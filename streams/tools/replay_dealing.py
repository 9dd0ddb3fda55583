"""Deals the lines of a file of events to partitions, so that nobody speaks to another partition.

Whoever shares a line with somebody else (a visitor who is identified, an alias) may be told
something by that one's actor, and is dealt to the same partition for the whole file. So are those
who have an address, a cart or an order number in common, whose links' actors tell them of each
other. So each partition is a log of its own, and those of several processes need never wait for
each other. What is missed here (an address in a form of its own) shows when it is played:
`streams/tools/parallel_replay.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from schemas.halved import whole
from schemas.reference import id_of
from schemas.validation import is_no_id
from schemas.wire import PRODUCT_UPDATED
from streams.partitioner import partition_of

PARTITIONS = 8
"""The same for any number of processes, as on Kafka: what is decided depends on it."""

EVERYBODY = -1
"""In place of a partition: a product concerns all."""


_IN_COMMON = re.compile(
    rb"""[^\s<>"\\:;,]+@[^\s<>"\\:;,]+"""
    rb"""|"(?:cart|checkout|order)_id"\s*:\s*"?[^",}\s]+""",
    re.IGNORECASE,
)
"""Addresses, wherever they stand, and the ids of carts, checkouts and orders."""


class _Inner(msgspec.Struct):
    """Whom the data of an event names besides."""

    customer_id: Any = None
    user_id: Any = None
    anonymous_id: Any = None


class _Headers(msgspec.Struct):
    """Of a recorded line."""

    ce_anonymousid: Any = None
    ce_subject: Any = None
    ce_time: Any = None


_NoObject = list[Any] | str | int | float | bool | None
"""In place of an object: an empty one may arrive as `[]`, and the line names somebody anyway."""


class _Line(msgspec.Struct, rename={"user_id": "userId", "anonymous_id": "anonymousId",
                                    "previous_id": "previousId"}):  # fmt: skip
    """Where a line may name somebody, in each of the forms in which an event is written."""

    type: Any = None
    time: Any = None
    timestamp: Any = None
    subject: Any = None
    user_id: Any = None
    key: Any = None
    anonymous_id: Any = None
    anonymousid: Any = None
    previous_id: Any = None
    headers: _Headers | None = None
    data: _Inner | _NoObject = None
    properties: _Inner | _NoObject = None
    traits: _Inner | _NoObject = None
    value: _Inner | _NoObject = None


_line = msgspec.json.Decoder(_Line)


class Dealt(NamedTuple):
    """Where a line belongs."""

    partition: int
    """Or `EVERYBODY`."""
    time: Any
    """When it happened, as it is written; None where it isn't said."""


class Dealer:
    """Knows which partition a line belongs to, once it has read all of them."""

    def __init__(self, lines: Iterable[bytes], partitions: int = PARTITIONS) -> None:
        """Read the file through; what it keeps are the ids that share a line with another one, or
        have something in common."""
        self.partitions = partitions
        self._over: dict[str, str] = {}
        for line in lines:
            people = list(_names(_read(line)))
            for other in people[1:]:
                self._join(people[0], other)
            if people:
                for shared in _IN_COMMON.findall(line):
                    what = shared.decode("utf-8", "replace").casefold()
                    self._join(people[0], _SHARED + what)

    def deal(self, line: bytes) -> Dealt:
        """Return where a line belongs. One that can't be read has a partition, too: there it is
        refused."""
        read = _read(line)
        time = read.time or read.timestamp or (read.headers and read.headers.ce_time)
        if read.type == PRODUCT_UPDATED:
            return Dealt(EVERYBODY, time)
        person = next(_names(read), None)
        return Dealt(0 if person is None else self.home(person), time)

    def home(self, person: str) -> int:
        """Return the partition of a customer or visitor."""
        return partition_of(self._root(id_of(person)).encode("utf-8", "replace"), self.partitions)

    def _join(self, one: str, other: str) -> None:
        """The lower name stands for both, so that the order of the lines makes no difference."""
        low, high = sorted((self._root(one), self._root(other)))
        if low != high:
            self._over[high] = low

    def _root(self, person: str) -> str:
        root = person
        while (over := self._over.get(root)) is not None:
            root = over
        while (over := self._over.get(person)) is not None:  # the way is shorter the next time
            self._over[person], person = root, over
        return root


_SHARED = "\0"
"""Begins what people have in common, among the ids: no id has one, and it sorts before them."""

_UNREADABLE = _Line()


def _read(line: bytes) -> _Line:
    try:
        return _line.decode(line)
    except (ValueError, RecursionError):
        pass
    try:
        return _line.decode(whole(line))
    except (ValueError, RecursionError):
        return _UNREADABLE


def _names(read: _Line) -> Iterator[str]:
    """Yield the ids that a line names, the one whom it is about first or second."""
    for each in _ids(read):
        if not is_no_id(each) and not isinstance(each, dict | list | bool):
            yield id_of(str(each).strip())  # shops send numbers as ids


def _ids(read: _Line) -> Iterator[Any]:
    yield from (read.subject, read.user_id, read.key)
    yield from (read.anonymous_id, read.anonymousid, read.previous_id)
    if read.headers is not None:
        yield from (read.headers.ce_subject, read.headers.ce_anonymousid)
    for inner in (read.data, read.properties, read.traits, read.value):
        if isinstance(inner, _Inner):
            yield from (inner.customer_id, inner.user_id, inner.anonymous_id)
