"""The search for cycles: often and among little, and everything once in a while."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from streams.runtime import gc_tuning


class Node:
    """In a cycle with itself, unless it is let go."""

    def __init__(self) -> None:
        self.me: Node | None = self


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

    def empty() -> Iterator[None]:
        seen.append("empty")
        yield
        yield

    with pytest.raises(Enough):
        await gc_tuning.search_often(empty, pause=pause)
    assert seen == ["search"] * 3 + ["empty", "emptying", "emptying", "search"]
