"""Takes a topic's records to an outlet: in order, at least once, and never past an undelivered one.

The position is committed behind what was delivered or lies among the dead letters, so a crash
repeats deliveries and loses none. Each outlet follows by itself: one that is down stays behind, and
the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from agents.outbound.messages import Message
from schemas.dead_letters import refuse, signed_letter
from schemas.records import Record
from schemas.signing import RecordSigner
from streams.clock import Clock
from streams.log import Log
from streams.outbound.counts import OutboundCounts
from streams.outbound.following import Following
from streams.partitioner import partition_of
from streams.topology import DEAD_LETTERS

COMMIT_SECONDS = 1.0
"""Between two commits while deliveries go on: what a crash repeats."""


class Waiting(NamedTuple):
    """A message that is to be delivered, and the record that it is of."""

    record: Record
    message: Message


class Undelivered(NamedTuple):
    """One that never will be, and why; the text says nothing of the message."""

    waiting: Waiting
    why: str


class Outlet(Protocol):
    """Where messages go."""

    @property
    def name(self) -> str:
        """What its dead letters and metrics are called by, such as `gestionale`."""

    @property
    def reason(self) -> str:
        """The reason of its dead letters."""

    @property
    def topics(self) -> Sequence[str]:
        """What it wants to hear of lies there."""

    @property
    def together(self) -> int:
        """How many messages it takes at once."""

    def read(self, record: Record) -> Message | None:
        """Return what of a record is to be delivered, None when nothing is."""

    async def deliver(self, waiting: Sequence[Waiting]) -> Sequence[Undelivered]:
        """Deliver them in order; return once each is delivered or given up. Raises LogError where
        the log is asked for more, and nothing else."""

    async def close(self) -> None:
        """Hang up. Safe to call twice."""


class Follower:
    """Follows for one outlet."""

    def __init__(
        self,
        outlet: Outlet,
        *,
        log: Log,
        following: Following,
        signer: RecordSigner,
        clock: Clock,
        counts: OutboundCounts,
    ) -> None:
        self.outlet = outlet
        self._log = log
        self._following = following
        self._signer = signer
        self._clock = clock
        self._done: dict[tuple[str, int], int] = {}
        self._committed: dict[tuple[str, int], int] = {}
        self._oldest: dict[tuple[str, int], int] = {}
        counts.begin(outlet.name, self._delay)

    async def follow(self, topic: str, partition: int) -> None:
        """Deliver what comes in one partition, for ever. Raises LogError."""
        place = topic, partition
        start = await self._begin(topic, partition)
        committed_at = 0.0
        try:
            while True:
                records = await self._following.fetch(topic, partition, start)
                waiting: list[Waiting] = []
                for record in records:
                    message = self.outlet.read(record)
                    if message is not None:
                        waiting.append(Waiting(record, message))
                    if len(waiting) >= self.outlet.together:
                        await self._hand_over(place, waiting)
                        waiting = []
                    if not waiting:
                        self._done[place] = record.offset + 1
                    if _seconds() - committed_at >= COMMIT_SECONDS:
                        await self.commit(place)
                        committed_at = _seconds()
                await self._hand_over(place, waiting)
                start = self._done[place] = records[-1].offset + 1
                await self.commit(place)
        finally:
            self._oldest.pop(place, None)

    async def commit(self, *places: tuple[str, int], again: bool = False) -> None:
        """Commit how far these partitions are, or all; `again`: also where nothing has come since.
        Raises LogError."""
        changed = {
            place: self._done[place]
            for place in (places or tuple(self._done))
            if place in self._done and (again or self._committed.get(place) != self._done[place])
        }
        if changed:
            await self._following.commit(changed)
            self._committed |= changed

    def forget(self, places: Iterable[tuple[str, int]]) -> None:
        """Say nothing more of partitions that another worker follows: it is further by then."""
        for place in places:
            self._done.pop(place, None)
            self._committed.pop(place, None)

    async def close(self) -> None:
        """Commit what is done and hang up. Raises LogError."""
        try:
            await self.commit()
        finally:
            await self.outlet.close()
            await self._following.close()

    async def _begin(self, topic: str, partition: int) -> int:
        """Return where to go on: a new outlet hears of what comes from now on."""
        position = await self._following.position(topic, partition)
        end = await self._following.end(topic, partition)
        if position is None:
            position = end
        elif position > end:
            position = 0  # the log was made anew
        self._done[topic, partition] = position
        await self.commit((topic, partition))
        return position

    async def _hand_over(self, place: tuple[str, int], waiting: Sequence[Waiting]) -> None:
        if not waiting:
            return
        self._oldest[place] = waiting[0].record.timestamp
        for record, why in await self._undelivered(waiting):
            letter = refuse(
                record,
                reason=self.outlet.reason,
                detail=f"{self.outlet.name}: {why}",
                time=self._clock.now(),
            )
            partition = partition_of(record.key or b"", await self._log.partitions(DEAD_LETTERS))
            await self._log.append(DEAD_LETTERS, partition, [signed_letter(letter, self._signer)])
        del self._oldest[place]

    async def _undelivered(self, waiting: Sequence[Waiting]) -> list[tuple[Record, str]]:
        return [(each.waiting.record, each.why) for each in await self.outlet.deliver(waiting)]

    def _delay(self) -> float:
        oldest = min(self._oldest.values(), default=None)
        return 0.0 if oldest is None else max(0, self._clock.now() - oldest) / 1000


def _seconds() -> float:
    return asyncio.get_running_loop().time()
