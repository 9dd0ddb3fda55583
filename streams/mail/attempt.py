"""One attempt at one mail or webhook of a partition.

For each mail, in this order: its permit (so that no claim waits for a connection), its bytes, a
connection, the claim, its acknowledgement, the fence, the relay, the result. Only between claim and
result can a crash leave a mail of which nobody knows; all that can fail before, fails before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from agents.mail.addresses import InvalidAddress
from agents.mail.message import webhook
from agents.mail.message.compose import Compose, ComposedMail
from agents.mail.message.render import RenderError
from agents.mail.queue.mail_queue import Queue
from agents.mail.queue.queue_changes import AttemptResult, QueueChanges
from agents.mail.queue.queued_mail import QueuedMail, read_command, read_notify
from agents.mail.replies import Dropped, RelayAccepted, RelayRefused, Result, about_relay, throttles
from agents.mail.suppression import Suppressed
from streams.clock import Clock
from streams.logging import get_logger
from streams.mail.outbox import OutboxWriter
from streams.mail.relay_dispatcher import Permit, RelayDispatcher
from streams.mail.smtp import RelayDown, SmtpPool
from streams.mail.smtp_transaction import CLOSING, Connection
from streams.mail.webhooks import Webhooks
from streams.operate.mail_metrics import MailMetrics

_log = get_logger(__name__)


class Attempts:
    """Makes the attempts of one partition and writes down how they end."""

    def __init__(
        self,
        *,
        queue: Queue,
        outbox: OutboxWriter,
        check: Callable[[], None],
        relays: RelayDispatcher[SmtpPool],
        compose: Compose,
        clock: Clock,
        metrics: MailMetrics,
    ) -> None:
        """`check` raises Fenced when this process may have lost the partition."""
        self._queue = queue
        self._outbox = outbox
        self._check = check
        self._relays = relays
        self._compose = compose
        self._clock = clock
        self._metrics = metrics
        self._unrecorded: dict[str, AttemptResult] = {}
        self.talking: set[asyncio.Task[None] | None] = set()
        """Tasks whose mail is claimed."""

    async def mail(self, entry: QueuedMail, permit: Permit[SmtpPool]) -> None:
        """Bring a picked mail on its way. Raises Fenced, NotWrittenError."""
        mail = self._composed(entry)
        if mail is None:
            return
        try:
            async with permit.route.connection(entry.provider) as connection:
                if mail.recipient.smtputf8 and not connection.smtputf8:
                    self._reject(entry, "smtputf8_unsupported")
                    return
                ended = await self._claimed(
                    entry, lambda: self._hand_over(mail, connection, permit)
                )
        except RelayDown as down:
            self._put_off(entry, down)
            return
        if ended is not None:
            self._record(ended, permit)

    async def webhook(self, entry: QueuedMail, permit: Permit[Webhooks]) -> None:
        """Post a picked webhook. Raises Fenced, NotWrittenError."""
        try:
            request = webhook.request(read_notify(entry), permit.route.secrets, self._clock.now())
        except webhook.InvalidUrl as error:
            _log.error("webhook can't be posted", command=entry.id, error=str(error))
            self._reject(entry, "invalid_url", str(error))
            return
        ended = await self._claimed(entry, lambda: permit.route.post(request))
        if ended is not None:
            self._submit_result(ended)

    def recover(self, ended: Iterable[AttemptResult]) -> None:
        """Settle what an earlier owner, or an earlier life of this one, has left open."""
        known = list(ended)
        self._unrecorded |= {each.id: each for each in known}
        durable = self._outbox.submit(self._queue.recover(known, self._clock.now()))
        for each in known:
            durable.add_done_callback(partial(self._recorded, each))

    def unrecorded(self) -> list[AttemptResult]:
        """Return the results that are not durable yet."""
        return list(self._unrecorded.values())

    # In the order in which an attempt goes.

    def _composed(self, entry: QueuedMail) -> ComposedMail | None:
        """Return the mail, None when the command can't become one."""
        command = read_command(entry)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            mail = self._compose(command)
        except Suppressed:
            self._submit(self._queue.skip(entry.id, self._clock.now(), "suppressed"))
            return None
        except InvalidAddress:
            self._reject(entry, "invalid_address")
            return None
        except RenderError as error:
            _log.error("mail can't be rendered", command=entry.id, template=command.template,
                       error=str(error))  # fmt: skip
            self._reject(entry, "render", f"render: {error}")
            return None
        except Exception as error:  # whatever it is, this mail can't be made, and others can
            _log.exception("mail can't be composed", command=entry.id, template=command.template)
            self._reject(entry, "compose", f"compose: {type(error).__name__}")
            return None
        self._metrics.rendered(command.template, loop.time() - began)
        return mail

    async def _claimed(
        self, entry: QueuedMail, hand_over: Callable[[], Awaitable[Result]]
    ) -> AttemptResult | None:
        """Claim a mail and hand it over; None when it is not to go any more.

        It was cancelled, has expired or is held since it was picked.
        """
        claim = self._queue.claim(entry.id, self._clock.now())
        if claim is None:
            return None
        claimed, changes = claim
        return await self._talk(claimed, changes, hand_over)

    async def _talk(
        self, claimed: QueuedMail, changes: QueueChanges, hand_over: Callable[[], Awaitable[Result]]
    ) -> AttemptResult:
        """Hand a claimed mail over; if that is not even begun, or broken off in time, say so."""
        ended = AttemptResult(claimed.id, claimed.attempt, claimed.fencing_epoch, None)
        self._unrecorded[claimed.id] = ended
        self.talking.add(asyncio.current_task())
        try:
            await self._outbox.submit(changes)
            self._check()
            result = await hand_over()
        except asyncio.CancelledError:
            if self._unrecorded.get(claimed.id) is ended:
                self._submit_result(ended)
            raise
        return ended._replace(result=result)

    async def _hand_over(
        self, mail: ComposedMail, connection: Connection, permit: Permit[SmtpPool]
    ) -> Result:
        began = asyncio.get_running_loop().time()
        seasoned = connection.mails > 0
        result = await self._deliver_on(connection, mail)
        if seasoned and _was_stale(result):
            result = await self._once_more(mail, permit) or result
        relay = permit.route.name
        seconds = asyncio.get_running_loop().time() - began
        self._metrics.delivered(relay, permit.lane.provider, seconds)
        if isinstance(result, RelayAccepted | RelayRefused):
            self._metrics.reply(relay, result.code)
        return result._replace(relay=relay) if isinstance(result, RelayAccepted) else result

    async def _once_more(self, mail: ComposedMail, permit: Permit[SmtpPool]) -> Result | None:
        """Try on a new connection to the same relay; None when there is none."""
        try:
            async with permit.route.connection(permit.lane.provider, fresh=True) as connection:
                return await self._deliver_on(connection, mail)
        except RelayDown:
            return None

    async def _deliver_on(self, connection: Connection, mail: ComposedMail) -> Result:
        try:
            return await connection.deliver(mail)
        except asyncio.CancelledError:
            if connection.dotted:  # the claim stays: nobody knows
                self._unrecorded.pop(mail.command_id, None)
            raise

    def _put_off(self, entry: QueuedMail, down: RelayDown) -> None:
        """The relay is down, and has not heard of the mail: another one takes it, or it waits."""
        now = self._clock.now()
        if down.reason == "full" or self._relays.usable(now):
            self._queue.again(entry.id)
            return
        reason = f"relay_{down.reason}"
        self._submit(self._queue.unreachable(entry.id, now, self._retry_at(down), reason))

    def _record(self, ended: AttemptResult, permit: Permit[SmtpPool]) -> None:
        """Write down how an attempt at a mail ended, and what it says of relay and provider."""
        result = ended.result
        if isinstance(result, RelayRefused) and about_relay(result):
            self._refused_by_relay(
                ended, permit.route.down("refused", f"{result.code} {result.text}")
            )
            return
        if isinstance(result, RelayAccepted | RelayRefused):
            permit.route.answers()
        if isinstance(result, RelayRefused) and throttles(result) and permit.throttled():
            self._metrics.throttled(permit.route.name, permit.lane.provider)
            _log.info("a provider asks for less", relay=permit.route.name,
                      provider=permit.lane.provider, mails=permit.lane.delivery,
                      code=result.code)  # fmt: skip
        self._submit_result(ended)

    def _refused_by_relay(self, ended: AttemptResult, down: RelayDown) -> None:
        now = self._clock.now()
        if self._relays.usable(now):
            changes = self._queue.release(ended.id, now)
        else:
            until, reason = self._retry_at(down), f"relay_{down.reason}"
            changes = self._queue.unreachable(ended.id, now, until, reason)
        self._submit_ended(ended, changes)

    def _submit_result(self, ended: AttemptResult) -> None:
        now = self._clock.now()
        if ended.result is None:
            self._submit_ended(ended, self._queue.release(ended.id, now))
        else:
            self._submit_ended(ended, self._queue.record_result(ended.id, ended.result, now))

    def _submit_ended(self, ended: AttemptResult, changes: QueueChanges) -> None:
        self._unrecorded[ended.id] = ended
        durable = self._outbox.submit(changes)
        durable.add_done_callback(partial(self._recorded, ended))

    def _recorded(self, ended: AttemptResult, durable: asyncio.Future[None]) -> None:
        if durable.exception() is None and self._unrecorded.get(ended.id) is ended:
            del self._unrecorded[ended.id]

    def _retry_at(self, down: RelayDown) -> int:
        return min(down.until, self._relays.retry_at)

    def _reject(self, entry: QueuedMail, label: str, reason: str = "") -> None:
        self._submit(self._queue.reject(entry.id, self._clock.now(), label, reason))

    def _submit(self, changes: QueueChanges) -> None:
        if changes.states or changes.outcomes:
            self._outbox.submit(changes)


def _was_stale(result: Result) -> bool:
    """Whether the relay had hung up on an older connection, as it does after some mails or time."""
    if isinstance(result, Dropped):
        return result.stage == "mail"
    return isinstance(result, RelayRefused) and result.stage == "mail" and result.code == CLOSING
