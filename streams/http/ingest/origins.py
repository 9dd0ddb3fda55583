"""Tells of pages that may not use a key: what a browser keeps from the page, and so from whoever
looks for the mistake there. A line for each key and page, once a minute."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from urllib.parse import urlsplit

from streams.clock import Clock
from streams.logging import get_logger

AGAIN_MS = 60_000
REMEMBERED = 100
"""Pages: anybody may name any. Beyond them nothing is told for a minute."""
MAX_SHOWN = 100
"""Characters of an origin."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_log = get_logger(__name__)


class RefusedOrigins:
    """Remembers of which pages it was told."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: OrderedDict[tuple[str, str], int] = OrderedDict()

    def note(self, key: str, origin: str, allowed: Collection[str]) -> None:
        """A page was refused. `key`: the id of its key, or what stands for an unknown one;
        `allowed`: what the key's origins are."""
        now, page = self._clock.now(), (key, origin[:MAX_SHOWN])
        while self._told and now - next(iter(self._told.values())) >= AGAIN_MS:
            self._told.popitem(last=False)
        if page in self._told or len(self._told) >= REMEMBERED:
            return
        self._told[page] = now
        _log.warning("a page may not send: its origin is none of the key's", key=key,
                     origin=page[1], hint=hint(origin, allowed))  # fmt: skip


def hint(origin: str, allowed: Collection[str]) -> str:
    """Return what to do about it."""
    near = next((each for each in allowed if _is_the_same_machine(each, origin)), None)
    if near is not None:
        return f"to a browser {near} and this are two: open the page as {near}, or add this one"
    return "add it to the key's `origins`, as it is written here"


def _is_the_same_machine(one: str, other: str) -> bool:
    """Whether two origins are the same port of this machine, under its two names."""
    first, second = _parts(one), _parts(other)
    return first is not None and first == second


def _parts(origin: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(origin)
        return (parts.scheme, parts.port) if parts.hostname in _LOOPBACK else None
    except ValueError:
        return None
