"""Coupon pools: which codes of a pool's lists have been given away.

A shop edits the list of its codes: appends to it, sorts it, takes some out, puts others in front. A
published list never changes, though, and is named by its version. So a pool's actor keeps, for each
list that it has given codes from, how far that one was used up (`PoolPosition`): some bytes for a
list of 20,000 codes. A code is gone when it stands before that place in any of them. Where what was
used still leads the new list, as after appending, the new one takes the old one's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from schemas.customer.shopping import LISTS_OF_CODES, PoolPosition


class Pool:
    """One list of codes, as it was published."""

    def __init__(self, codes: Sequence[str]) -> None:
        self.codes = codes

    @cached_property
    def _first(self) -> dict[str, int]:
        """Where each code stands first. Most of the lists ever published are never asked for it."""
        first: dict[str, int] = {}
        for index, code in enumerate(self.codes):
            first.setdefault(_normal(code), index)
        return first

    def leads(self, other: Pool, until: int) -> bool:
        """Whether both lists begin with the same codes as far as `until`."""
        return self.codes[:until] == other.codes[:until]

    def stands_before(self, code: str, until: int) -> bool:
        """Whether a code stands before a place of this list."""
        return self._first.get(_normal(code), until) < until


class Pools:
    """The lists of one campaign, by version."""

    def __init__(self, versions: dict[str, Pool]) -> None:
        self._versions = versions

    def next_code(self, given: list[PoolPosition], version: str) -> str:
        """Take the next code of a published list, and note in `given` how far that one is used up.

        Empty when none is left, or when of some list nobody knows any more what it held: then any
        code might be gone.
        """
        pool = self._versions.get(version)
        if pool is None or any(each.version not in self._versions for each in given):
            return ""
        if not self._move_to(given, version, pool):
            return ""
        now, others = given[-1], given[:-1]
        while now.place < len(pool.codes):
            code = pool.codes[now.place]
            again = pool.stands_before(code, now.place)
            now.place += 1
            if not again and not self._is_gone(code, others):
                return code
        return ""

    def _is_gone(self, code: str, others: Sequence[PoolPosition]) -> bool:
        return any(self._versions[each.version].stands_before(code, each.place) for each in others)

    def _move_to(self, given: list[PoolPosition], version: str, pool: Pool) -> bool:
        """Let the last of `given` be of this version; return whether there is room for it."""
        if given and given[-1].version == version:
            return True
        same = [each for each in given if self._versions[each.version].leads(pool, each.place)]
        if same:
            furthest = max(same, key=lambda each: each.place)
            given[:] = [each for each in given if each not in same]
            given.append(PoolPosition(version, furthest.place))
        elif len(given) < LISTS_OF_CODES:
            given.append(PoolPosition(version))
        return given[-1].version == version


def _normal(code: str) -> str:
    """A till makes no difference between upper and lower case."""
    return code.strip().upper()
