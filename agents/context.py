"""What an actor knows of the world while it receives: the time of the log and the definitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agents.definitions import Live
from agents.effects import Effect


@dataclass(slots=True)
class Context:
    """Handed to every actor; `effects` collects what it asks for, in order."""

    now: int
    """The time of the log: the highest append time so far, ms since the epoch."""
    live: Live
    effects: list[Effect] = field(default_factory=list)

    def when(self, time: int | None) -> int:
        """Return when something happened: as the sender says, but never after the log's time.

        A device whose clock is ahead can't reach into the future of the log.
        """
        return self.now if time is None or time > self.now else time


class Occurred(NamedTuple):
    """Something happened that runs may wait for, in terms of the customer's state."""

    name: str
    """A `schemas.workflows.Occurrence`."""
    time: int
    order_id: str = ""
    cart: int = 0
    list: str = ""
    product_ids: Sequence[str] = ()
    begins: bool = True
    """Whether it may begin runs, or only concerns those that there are."""


class Repeated(Exception):
    """What the event tells is known already, though under another event id; nothing was changed."""


class Refused(Exception):
    """An event that can be read but makes no sense; nothing was changed. Goes to dead letters."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
