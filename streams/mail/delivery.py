"""Delivers the mails of one partition: starts what may go, in each lane by itself.

A lane with mails asks for a permit (`streams/mail/relay_dispatcher.py`), takes its next mail when
it gets one, and asks again; the attempt itself (`streams/mail/attempt.py`) goes on beside. So no
lane waits behind another one's provider, and a receipt never behind a campaign.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from agents.mail.queue.defects import FailedAt
from agents.mail.queue.lanes import Lane
from agents.mail.queue.mail_queue import Queue
from agents.mail.queue.queue_changes import AttemptResult, QueueChanges
from agents.mail.queue.queued_mail import QueuedMail
from streams.clock import Clock
from streams.logging import get_logger
from streams.mail.attempt import Attempts
from streams.mail.outbox import NotWrittenError, OutboxWriter
from streams.mail.relay_dispatcher import Permit, RelayDispatcher, RouteT
from streams.mail.smtp import SmtpPool
from streams.mail.webhooks import Webhooks
from streams.operate.mail_metrics import MailMetrics
from streams.runtime.defects import is_surroundings
from streams.runtime.transports.batch import Fenced
from streams.runtime.waiting import first

Attempt = Coroutine[Any, Any, None]

_log = get_logger(__name__)


class Delivery:
    """The delivery loop of one partition and its deliveries in flight."""

    def __init__(
        self,
        *,
        partition: int,
        queue: Queue,
        outbox: OutboxWriter,
        attempts: Attempts,
        relays: RelayDispatcher[SmtpPool],
        webhooks: RelayDispatcher[Webhooks],
        clock: Clock,
        metrics: MailMetrics,
    ) -> None:
        self._partition = partition
        self._queue = queue
        self._outbox = outbox
        self._attempts = attempts
        self._relays = relays
        self._webhooks = webhooks
        self._clock = clock
        self._metrics = metrics
        self._news = asyncio.Event()
        self._moved = asyncio.Event()
        self._serving: dict[Lane, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Why the partition has to be opened again."""

    def wake(self) -> None:
        """There may be something new in the queue."""
        self._news.set()

    async def until_idle(self) -> None:
        """Wait until nothing is due and nothing on its way, for who drives a virtual clock."""
        for dispatcher in (self._relays, self._webhooks):
            dispatcher.listeners.add(self._moved.set)
        try:
            while True:
                await self._outbox.drained()
                self._moved.clear()
                if self._at_rest():
                    return
                await self._moved.wait()
        finally:
            for dispatcher in (self._relays, self._webhooks):
                dispatcher.listeners.discard(self._moved.set)

    @property
    def next_time(self) -> int | None:
        """When there is something to do again."""
        now = self._clock.now()
        opens = [self._opens(lane, now) for lane in self._queue.ready(now)]
        times = [self._queue.next_time(now), *opens]
        return min((time for time in times if time is not None), default=None)

    def recover(self, ended: Iterable[AttemptResult]) -> None:
        """Settle what an earlier owner, or an earlier life of this one, has left open."""
        self._attempts.recover(ended)

    async def run(self) -> None:
        """Deliver what is due, until cancelled."""
        try:
            while True:
                self._news.clear()
                now = self._clock.now()
                self._submit(self._queue.housekeep(now))
                self._report(now)
                for lane in self._queue.ready(now):
                    if lane not in self._serving:
                        self._serving[lane] = asyncio.create_task(self._serve(lane))
                        self._serving[lane].add_done_callback(self._served)
                await self._rest()
        finally:
            for task in self._serving.values():
                task.cancel()

    async def finish(self, seconds: float) -> None:
        """End all deliveries: those that talk to the relay get some time, the others none."""
        await asyncio.gather(*self._serving.values(), return_exceptions=True)
        for task in self._tasks - self._attempts.talking:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def unrecorded(self) -> list[AttemptResult]:
        """Return the results that are not durable yet."""
        return self._attempts.unrecorded()

    # Starting.

    async def _serve(self, lane: Lane) -> None:
        """Start the mails of one lane, each as soon as it gets its permit."""
        while lane in self._queue.ready(self._clock.now()):
            if lane.delivery == "notify":
                begun = self._begin(await self._webhooks.permit(lane), self._attempts.webhook)
            else:
                begun = self._begin(await self._relays.permit(lane), self._attempts.mail)
            if not begun:  # what was found there has to be held first, or has moved on
                self._news.set()
                await asyncio.sleep(0)

    def _begin(
        self, permit: Permit[RouteT], attempt: Callable[[QueuedMail, Permit[RouteT]], Attempt]
    ) -> bool:
        entry = self._queue.pick(permit.lane, self._clock.now())
        if entry is None:
            permit.end()
            return False
        delivering = self._deliver(entry, permit, attempt)
        task = asyncio.create_task(delivering, name=f"mail {entry.id}")
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._over(task, permit))
        return True

    async def _deliver(
        self,
        entry: QueuedMail,
        permit: Permit[RouteT],
        attempt: Callable[[QueuedMail, Permit[RouteT]], Attempt],
    ) -> None:
        try:
            await attempt(entry, permit)
        except NotWrittenError:
            _log.debug("delivery ends with its partition", command=entry.id)
        except Fenced as error:
            self._fail(error)
        except Exception as error:  # a defect in one mail must not stop the loop unseen
            _log.exception("delivery failed, opening the partition again", command=entry.id)
            about = error if is_surroundings(error) else FailedAt(error, mail=entry.id)
            self._fail(about)

    def _over(self, task: asyncio.Task[None], permit: Permit[Any]) -> None:
        self._tasks.discard(task)
        self._attempts.talking.discard(task)
        permit.end()
        self._news.set()

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving = {lane: each for lane, each in self._serving.items() if each is not task}
        self._news.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    # Resting.

    async def _rest(self) -> None:
        """Wait for news, or until something is due. Lanes that wait for a permit need nobody."""
        self._moved.set()
        time = self._queue.next_time(self._clock.now())
        due = [] if time is None else [self._clock.wait_until(time)]
        await first(self._news.wait(), *due)

    def _at_rest(self) -> bool:
        """Whether only time, or something new, can lead to a mail."""
        if self._tasks or self._news.is_set() or self._relays.busy or self._webhooks.busy:
            return False
        time = self.next_time
        return time is None or time > self._clock.now()

    def _opens(self, lane: Lane, now: int) -> int:
        dispatcher: RelayDispatcher[Any] = (
            self._webhooks if lane.delivery == "notify" else self._relays
        )
        return dispatcher.opens(lane, now)

    def _submit(self, changes: QueueChanges) -> None:
        if changes.states or changes.outcomes:
            self._outbox.submit(changes)

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_result(error)

    def _report(self, now: int) -> None:
        since = self._queue.overdue_since()
        overdue = 0.0 if since is None else max(now - since, 0) / 1000
        self._metrics.oldest(self._partition, overdue)
