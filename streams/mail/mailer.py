"""The mailer's runtime: owner of the partitions of `send-commands`.

Commands are moved into a durable queue of the mailer's own (`agents/mail/queue/mail_queue.py`), so
that a relay that is down for a day never holds the topic back. For each batch:

1. Decode; what can't be read becomes a dead letter. Known command ids are skipped.
2. Append the new and changed mails to `mailer-changelog`, await, write the store.
3. Append the dead letters and the addresses to be suppressed, await.
4. Append the partition's progress; 2 and 4 are one append where 3 has nothing to do.
5. Acknowledge the batch.

From the queue each partition's loop delivers (`streams/mail/delivery.py`), and what it decides is
written in the same order by the same writer (`streams/mail/outbox.py`).

What our own code fails at twice is refused or given up, see `agents/mail/queue/defects.py`.

A partition that fails is opened again from its changelog: by the partition manager when a batch met
the failure, else by `_watch`, because deliveries go on when no batch comes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import get_args

from agents.mail.message.compose import Compose
from agents.mail.metrics import HoldReason
from agents.mail.providers import Providers
from agents.mail.queue.defects import Defects, FailedAt
from agents.mail.queue.mail_queue import Queue
from agents.mail.queue.queue_changes import AttemptResult, QueueChanges, QueueNote
from agents.mail.reputation import Reputation
from schemas import topics
from schemas.commands import DeliveryClass, SuppressCommand
from schemas.records import OutRecord, Record
from schemas.signing import RecordSigner
from schemas.stored import PROGRESS_KEY, FutureFormat, Progress
from streams.clock import Clock
from streams.log import Log, LogError
from streams.logging import get_logger
from streams.mail.attempt import Attempts
from streams.mail.counts import count
from streams.mail.delivery import Delivery
from streams.mail.delivery_failures import BACKOFF, TWICE, DeliveryFailures
from streams.mail.mail_hosts import MailHosts
from streams.mail.outbox import NotWrittenError, OutboxWriter
from streams.mail.partition import MailPartition
from streams.mail.relay_dispatcher import RelayDispatcher
from streams.mail.smtp import SmtpPool
from streams.mail.webhooks import Webhooks
from streams.operate.mail_metrics import MailMetrics
from streams.operate.tracing import Tracing
from streams.partitioner import partition_of
from streams.runtime.background import kept_up
from streams.runtime.log_identity import LogIdentity
from streams.runtime.state.changelog import Changelog, Overtaken
from streams.runtime.state.retained_stores import RetainedStores
from streams.runtime.state.signature_floor import decide
from streams.runtime.state.store import Store, StoreFactory
from streams.runtime.transports.assigned_partition import BatchLease
from streams.runtime.transports.batch import (
    Fenced,
    PartitionBatch,
    TopicPartition,
)
from streams.runtime.transports.partition_manager import PartitionManager

COMMANDS_AT_ONCE = 500
"""Commands taken over before the event loop goes on: some 25 ms."""

GRACE = 10.0
"""Seconds that deliveries in flight get when a partition is let go. Most relays answer within one;
a group's rebalance waits for us as long, and Kafka gives it 60 by default."""

CLASSES: tuple[DeliveryClass, ...] = get_args(DeliveryClass)

_log = get_logger(__name__)


class MailerRuntime:
    """Owner of the partitions of `send-commands` in this process."""

    def __init__(
        self,
        *,
        log: Log,
        partition_manager: PartitionManager,
        open_store: StoreFactory,
        check: Callable[[TopicPartition], None],
        relays: Sequence[SmtpPool],
        webhooks: Webhooks | None = None,
        compose: Compose,
        message_id: Callable[[str], str],
        suppress: Callable[[Sequence[SuppressCommand]], Awaitable[None]],
        clock: Clock,
        metrics: MailMetrics,
        signer: RecordSigner,
        log_time: Callable[[int], int],
        identity: LogIdentity,
        providers: Providers | None = None,
        mail_hosts: MailHosts | None = None,
        reputation: Reputation | None = None,
        accept_unsigned: bool = False,
        tracing: Tracing | None = None,
        grace: float = GRACE,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`check` raises Fenced when this process may have lost the partition: deliveries write
        outside of a batch's lease. `relays` in the order
        of preference. `compose` and `message_id` are those of a `Composer`, the former may raise
        Suppressed; `suppress` makes it do so for more addresses. `mail_hosts` teaches `providers`;
        None: what they know is all. `signer` signs the outcomes and checks the commands.
        `accept_unsigned`: workers of release 0.1 still run beside this one. `log_time`
        of a partition: what is not marketing has not expired before it, whatever `clock` says.
        """
        self._signer = signer
        self._accept_unsigned = accept_unsigned
        self._log = log
        self._partition_manager = partition_manager
        self._stores = RetainedStores(open_store)
        self._check = check
        self._relays = RelayDispatcher(relays, clock=clock)
        self._webhooks = RelayDispatcher([webhooks or Webhooks()], clock=clock)
        self._providers = providers or Providers()
        self._mail_hosts = mail_hosts
        self._reputation = reputation or Reputation()
        self._held_since = 0
        self._compose = compose
        self._message_id = message_id
        self._suppress = suppress
        self._clock = clock
        self._metrics = metrics
        self._tracing = tracing
        self._grace = grace
        self._log_time = log_time
        self._identity = identity
        self._pause = pause
        self._open: dict[TopicPartition, MailPartition] = {}
        self._failed: dict[TopicPartition, DeliveryFailures] = {}
        self._watchers: dict[TopicPartition, asyncio.Task[None]] = {}
        self._ended: dict[TopicPartition, list[AttemptResult]] = {}
        self._defects: defaultdict[TopicPartition, Defects] = defaultdict(Defects)

    async def opened(self, tp: TopicPartition) -> int | None:
        """Recover the partition, begin to deliver, return where to read on; see PartitionOwner."""
        store = self._stores.take(_kept(tp))
        try:
            self._open[tp] = await self._recover(tp, store)
        except BaseException:
            self._stores.retain(_kept(tp), store)
            raise
        watching = kept_up("mail_watch", partial(self._watch, tp), pause=self._pause)
        self._watchers[tp] = asyncio.create_task(watching, name=f"watch of {tp}")
        return self._open[tp].next_offset

    async def closed(self, tp: TopicPartition) -> None:
        """Let the partition go, once what is on its way to the relay is settled."""
        watch = self._watchers.pop(tp, None)
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])
        self._failed.pop(tp, None)
        partition = self._open.pop(tp, None)
        if partition is not None:
            self._ended[tp] = await partition.stop(self._grace)
            self._stores.retain(_kept(tp), partition.changelog.store)
            self._reputation.leave(tp.partition)
            for delivery in CLASSES:
                self._metrics.waiting(tp.partition, delivery, 0)
            for reason in get_args(HoldReason):
                self._metrics.held(tp.partition, reason, 0)
            self._metrics.oldest(tp.partition, 0)
            self._metrics.stuck(tp.partition, 0)

    async def prepare(self, partition: int) -> None:
        """Have the state of a partition ready that this process may be given soon."""
        tp = TopicPartition(topics.SEND_COMMANDS, partition)
        if tp not in self._partition_manager.owned():
            await self._stores.prepare(self._log, _kept(tp))

    def drop_unassigned(self, owned: Iterable[TopicPartition]) -> None:
        """Drop the state of partitions that did not come back; call it after each assignment."""
        self._stores.drop_unassigned({_kept(tp) for tp in owned})

    async def close(self) -> None:
        """Finish what is on its way, keep the state on disk, hang up. Nothing is consumed now."""
        await asyncio.gather(*(self.closed(tp) for tp in list(self._open)))
        self._stores.close()
        await self._relays.close()
        await self._webhooks.close()
        if self._mail_hosts is not None:
            await self._mail_hosts.close()

    async def scrub(self, partition: int) -> None:
        """Let the store hold nothing of what mails were before. Raises StateError."""
        for tp, open_ in list(self._open.items()):
            if tp.partition == partition:
                await asyncio.to_thread(open_.changelog.store.scrub, None)

    def stores(self) -> Mapping[TopicPartition, Store]:
        """Return what holds the state of each open partition."""
        return {tp: partition.changelog.store for tp, partition in self._open.items()}

    def failing(self) -> Mapping[TopicPartition, str]:
        """Return the partitions whose deliveries have failed twice in a row or more, and why."""
        now = self._clock.now()
        return {
            tp: each.reason
            for tp, each in self._failed.items()
            if each.failures >= TWICE and not each.is_over(now)
        }

    async def until_idle(self) -> None:
        """Wait until no mail is due and none on its way, for who drives a virtual clock."""
        for partition in list(self._open.values()):
            await partition.delivery.until_idle()

    def next_time(self) -> int | None:
        """Return when there is something to do again; None: not before something comes."""
        times = [partition.delivery.next_time for partition in self._open.values()]
        return min((time for time in times if time is not None), default=None)

    async def process(self, batch: PartitionBatch) -> None:
        """Take one batch over. Never raises, except when cancelled: see CustomersRuntime."""
        try:
            async with self._partition_manager.enter(batch) as lease:
                if lease is not None:
                    await self._take_over(self._open[batch.tp], batch.records, lease)
        except (Fenced, Overtaken, LogError, NotWrittenError) as error:
            _log.warning("batch of commands given up, opening the partition again",
                         partition=batch.tp.partition, error=str(error))  # fmt: skip
        except Exception as error:
            self._defects[batch.tp].note(error)
            _log.exception("batch of commands failed, opening the partition again",
                           partition=batch.tp.partition,
                           offset=batch.records[0].offset)  # fmt: skip

    async def _take_over(
        self, partition: MailPartition, records: Sequence[Record], lease: BatchLease
    ) -> None:
        for start in range(0, len(records), COMMANDS_AT_ONCE):
            some = records[start : start + COMMANDS_AT_ONCE]
            if self._mail_hosts is not None:
                await self._mail_hosts.learn(some)
            lease.check()
            changes = partition.queue.receive(some)
            progress = partition.queue.progress
            if changes.letters or changes.suppressions:
                await partition.outbox.submit(changes)
                await self._refuse(changes.letters)
                await self._suppress(changes.suppressions)
                await partition.outbox.submit(QueueChanges(), progress)
            else:
                await partition.outbox.submit(changes, progress)
            partition.delivery.wake()
        lease.done(partition.queue.progress.next_offset)

    async def _refuse(self, letters: Sequence[OutRecord]) -> None:
        count = await self._log.partitions(topics.DEAD_LETTERS)
        groups: dict[int, list[OutRecord]] = defaultdict(list)
        for letter in letters:
            groups[partition_of(letter.key or b"", count)].append(letter)
        for number, group in groups.items():
            await self._log.append(topics.DEAD_LETTERS, number, group)

    async def _watch(self, tp: TopicPartition) -> None:
        """Open the partition again whenever its deliveries have failed."""
        failed = self._failed[tp] = DeliveryFailures(self._clock.now())
        while True:
            partition = self._open[tp]
            error = await partition.failed
            failed.stopped(error, self._clock.now())
            _log.warning("deliveries stopped, opening the partition again",
                         partition=tp.partition, error=str(error))  # fmt: skip
            self._defects[tp].note(error)
            self._ended[tp] = await partition.stop(self._grace)
            while self._open[tp] is partition:
                await self._pause(BACKOFF.after(failed.failures))
                try:
                    self._open[tp] = await self._recover(tp, partition.changelog.store)
                    failed.go_on(self._clock.now())
                except FutureFormat as error:
                    failed.note(error)
                    _log.error("partition stays closed", topic=topics.SEND_COMMANDS,
                               partition=tp.partition, reason=str(error))  # fmt: skip
                except Exception as error:  # whatever it is: mails wait, and it may pass
                    failed.note(error)
                    _log.exception("partition could not be opened", partition=tp.partition)

    async def _recover(self, tp: TopicPartition, store: Store) -> MailPartition:
        changelog = Changelog(self._log, topics.MAILER_CHANGELOG, tp.partition, store)
        recovered = await changelog.take_over()
        fencing_epoch = recovered.fencing_epoch
        partitions = await self._log.partitions(topics.SEND_COMMANDS)
        progress = await self._progress(changelog, fencing_epoch)
        progress = await self._identity.known(topics.SEND_COMMANDS, tp.partition, progress)
        partition = self._build(tp, changelog, progress, fencing_epoch, partitions)
        try:
            partition.start(self._ended.get(tp, []))
        except FailedAt as error:
            self._defects[tp].note(error)
            raise
        self._ended.pop(tp, None)
        self._metrics.stuck(tp.partition, partition.queue.stuck)
        if partition.queue.stuck:
            _log.error("mails are left as they are: our own code fails at them",
                       partition=tp.partition, mails=partition.queue.stuck)  # fmt: skip
        _log.info("mails of a partition recovered", partition=tp.partition,
                  records=recovered.records, waiting=sum(partition.queue.waiting.values()),
                  seconds=round(recovered.seconds, 3))  # fmt: skip
        return partition

    async def _progress(self, changelog: Changelog, fencing_epoch: int) -> Progress:
        accepts = self._accept_unsigned
        return await decide(
            self._log,
            topics.SEND_COMMANDS,
            changelog,
            accept_unsigned=accepts,
            fencing_epoch=fencing_epoch,
        )

    def _build(
        self,
        tp: TopicPartition,
        changelog: Changelog,
        progress: Progress,
        fencing_epoch: int,
        partitions: int,
    ) -> MailPartition:
        def is_home(key: bytes) -> bool:
            return partition_of(key, partitions) == tp.partition

        queue = Queue(
            load=changelog.get,
            kept=changelog.scan(),
            progress=progress,
            message_id=self._message_id,
            partition=tp.partition,
            fencing_epoch=fencing_epoch,
            reputation=self._reputation,
            providers=self._providers,
            defects=self._defects[tp],
            signer=self._signer,
            is_home=is_home,
            log_time=partial(self._log_time, tp.partition),
        )
        outbox = OutboxWriter(
            log=self._log,
            changelog=changelog,
            queue=queue,
            check=lambda: self._check(tp),
            noted=lambda notes: self._noted(tp, queue, notes),
            signer=self._signer,
            fencing_epoch=fencing_epoch,
        )
        attempts = Attempts(
            queue=queue,
            outbox=outbox,
            check=lambda: self._check(tp),
            relays=self._relays,
            compose=self._compose,
            clock=self._clock,
            metrics=self._metrics,
        )
        delivery = Delivery(
            partition=tp.partition,
            queue=queue,
            outbox=outbox,
            attempts=attempts,
            relays=self._relays,
            webhooks=self._webhooks,
            clock=self._clock,
            metrics=self._metrics,
        )
        next_offset = None if changelog.get(PROGRESS_KEY) is None else progress.next_offset
        return MailPartition(changelog, queue, outbox, delivery, next_offset)

    def _noted(self, tp: TopicPartition, queue: Queue, notes: Sequence[QueueNote]) -> None:
        now = self._clock.now()
        for note in notes:
            count(self._metrics, note, now)
            if self._tracing is not None:
                self._tracing.noted(note)
        for delivery, mails in queue.waiting.items():
            self._metrics.waiting(tp.partition, delivery, mails)
        for reason, mails in queue.held.items():
            self._metrics.held(tp.partition, reason, mails)
        if self._held_since != self._reputation.held_since:
            self._tell_verdict(now)

    def _tell_verdict(self, now: int) -> None:
        """The sender's reputation has become bad, or good again: all partitions are to look."""
        self._held_since = self._reputation.held_since
        self._metrics.breaker(open_=bool(self._held_since))
        shares = self._reputation.shares(now)
        say = _log.error if self._held_since else _log.info
        say("marketing is held, providers would block us" if self._held_since
            else "marketing goes on",
            bounces=round(shares.bounces, 4), complaints=round(shares.complaints, 5))  # fmt: skip
        for partition in self._open.values():
            partition.delivery.wake()


def _kept(tp: TopicPartition) -> TopicPartition:
    return TopicPartition(topics.MAILER_CHANGELOG, tp.partition)
