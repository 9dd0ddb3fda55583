"""Watches that the topics stay the ones this process began with.

A topic that is deleted and made anew, or given more partitions, under a running worker leaves it
standing still, or answering half of the events: its clients go on by the old offsets and counts.
Nothing of that can be mended while it runs, so the worker stops and says what to do. What happens
between two looks is found when its partitions are opened again (`streams/runtime/log_identity.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schemas.time_units import SECOND_MS
from streams.clock import Clock
from streams.log import Log, LogError, TopicIdentity
from streams.logging import get_logger
from streams.messages.plurals import several

EVERY_MS = 10 * SECOND_MS
"""Between two looks: one small request."""

_GONE = (
    "was deleted while the worker ran: ritorno topics create makes it anew and lets it go on where "
    "it was"
)

_log = get_logger(__name__)


class TopicWatch:
    """Asks the broker now and then what it knows the topics by."""

    def __init__(
        self, log: Log, clock: Clock, topics: Sequence[str], give_up: Callable[[str], None]
    ) -> None:
        """`give_up` is called with what is wrong, in words, and what to do."""
        self._log = log
        self._clock = clock
        self._topics = topics
        self._give_up = give_up
        self._known: dict[str, TopicIdentity] = {}
        self._missing: set[str] = set()

    async def begin(self) -> None:
        """Take note of the topics as they are. Raises LogError."""
        self._known = {**await self._log.identities(self._topics)}

    async def watch(self) -> None:
        """Look for ever, or until something is wrong."""
        while True:
            await self._clock.wait_until(self._clock.now() + EVERY_MS)
            if problem := await self.look():
                self._give_up(problem)
                return

    async def look(self) -> str:
        """Return what is wrong with the topics, empty if nothing is or nobody can be asked."""
        try:
            found = await self._log.identities(self._topics)
        except LogError as error:
            _log.debug("topics not looked at", error=str(error))
            return ""
        # A broker that has just started may not have heard of a topic yet.
        missing = self._known.keys() - found.keys()
        gone, self._missing = self._missing & missing, missing
        problems = [f"{name} {_GONE}" for name in sorted(gone)]
        for name, now in found.items():
            before = self._known.get(name, now)
            problems += changes(name, before, now)
            if not before.id:  # brokers give ids once all of them are of a release that does
                self._known[name] = now
        return "; ".join(problems)


def changes(topic: str, before: TopicIdentity, now: TopicIdentity) -> list[str]:
    """Return in words what has become of a topic; nothing if it is the same."""
    if before.id and now.id and before.id != now.id:
        return [
            f"{topic} was deleted and made anew while the worker ran. Start it again and do what "
            "ritorno doctor says: ritorno topics create lets the new topic go on where the old "
            "one was, as far as it still holds what came"
        ]
    if before.partitions != now.partitions:
        return [
            f"{topic} has {several(now.partitions, 'partition')} and had {before.partitions} when "
            "the worker started: records would go where nobody knows their customers. Stop whoever "
            "publishes; ritorno doctor says what to do"
        ]
    return []
