"""Standby state: who is about to get a partition has its state ready before it gets it.

A partition pauses from when its owner lets it go until the next one has its state. Most of that
would be reading the changelog, which nobody needs to wait for:

- a worker that is told to stop asks those who stay to have its partitions ready (the internal
  port's `/prepare`), goes on working meanwhile, and only then lets go and leaves the group;
- a worker that starts has ready what the group will give it, and only then joins.

What is missing then is what was written in between. Which partitions these are follows from how the
group assigns (`shares_of`); who is mistaken about it, as when several come and go at once, only
waits longer. So does whom a crash makes an owner. Nothing here decides who may write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from streams.http.internal.client import Lookups, NoAnswer
from streams.http.internal.owners import read_address
from streams.log import GroupMember, Log, LogError
from streams.logging import get_logger
from streams.settings.values import Address
from streams.topology import CUSTOMER_EVENTS

LEAVING_SECONDS = 3.0
"""For which who is told to stop waits for those who stay: some 200,000 kept records."""

JOINING_SECONDS = 60.0
"""For which who starts has ready what it will be given; nothing pauses meanwhile."""

ROUNDS = 2
"""Of reading before joining: the second reads what was written during the first."""

_ID_SUFFIX = len("-01234567-89ab-cdef-0123-456789abcdef")
"""A broker makes the member's id of a worker's and a UUID."""

_log = get_logger(__name__)


class Prepares(Protocol):
    """A runtime that keeps state of partitions."""

    async def prepare(self, partition: int) -> None:
        """Have the state of a partition ready that this process may be given soon. Never raises."""


class Standby:
    """What one worker does about the state that it, or others, will soon need."""

    def __init__(
        self,
        *,
        log: Log,
        group: str,
        worker_id: str,
        lookups: Lookups | None,
        runtimes: Sequence[Prepares],
    ) -> None:
        """`lookups` ask other workers; None where there are none."""
        self._log = log
        self._group = group
        self._worker_id = worker_id
        self._lookups = lookups
        self._runtimes = runtimes
        self._leaving = asyncio.Event()

    async def prepare(self, partitions: Collection[int]) -> bool:
        """Have partitions ready; return whether they are. Not, if this worker leaves itself."""
        preparing = asyncio.ensure_future(self._have_ready(partitions))
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait({preparing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return not self._leaving.is_set()
        finally:
            leaving.cancel()
            preparing.cancel()

    async def before_joining(self) -> None:
        """Have ready what the group will give this worker, if it takes it from others."""
        try:
            async with asyncio.timeout(JOINING_SECONDS):
                members = await self._log.members(self._group)
                others = [each.id for each in members or () if not self._is_this(each)]
                if others:
                    # The group sorts by id, and ours will begin so.
                    mine = f"{self._worker_id}-"
                    count = await self._log.partitions(CUSTOMER_EVENTS)
                    for _ in range(ROUNDS):
                        await self._have_ready(shares_of([*others, mine], count)[mine])
        except (LogError, TimeoutError) as error:
            _log.info("joining before all state is ready", error=str(error))

    async def before_leaving(self) -> None:
        """Wait until those who stay have ready what this worker has, or time is up."""
        self._leaving.set()
        if self._lookups is None:
            return
        try:
            async with asyncio.timeout(LEAVING_SECONDS):
                members = await self._log.members(self._group) or []
                going = {each.id for each in members if self._is_this(each)}
                while going and (found := await self._ask_all(self._lookups, members, going)):
                    going |= found
        except (LogError, TimeoutError) as error:
            _log.info("leaving before the others have all state ready", error=str(error))

    async def _ask_all(
        self, lookups: Lookups, members: Sequence[GroupMember], going: Collection[str]
    ) -> set[str]:
        """Ask those who stay to get ready, and return who of them says that it leaves as well."""
        gains = gains_of(members, going, await self._log.partitions(CUSTOMER_EVENTS))
        addresses = {each.id: read_address(each.published) for each in members}
        asked = [(id_, address) for id_ in gains if (address := addresses[id_]) is not None]
        answers = await asyncio.gather(
            *(_stays(lookups, address, gains[id_]) for id_, address in asked)
        )
        return {id_ for (id_, _), stays in zip(asked, answers, strict=True) if not stays}

    async def _have_ready(self, partitions: Collection[int]) -> None:
        await asyncio.gather(
            *(each.prepare(number) for each in self._runtimes for number in partitions)
        )

    def _is_this(self, member: GroupMember) -> bool:
        return member.id[:-_ID_SUFFIX] == self._worker_id


async def _stays(lookups: Lookups, address: Address, partitions: Collection[int]) -> bool:
    """Ask a worker to get ready, and return False when it leaves itself."""
    try:
        return await lookups.prepare(address, partitions, LEAVING_SECONDS)
    except NoAnswer as error:
        _log.info("a worker could not be told of partitions that it will be given",
                  worker=str(address), error=str(error))  # fmt: skip
        return True


def shares_of(members: Collection[str], partitions: int) -> dict[str, range]:
    """Return which partitions of a topic each member is given: by ranges, sorted by id, the first
    ones one more where it doesn't come out even."""
    each, more = divmod(partitions, len(members))
    shares, start = {}, 0
    for place, member in enumerate(sorted(members)):
        stop = start + each + (place < more)
        shares[member] = range(start, stop)
        start = stop
    return shares


def gains_of(
    members: Sequence[GroupMember], going: Collection[str], partitions: int
) -> Mapping[str, list[int]]:
    """Return what each member will be given that it doesn't have, once some are gone."""
    staying = {each.id: each for each in members if each.id not in going}
    gains = {}
    if staying:
        for id_, share in shares_of(staying, partitions).items():
            has = staying[id_].partitions.get(CUSTOMER_EVENTS, frozenset())
            if new := [number for number in share if number not in has]:
                gains[id_] = new
    return gains
