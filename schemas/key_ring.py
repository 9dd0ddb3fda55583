"""Keys and secrets that may be exchanged while a process runs.

Whoever is given a sequence of keys may be given a `KeyRing`, which has others after an exchange.
Who reads them each time needs nothing else; who derives something of them follows:

    follow(keys, self._derive)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar, overload
from weakref import WeakMethod

T = TypeVar("T")


class KeyRing(Sequence[T], Generic[T]):
    """A sequence whose content is exchanged as a whole."""

    def __init__(self, keys: Iterable[T]) -> None:
        self._keys = tuple(keys)
        self._followers: list[WeakMethod[Callable[[Sequence[T]], None]]] = []

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self._keys[index]

    def __len__(self) -> int:
        return len(self._keys)

    def follow(self, derive: Callable[[Sequence[T]], None]) -> None:
        """Call `derive`, a method, with the new keys at each exchange, while its object lives."""
        self._followers.append(WeakMethod(derive))

    def exchange(self, keys: Iterable[T]) -> None:
        """Take other keys, and tell all who follow."""
        self._keys = tuple(keys)
        self._followers = [each for each in self._followers if each() is not None]
        for each in self._followers:
            derive = each()
            if derive is not None:
                derive(self._keys)


def follow(keys: Iterable[T], derive: Callable[[Sequence[T]], None]) -> None:
    """Call `derive`, a method, with the keys, and again whenever they are exchanged."""
    derive(tuple(keys))
    if isinstance(keys, KeyRing):
        keys.follow(derive)
