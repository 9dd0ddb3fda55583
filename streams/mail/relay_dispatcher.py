"""The dispatcher of mails to relays: which mail goes next, and over which relay.

A lane asks for a permit and waits; each permit is one mail on its way. The first relay that can be
used is taken: the others only while it is down, and it again as soon as it is back. A relay that
was down is tried by one mail alone, the others go elsewhere, or wait, until that one has found out.

Webhooks have a dispatcher of their own, with one route.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from agents.mail.queue.concurrency import ConcurrencyLimits
from agents.mail.queue.lanes import Lane
from schemas.stored import NEVER
from streams.clock import Clock
from streams.runtime.background import watched


class Route(Protocol):
    """A relay, or what webhooks go through."""

    concurrency: ConcurrencyLimits

    @property
    def name(self) -> str:
        """How metrics and outcomes call it."""

    @property
    def retry_at(self) -> int:
        """When it may be tried (again), ms since the epoch."""

    @property
    def doubtful(self) -> bool:
        """Whether it was down, and nobody knows yet whether it is back."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever `retry_at` or `doubtful` have changed."""

    async def close(self) -> None:
        """Hang up."""


RouteT = TypeVar("RouteT", bound=Route)


class Permit(Generic[RouteT]):
    """Leave to bring one mail on its way. Whoever gets it ends it."""

    def __init__(
        self, route: RouteT, lane: Lane, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self.route = route
        self.lane = lane
        self._clock = clock
        self._changed = changed
        self._ended = False

    def throttled(self) -> bool:
        """The provider asks for less. Returns whether the lane's rate was cut."""
        cut = self.route.concurrency.throttled(self.lane, self._clock.now())
        self._changed()
        return cut

    def end(self) -> None:
        """The mail is there, or will not get there now. Safe to call twice."""
        if not self._ended:
            self._ended = True
            self.route.concurrency.end(self.lane)
            self._changed()


class RelayDispatcher(Generic[RouteT]):
    """Hands out permits for the best route that there is."""

    def __init__(self, routes: Sequence[RouteT], *, clock: Clock) -> None:
        """`routes` in the order of preference."""
        self.routes = tuple(routes)
        self._clock = clock
        self._waiting: dict[Lane, deque[asyncio.Future[Permit[RouteT]]]] = {}
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = NEVER
        self.listeners: set[Callable[[], None]] = set()
        """Called whenever the time of somebody's permit has come nearer, or farther away."""
        for route in self.routes:
            route.watch(self._serve)

    async def permit(self, lane: Lane) -> Permit[RouteT]:
        """Wait for a permit."""
        future: asyncio.Future[Permit[RouteT]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(lane, deque()).append(future)
        self._serve()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                future.result().end()  # it was given to us at the same moment
            raise

    def opens(self, lane: Lane, now: int) -> int:
        """Return when a mail of a lane may go by time alone; `now` when it waits for others."""
        route = self._route(now)
        if route is None:
            return max(now, self.retry_at)
        opens = route.concurrency.opens(lane, now)
        return now if opens == NEVER else opens

    @property
    def busy(self) -> int:
        """How many permits are out."""
        return sum(route.concurrency.busy for route in self.routes)

    @property
    def retry_at(self) -> int:
        """When the first of the routes may be tried (again)."""
        return min(route.retry_at for route in self.routes)

    def usable(self, now: int) -> bool:
        """Whether a mail that was turned away has somewhere else to go now."""
        return self._route(now) is not None

    async def close(self) -> None:
        """Let nobody through any more, and close the routes."""
        if self._alarm is not None:
            self._alarm.cancel()
            await asyncio.wait([self._alarm])
        for route in self.routes:
            await route.close()

    def _serve(self) -> None:
        """Give permits to all who may go."""
        now = self._clock.now()
        wake = NEVER
        while self._waiting:
            route = self._route(now)
            if route is None:
                wake = self.retry_at
                break
            opens = {lane: route.concurrency.opens(lane, now) for lane in self._waiting}
            ready = [lane for lane, time in opens.items() if time <= now]
            if not ready:
                wake = min(opens.values())
                break
            self._admit(route.concurrency.order(ready)[0], route, now)
        self._ring_at(wake if wake > now else NEVER)
        for listener in self.listeners:
            listener()

    def _admit(self, lane: Lane, route: RouteT, now: int) -> None:
        futures = self._waiting.pop(lane)
        future = futures.popleft()
        if futures:
            self._waiting[lane] = futures  # behind the other lanes now
        if not future.done():
            route.concurrency.begin(lane, now)
            future.set_result(Permit(route, lane, self._clock, self._serve))

    def _route(self, now: int) -> RouteT | None:
        for route in self.routes:
            if route.retry_at <= now and not (route.doubtful and route.concurrency.busy):
                return route
        return None

    def _ring_at(self, time: int) -> None:
        if time == self._alarm_at:
            return
        self._alarm_at = time
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if time != NEVER:
            self._alarm = watched("mail_turns", asyncio.create_task(self._ring(time)))

    async def _ring(self, time: int) -> None:
        await self._clock.wait_until(time)
        self._alarm, self._alarm_at = None, NEVER
        self._serve()
