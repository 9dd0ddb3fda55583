"""Counting who is in a file, each once, however many of its lines are about the same."""

from __future__ import annotations

from array import array

import xxhash

from streams.connect.facts import Subject

_PARTS = 256
"""So that what is compared at the end is little at a time."""


class Persons:
    """Some of those whom a file names: eight bytes a line, sixteen where a number and an address
    are given. Who has a number is the guest with the address, too."""

    def __init__(self) -> None:
        self._named = _Keys()
        self._guests = _Keys()
        self._also_guests = _Keys()
        """Guests' keys of those who have a number."""

    def add(self, whose: Subject) -> None:
        """Note that one is about somebody."""
        if not whose.named:
            self._guests.add(whose.customer)
            return
        self._named.add(whose.customer)
        if whose.anonymous_id is not None:
            self._also_guests.add(whose.anonymous_id)

    def count(self) -> int:
        """Return how many there are."""
        return sum(
            len(set(named)) + len(set(guests).difference(known))
            for named, guests, known in zip(
                self._named.parts, self._guests.parts, self._also_guests.parts, strict=True
            )
        )


class _Keys:
    """Hashes of keys. Of a million, two are alike with a chance of one to thirty million."""

    def __init__(self) -> None:
        self.parts = [array("Q") for _ in range(_PARTS)]

    def add(self, key: str) -> None:
        hash_ = xxhash.xxh3_64_intdigest(key.encode())
        self.parts[hash_ % _PARTS].append(hash_)
