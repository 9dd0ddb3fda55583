"""Writes what one partition of the mailer decides, in the order in which it was decided.

    1. states → mailer-changelog, awaited; then the store     (many decisions in one append)
    2. outcomes of those states → customer-events, awaited    (the state says that they are pending)
    3. "the log has them" → with the next states              (a crash before repeats 2, same ids)

A claim is one such decision: its mail may go to the relay once step 1 is over. While one append is
on its way, further decisions gather and go out together with the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.mail.queue.mail_queue import Queue
from agents.mail.queue.queue_changes import PendingOutcome, QueueChanges, QueueNote
from schemas import topics
from schemas.records import OutRecord
from schemas.signing import RecordSigner
from schemas.stored import PROGRESS_KEY, Progress, pack_progress
from streams.log import Log
from streams.runtime.state.changelog import Changelog
from streams.runtime.state.store import Item


class NotWrittenError(Exception):
    """The partition was let go before this was written."""


@dataclass(slots=True)
class _Submission:
    states: Sequence[Item]
    outcomes: Sequence[PendingOutcome]
    notes: Sequence[QueueNote]
    durable: asyncio.Future[None]


class OutboxWriter:
    """The only writer of one partition's changelog, and of its outcomes."""

    def __init__(
        self,
        *,
        log: Log,
        changelog: Changelog,
        queue: Queue,
        check: Callable[[], None],
        noted: Callable[[Sequence[QueueNote]], None],
        signer: RecordSigner,
        fencing_epoch: int,
    ) -> None:
        """`check` raises Fenced; `noted` is told what has become durable. `signer` signs the
        outcomes. `fencing_epoch` is the number of this owner of the
        partition."""
        self._fencing_epoch = fencing_epoch
        self._signer = signer
        self._log = log
        self._changelog = changelog
        self._queue = queue
        self._check = check
        self._noted = noted
        self._waiting: list[_Submission] = []
        self._outbox: list[Sequence[PendingOutcome]] = []
        self._news = asyncio.Event()
        self._mail = asyncio.Event()
        self._unfinished = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._broken: BaseException | None = None

    def submit(
        self, changes: QueueChanges, progress: Progress | None = None
    ) -> asyncio.Future[None]:
        """Line `changes` up, `progress` behind them; the future says when they are durable.

        It raises NotWrittenError when the partition was let go or has failed; `run` says why.
        """
        durable = asyncio.get_running_loop().create_future()
        durable.add_done_callback(_retrieved)
        if self._broken is not None:
            durable.set_exception(self._broken)
            return durable
        states: list[Item] = list(changes.states)
        if progress is not None:
            states.append((PROGRESS_KEY, pack_progress(progress, self._fencing_epoch)))
        self._waiting.append(_Submission(states, changes.outcomes, changes.notes, durable))
        self._began()
        self._news.set()
        return durable

    async def run(self) -> None:
        """Write until cancelled. Raises what made the partition unusable."""
        writing = asyncio.create_task(self._write_forever())
        publishing = asyncio.create_task(self._publish_forever())
        try:
            await asyncio.wait({writing, publishing}, return_when=asyncio.FIRST_COMPLETED)
            for task in (writing, publishing):
                if task.done():
                    task.result()
        finally:
            for task in (writing, publishing):
                task.cancel()
            await asyncio.wait({writing, publishing})
            self._give_up()

    async def drained(self) -> None:
        """Wait until all that was submitted is written and the log has its outcomes."""
        await self._idle.wait()

    async def _write_forever(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            group, self._waiting = self._waiting, []
            try:
                await self._write(group)
            except BaseException:
                self._waiting = group + self._waiting  # all of them are told
                raise

    async def _write(self, group: Sequence[_Submission]) -> None:
        states = [item for submission in group for item in submission.states]
        if states:
            newest = dict(states)  # of several states of one key only the last is worth writing
            if (progress := newest.pop(PROGRESS_KEY, None)) is not None:
                # The last of all: an append may be written in part, and what the progress says has
                # been taken over must be there.
                newest[PROGRESS_KEY] = progress
            await self._changelog.write(list(newest.items()), self._check)
            self._queue.written(states)
        for submission in group:
            if not submission.durable.done():
                submission.durable.set_result(None)
            self._noted(submission.notes)
            if submission.outcomes:
                self._outbox.append(submission.outcomes)
                self._mail.set()
            else:
                self._ended(1)

    async def _publish_forever(self) -> None:
        while True:
            await self._mail.wait()
            self._mail.clear()
            groups, self._outbox = self._outbox, []
            outcomes = [outcome for group in groups for outcome in group]
            self._check()
            records = [self._signed(outcome.record) for outcome in outcomes]
            await self._log.append(topics.CUSTOMER_EVENTS, self._changelog.partition, records)
            self.submit(self._queue.published(outcomes))
            self._ended(len(groups))

    def _signed(self, outcome: OutRecord) -> OutRecord:
        return self._signer.sign(topics.CUSTOMER_EVENTS, outcome)

    def _began(self) -> None:
        self._unfinished += 1
        self._idle.clear()

    def _ended(self, count: int) -> None:
        self._unfinished -= count
        if self._unfinished == 0:
            self._idle.set()

    def _give_up(self) -> None:
        self._broken = NotWrittenError()
        for submission in self._waiting:
            if not submission.durable.done():
                submission.durable.set_exception(self._broken)
        self._waiting.clear()
        self._idle.set()


def _retrieved(future: asyncio.Future[None]) -> None:
    """Nobody has to look at the exception: the partition's failure is reported by `run`."""
    if not future.cancelled():
        future.exception()
