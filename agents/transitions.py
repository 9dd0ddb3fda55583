"""Tables of transitions: each function that changes a state has a row in the table of its module.

A row costs nothing when the function is called. The drawings in `docs/states.md` are made of them,
and tests hold every call against its row (`tests/states/audit.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., object])


class Transition(NamedTuple):
    """What one function does to a state."""

    event: str
    """Its name: what has happened."""
    before: tuple[str, ...]
    """The states in which that may happen."""
    after: tuple[str, ...]
    """The states of which one follows; empty when it stays as it is."""
    sets: tuple[str, ...]
    """The fields that it may write, the state's own among them."""
    meaning: str
    """The first sentence of its docstring."""


def transition(
    table: list[Transition], before: str, after: str = "", *, sets: str = ""
) -> Callable[[_Function], _Function]:
    """Enter the decorated function into a table; states and fields are separated by
    blanks. The state `none` is before the first and after the last: nothing is kept."""

    def enter(function: _Function) -> _Function:
        meaning = (function.__doc__ or "").strip().split(".", 1)[0].replace("\n    ", " ")
        table.append(
            Transition(
                function.__name__,
                tuple(before.split()),
                tuple(after.split()),
                tuple(sets.split()),
                meaning,
            )
        )
        return function

    return enter
