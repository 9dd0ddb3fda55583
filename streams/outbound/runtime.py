"""Everything outbound of a worker: reads the file, follows for each outlet, and follows changes.

A worker delivers what lies in the partitions whose customers it has; on another partition's
handover the next owner goes on where this one was. The file is looked at every second: an endpoint
that is added, changed or taken away needs no restart, and a file that can't be used changes
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path

from schemas.failures import InputError
from schemas.signing import RecordSigner
from schemas.time_units import DAY_MS
from streams.clock import Clock
from streams.log import Log, LogError
from streams.logging import get_logger
from streams.outbound.counts import OutboundCounts
from streams.outbound.follower import Follower, Outlet
from streams.outbound.following import following_of
from streams.outbound.subscriptions import WebhookSubscription, read_subscriptions
from streams.outbound.webhooks import WebhookOutlet
from streams.runtime.background import kept_up

LOOK_SECONDS = 1.0

AGAIN_MS = DAY_MS
"""Positions are committed anew so often: a broker forgets those of a quiet week."""

_log = get_logger(__name__)

Place = tuple[str, int]


class _Running:
    """One outlet, and who follows for it."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.tasks: dict[Place, asyncio.Task[None]] = {}


class Outbound:
    """Runs beside the log. `start`, then `stop`."""

    def __init__(
        self,
        *,
        log: Log,
        group: str,
        webhooks: Path,
        signer: RecordSigner,
        clock: Clock,
        owned: Callable[[], Collection[int]],
        counts: OutboundCounts,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`group`: what the groups' names begin with, the workers' own. `owned`: the partitions
        that are this worker's now."""
        self._log = log
        self._group = group
        self._path = webhooks
        self._signer = signer
        self._clock = clock
        self._owned = owned
        self._counts = counts
        self._pause = pause
        self._seen: tuple[int, int] | None = None
        self._subscriptions: tuple[WebhookSubscription, ...] = ()
        self._running: dict[WebhookSubscription, _Running] = {}
        self._again = clock.now() + AGAIN_MS
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Raises OutboundFileError for a file that can't be used."""
        self._read()
        self._task = asyncio.create_task(kept_up("outbound", self._watch), name="outbound")

    async def stop(self) -> None:
        """Stop; what is on its way is told again at the next start. Safe to call twice."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        for subscription in list(self._running):
            await self._end(subscription)

    async def _watch(self) -> None:
        while True:
            await self._adjust()
            await self._pause(LOOK_SECONDS)
            try:
                self._read()
            except InputError as error:
                _log.error("what is outbound goes on as before", problem=str(error))

    def _read(self) -> None:
        """Read the file if it is another one. Raises OutboundFileError, once."""
        seen = _stamp(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        self._subscriptions = read_subscriptions(self._path)

    async def _adjust(self) -> None:
        """Follow for the outlets that there are, in the partitions that are ours."""
        for subscription in [each for each in self._running if each not in self._subscriptions]:
            await self._end(subscription)
        owned = self._owned()
        for subscription in self._subscriptions:
            running = self._running.get(subscription)
            if running is None:
                running = self._running[subscription] = _Running(self._follower(subscription))
            follower = running.follower
            wanted = {(topic, number) for topic in follower.outlet.topics for number in owned}
            await _cancelled(running, wanted)
            for place in wanted - running.tasks.keys():
                running.tasks[place] = asyncio.create_task(
                    kept_up("outbound", partial(follower.follow, *place))
                )
        if self._clock.now() >= self._again:
            self._again = self._clock.now() + AGAIN_MS
            for running in self._running.values():
                await running.follower.commit(again=True)

    def _follower(self, subscription: WebhookSubscription) -> Follower:
        outlet = WebhookOutlet(
            subscription, signer=self._signer, clock=self._clock, counts=self._counts
        )
        return self._follower_of(outlet, webhook_group(self._group, subscription.name))

    def _follower_of(self, outlet: Outlet, group: str) -> Follower:
        return Follower(
            outlet,
            log=self._log,
            following=following_of(self._log, group, outlet.topics),
            signer=self._signer,
            clock=self._clock,
            counts=self._counts,
        )

    async def _end(self, subscription: WebhookSubscription) -> None:
        running = self._running.pop(subscription)
        await _cancelled(running, set())
        self._counts.end(subscription.name)
        try:
            await running.follower.close()
        except LogError as error:
            _log.warning("how far a webhook was is not noted, the last messages come again",
                         webhook=subscription.name, error=str(error))  # fmt: skip


def webhook_group(group: str, name: str) -> str:
    """Return the group under which a webhook's positions are kept. `group`: the workers'."""
    return f"{group}-webhook-{name}"


async def _cancelled(running: _Running, kept: Collection[Place]) -> None:
    ended = [running.tasks.pop(place) for place in list(running.tasks) if place not in kept]
    for task in ended:
        task.cancel()
    if ended:
        await asyncio.wait(ended)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
