"""The search for cycles: often and among little, and everything once in a while."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from streams.runtime import gc_tuning


class Node:
    """In a cycle with itself, unless it is let go."""

    def __init__(self) -> None:
        self.me: Node | None = self


class Cache:
    """Of a worker."""

    used = 0

    def empty(self) -> Iterator[None]:
        """Let nothing go."""
        return iter(())


class Enough(Exception):
    """The test has seen what it wants to."""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Nothing stays frozen, and Python doesn't search by itself meanwhile."""
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


async def test_what_is_new_is_looked_at_once_and_all_of_it_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gc_tuning, "ALL_AFTER", 3)
    monkeypatch.setattr(gc_tuning, "COUNTED_AFTER", 1)
    gone: list[weakref.ref[Node]] = []
    held = [Node()]
    late = weakref.ref(held[0])
    seen: list[str] = []

    async def pause(seconds: float) -> None:
        if not seconds:
            seen.append("emptying")
            return
        number = seen.count("search")
        seen.append("search")
        if number == 0:
            gone.append(weakref.ref(Node()))
            assert gone[0]() is not None, "nobody has searched"
        elif number == 1:
            assert gone[0]() is None, "what was new and in a cycle is gone"
            assert gc.get_count()[1:] == (0, 0), "and what is left is never looked at again"
            held.clear()
        elif number == 2:
            assert late() is not None, "it was looked at before it went"
        elif number == 3:
            assert late() is None
            raise Enough

    class Emptied(Cache):
        def empty(self) -> Iterator[None]:
            seen.append("empty")
            yield
            yield

    with pytest.raises(Enough):
        await gc_tuning.search_often(Emptied(), pause=pause)
    assert seen == ["search"] * 3 + ["empty", "emptying", "emptying", "search"]


@pytest.mark.parametrize(
    ("searches", "blocks", "left", "due"),
    [
        (gc_tuning.ALL_AFTER - 1, 150_000, 150_000, False),
        (gc_tuning.ALL_AFTER, 150_000, 150_000, True),  # an hour
        (50, 150_000 + gc_tuning.MORE - 1, 150_000, False),
        (50, 150_000 + gc_tuning.MORE, 150_000, True),
        (50, 9_000_000, 6_000_000, False),  # a worker that holds much has more to do
        (50, 12_000_000, 6_000_000, True),
        (50, 100_000, 150_000, False),  # it has let go of much
    ],
)
def test_everything_is_searched_after_an_hour_or_when_there_is_much_more(
    searches: int, blocks: int, left: int, due: bool
) -> None:
    assert gc_tuning.all_is_due(searches, blocks, left) is due


@pytest.mark.parametrize("whose", ["the cache's", pytest.param("nobody's", marks=pytest.mark.slow)])
async def test_what_has_ended_as_a_cycle_is_not_kept_for_an_hour(
    monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """Requests that broke off had been looked at before they did."""
    monkeypatch.setattr(gc_tuning, "MORE", 1_000)
    monkeypatch.setattr(gc_tuning, "COUNTED_AFTER", 2)
    before = sys.getallocatedblocks()
    cache, held = Cache(), list[Node]()
    late: list[weakref.ref[Node]] = []
    searches = 0

    async def pause(_: float) -> None:
        nonlocal searches
        searches += 1
        if searches == 1:
            held.extend(Node() for _ in range(before))
            late.append(weakref.ref(held[0]))
            if whose == "the cache's":
                cache.used = (sys.getallocatedblocks() - before) * gc_tuning.BYTES_A_BLOCK
        elif searches == 2:
            held.clear()
        elif searches == 10:
            raise Enough

    with pytest.raises(Enough):
        await gc_tuning.search_often(cache, pause=pause)
    assert (late[0]() is None) == (whose == "nobody's")
