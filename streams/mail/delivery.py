"""Delivers the mails of one partition.

For each mail, in this order: a slot (so that no claim waits for a connection), the mail's bytes, a
connection, the claim, its acknowledgement, the fence, the relay, the result. Only between claim and
result can a crash leave a mail of which nobody knows; all that can fail before, fails before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import structlog

from agents.mailer.addresses import InvalidAddress
from agents.mailer.changes import Changes, Ended
from agents.mailer.compose import Compose, Mail
from agents.mailer.entry import Entry, read_command
from agents.mailer.metrics import MailerMetrics
from agents.mailer.queue import Queue
from agents.mailer.render import RenderError
from agents.mailer.replies import Accepted, Dropped, Refused, Result, about_relay
from streams.clock import Clock
from streams.mail.committing import Committer, NotWrittenError
from streams.mail.conversation import CLOSING, Connection
from streams.mail.smtp import RelayDown, SmtpPool
from streams.transports.batch import Fenced

_log = structlog.get_logger(__name__)


class Delivery:
    """The delivery loop of one partition and its deliveries in flight."""

    def __init__(
        self,
        *,
        partition: int,
        queue: Queue,
        committer: Committer,
        check: Callable[[], None],
        pool: SmtpPool,
        compose: Compose,
        clock: Clock,
        metrics: MailerMetrics,
    ) -> None:
        self._partition = partition
        self._queue = queue
        self._committer = committer
        self._check = check
        self._pool = pool
        self._compose = compose
        self._clock = clock
        self._metrics = metrics
        self._news = asyncio.Event()
        self._rests = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._talking: set[asyncio.Task[None] | None] = set()
        self._unrecorded: dict[str, Ended] = {}
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Why the partition has to be opened again."""

    def wake(self) -> None:
        """There may be something new in the queue."""
        self._news.set()
        self._rests.clear()

    async def settled(self) -> None:
        """Wait until nothing is due and nothing on its way, for who drives a virtual clock."""
        while True:
            if self._is_due(self._clock.now()):
                self._rests.clear()
            await self._rests.wait()
            await self._committer.drained()
            if self._rests.is_set() and not self._is_due(self._clock.now()):
                return

    def _is_due(self, now: int) -> bool:
        time = self._queue.next_time()
        return (self._queue.ready(now) and self._pool.retry_at <= now) or (
            time is not None and time <= now
        )

    @property
    def next_time(self) -> int | None:
        """When there is something to do again."""
        times = [self._queue.next_time()]
        if self._queue.ready(self._clock.now()):
            times.append(self._pool.retry_at)
        return min((time for time in times if time is not None), default=None)

    def recover(self, ended: Iterable[Ended]) -> None:
        """Settle what an earlier owner, or an earlier life of this one, has left open."""
        known = list(ended)
        self._unrecorded |= {each.id: each for each in known}
        durable = self._committer.submit(self._queue.recover(known, self._clock.now()))
        for each in known:
            durable.add_done_callback(partial(self._recorded, each))

    async def run(self) -> None:
        """Deliver what is due, until cancelled."""
        while True:
            self._news.clear()
            now = self._clock.now()
            self._submit(self._queue.housekeep(now))
            ready = self._queue.ready(now)
            self._report(now)
            if ready and self._pool.retry_at <= now:
                await self._start_next()
            else:
                if not self._tasks:
                    self._rests.set()
                await self._wait_until(self.next_time)
                self._rests.clear()

    async def finish(self, seconds: float) -> None:
        """End all deliveries: those that talk to the relay get some time, the others none."""
        for task in self._tasks - self._talking:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def unrecorded(self) -> list[Ended]:
        """Return the results that are not durable yet."""
        return list(self._unrecorded.values())

    async def _start_next(self) -> None:
        await self._pool.slots.acquire(urgent=self._queue.urgent_first())
        now = self._clock.now()
        entry = self._queue.pick(now) if self._pool.retry_at <= now else None
        if entry is None:
            self._pool.slots.release()
            return
        task = asyncio.create_task(self._deliver(entry), name=f"mail {entry.id}")
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._talking.discard(task)
        self._pool.slots.release()
        self._news.set()

    async def _deliver(self, entry: Entry) -> None:
        try:
            await self._attempt(entry)
        except RelayDown as down:
            now = self._clock.now()
            reason = f"relay_{down.reason}"
            self._submit(self._queue.unreachable(entry.id, now, down.until, reason))
        except NotWrittenError:
            _log.debug("delivery ends with its partition", command=entry.id)
        except Fenced as error:
            self._fail(error)
        except Exception as error:  # a defect in one mail must not stop the loop unseen
            _log.exception("delivery failed, opening the partition again", command=entry.id)
            self._fail(error)

    async def _attempt(self, entry: Entry) -> None:
        mail = self._composed(entry)
        if mail is None:
            return
        async with self._pool.connection() as connection:
            if mail.recipient.smtputf8 and not connection.smtputf8:
                self._submit(self._queue.skip(entry.id, self._clock.now(), "smtputf8_unsupported"))
                return
            claim = self._queue.claim(entry.id, self._clock.now())
            if claim is None:
                return  # cancelled or expired while it waited for the connection
            claimed, changes = claim
            ended = await self._talk(claimed, changes, mail, connection)
        self._record(ended)

    async def _talk(
        self, claimed: Entry, changes: Changes, mail: Mail, connection: Connection
    ) -> Ended:
        """Hand a claimed mail over; if that is not even begun, or broken off in time, say so."""
        ended = Ended(claimed.id, claimed.attempt, None)
        self._unrecorded[claimed.id] = ended
        self._talking.add(asyncio.current_task())
        try:
            await self._committer.submit(changes)
            self._check()
            result = await self._hand_over(mail, connection)
        except asyncio.CancelledError:
            if self._unrecorded.get(claimed.id) is ended:
                self._record(ended)
            raise
        return ended._replace(result=result)

    async def _hand_over(self, mail: Mail, connection: Connection) -> Result:
        began = asyncio.get_running_loop().time()
        seasoned = connection.mails > 0
        result = await self._deliver_on(connection, mail)
        if seasoned and _was_stale(result):
            result = await self._once_more(mail) or result
        relay = self._pool.relay.name
        self._metrics.delivered(relay, asyncio.get_running_loop().time() - began)
        if isinstance(result, Accepted | Refused):
            self._metrics.reply(relay, result.code)
        return result

    async def _once_more(self, mail: Mail) -> Result | None:
        """Try on a new connection; None when there is none."""
        try:
            async with self._pool.connection(fresh=True) as connection:
                return await self._deliver_on(connection, mail)
        except RelayDown:
            return None

    async def _deliver_on(self, connection: Connection, mail: Mail) -> Result:
        try:
            return await connection.deliver(mail)
        except asyncio.CancelledError:
            if connection.dotted:  # the claim stays: nobody knows
                self._unrecorded.pop(mail.command_id, None)
            raise

    def _record(self, ended: Ended) -> None:
        """Write down how an attempt ended."""
        self._unrecorded[ended.id] = ended
        result, now = ended.result, self._clock.now()
        if result is None:
            changes = self._queue.release(ended.id)
        elif isinstance(result, Refused) and about_relay(result):
            down = self._pool.down("refused", f"{result.code} {result.text}")
            changes = self._queue.unreachable(ended.id, now, down.until, f"relay_{down.reason}")
        else:
            changes = self._queue.settle(ended.id, result, now)
        durable = self._committer.submit(changes)
        durable.add_done_callback(partial(self._recorded, ended))

    def _recorded(self, ended: Ended, durable: asyncio.Future[None]) -> None:
        if durable.exception() is None and self._unrecorded.get(ended.id) is ended:
            del self._unrecorded[ended.id]

    def _composed(self, entry: Entry) -> Mail | None:
        """Return the mail, None when the command can't become one."""
        command = read_command(entry)
        loop = asyncio.get_running_loop()
        began = loop.time()
        now = self._clock.now()
        try:
            mail = self._compose(command)
        except InvalidAddress:
            self._submit(self._queue.skip(entry.id, now, "invalid_address"))
            return None
        except RenderError as error:
            _log.error("mail can't be rendered", command=entry.id, template=command.template,
                       error=str(error))  # fmt: skip
            self._submit(self._queue.fail(entry.id, now, f"render: {error}"))
            return None
        except Exception as error:  # whatever it is, this mail can't be made, and others can
            _log.exception("mail can't be composed", command=entry.id, template=command.template)
            self._submit(self._queue.fail(entry.id, now, f"compose: {type(error).__name__}"))
            return None
        self._metrics.rendered(command.template, loop.time() - began)
        return mail

    def _submit(self, changes: Changes) -> None:
        if changes.states or changes.outcomes:
            self._committer.submit(changes)

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_result(error)

    def _report(self, now: int) -> None:
        since = self._queue.overdue_since()
        overdue = 0.0 if since is None else max(now - since, 0) / 1000
        self._metrics.oldest(self._partition, overdue)

    async def _wait_until(self, instant: int | None) -> None:
        waiting: set[asyncio.Task[Any]] = {asyncio.create_task(self._news.wait())}
        if instant is not None:
            waiting.add(asyncio.ensure_future(self._clock.wait_until(instant)))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()


def _was_stale(result: Result) -> bool:
    """Whether the relay had hung up on an older connection, as it does after some mails or time."""
    if isinstance(result, Dropped):
        return result.stage == "mail"
    return isinstance(result, Refused) and result.stage == "mail" and result.code == CLOSING
