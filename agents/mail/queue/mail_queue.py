"""The durable queue of one partition: which mails wait, which is next, what a result leads to.

Every method changes the queue at once and returns `QueueChanges`: states to be written to the
changelog in the order in which they were returned, and what the world may be told once they are
durable. When a write fails the queue is thrown away and built again from the changelog.

In memory are only the ids of the mails that wait (`agents/mail/queue/scheduler.py`); all else stays
in the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from agents.mail.metrics import HoldReason
from agents.mail.providers import Providers
from agents.mail.queue import lifecycle as mail
from agents.mail.queue.command_intake import CommandIntake
from agents.mail.queue.defects import INTERNAL_ERROR, Defects, failing_at
from agents.mail.queue.hold_rules import MailHold
from agents.mail.queue.lanes import Lane
from agents.mail.queue.mail_index import MailIndex
from agents.mail.queue.queue_changes import AttemptResult, PendingOutcome, QueueChanges
from agents.mail.queue.queued_mail import QueuedMail
from agents.mail.replies import (
    Answered,
    Dropped,
    RelayAccepted,
    RelayRefused,
    Result,
    Unknown,
    classify,
    label,
)
from agents.mail.reputation import Reputation
from schemas.commands import DeliveryClass
from schemas.records import Record
from schemas.signing import RecordSigner
from schemas.stored import Progress
from schemas.time_units import MINUTE_MS

HOUSEKEEPING_BATCH = 500
"""Mails that expire, are held or are forgotten in one go: some 50 ms. A relay that was down for a
day leaves a whole campaign to expire at once."""


_R = TypeVar("_R")


def _about_one_mail(method: Callable[..., _R]) -> Callable[..., _R]:
    """Of what fails in a method it is said which mail it was at."""

    @wraps(method)
    def say(self: Queue, id_: str, *args: Any, **kwargs: Any) -> _R:
        with failing_at(mail=id_):
            return method(self, id_, *args, **kwargs)

    return say


class Queue:
    """The mails of one partition."""

    def __init__(
        self,
        *,
        load: Callable[[bytes], bytes | None],
        kept: Iterable[tuple[bytes, bytes]],
        progress: Progress,
        message_id: Callable[[str], str],
        partition: int,
        fencing_epoch: int,
        reputation: Reputation,
        providers: Providers,
        defects: Defects,
        signer: RecordSigner,
        is_home: Callable[[bytes], bool],
        log_time: Callable[[], int],
    ) -> None:
        """`load` reads the store, `kept` is all that is in it, `progress` its own record.

        `message_id` gives the Message-ID of a command's id; `fencing_epoch` is the number of this
        owner of the partition, higher than those of all before; `reputation` is that of the sender,
        which the partitions of a worker share; `defects` is what has failed in this partition
        before. `signer` checks the commands. `is_home` tells whether a customer's commands come to
        this partition: ids are known in one, and a copy in another would be sent again. `log_time`:
        what the customers' log has come to; a mail that is not marketing has expired only when that
        says so, too: one clock may have leapt.
        """
        self._log_time = log_time
        self._message_id = message_id
        self._defects = defects
        self._index = MailIndex(load, partition, fencing_epoch, reputation, defects)
        self._intake = CommandIntake(self._index, providers, progress, defects, signer, is_home)
        self._unfinished = self._index.read(kept)

    @property
    def progress(self) -> Progress:
        """How much of the log is taken over."""
        return self._intake.progress

    @property
    def waiting(self) -> Mapping[DeliveryClass, int]:
        """How many mails wait, by delivery class, the held ones among them."""
        return self._index.scheduler.mails

    @property
    def stuck(self) -> int:
        """How many mails can't be dealt with and are left as they are."""
        return len(self._index.stuck)

    @property
    def held(self) -> Mapping[HoldReason, int]:
        """How many mails are held, by reason."""
        return self._index.scheduler.held

    def receive(self, records: Sequence[Record]) -> QueueChanges:
        """Take over commands. Known ids are ignored, whatever has become of them."""
        return self._intake.receive(records)

    def get(self, id_: str) -> QueuedMail | None:
        """Return a mail as it was last left, written or not."""
        return self._index.get(id_)

    def written(self, states: Iterable[tuple[bytes, bytes | None]]) -> None:
        """These states are in the store now."""
        self._index.written(states)

    # What the delivery loop asks and reports.

    def recover(self, results: Iterable[AttemptResult], now: int) -> QueueChanges:
        """Settle the claims found in the store; call it once, before anything else.

        `results` are those that this process knew and could not write before the partition was
        opened again. Of any other claim nobody knows how it ended.
        """
        known = {(ended.id, ended.attempt, ended.fencing_epoch): ended.result for ended in results}
        changes = QueueChanges()
        for entry in self._unfinished:
            with failing_at(mail=entry.id):
                self._finish_up(entry, known, now, changes)
        self._unfinished = []
        for id_ in self._defects.given_up():
            self._give_up(id_, now, changes)
        return changes

    def housekeep(self, now: int) -> QueueChanges:
        """Skip what has expired, forget what was finished long ago, hold and let go.

        At most UPKEEP mails at a time; `next_time` says that there are more.
        """
        changes = QueueChanges()
        while (
            len(changes.states) < HOUSEKEEPING_BATCH
            and (id_ := self._index.scheduler.reminder(now)) is not None
        ):
            self._keep_up(id_, now, changes)
        if self._index.hold_rules.changed(now):
            changes.states += self._index.hold_rules.kept_statistics()
            self._index.scheduler.recheck_ready(lambda lane: lane.delivery in ("automated", "bulk"))
            self._index.scheduler.recheck_held()
        for id_ in self._index.scheduler.to_recheck(HOUSEKEEPING_BATCH):
            self._look_at(id_, now, changes)
        return changes

    def ready(self, now: int) -> list[Lane]:
        """Return the lanes in which `pick` may find a mail, urgent ones first."""
        return self._index.scheduler.ready(now)

    def pick(self, lane: Lane, now: int) -> QueuedMail | None:
        """Take the next mail of a lane. Whoever picks a mail ends with one of the methods below.

        None also when too many in a row may not go now: `housekeep` has to hold them first.
        """
        for _ in range(HOUSEKEEPING_BATCH):
            id_ = self._index.scheduler.pop(lane)
            if id_ is None:
                return None
            if (entry := self._is_next(id_, now)) is not None:
                return entry
        return None

    @_about_one_mail
    def again(self, id_: str) -> None:
        """A picked mail was not begun: it is next again."""
        entry = self.get(id_)
        if entry is not None and entry.waiting:
            self._index.scheduler.go(entry)

    @_about_one_mail
    def claim(self, id_: str, now: int) -> tuple[QueuedMail, QueueChanges] | None:
        """Claim a picked mail; None when it was cancelled, has expired or may not go any more."""
        entry = self.get(id_)
        if entry is None or not self._may_go(entry, now):
            return None
        changes = QueueChanges()
        claimed = self._index.save(mail.claimed(entry), entry, changes)
        changes.states += self._index.hold_rules.begins(claimed, now)
        return claimed, changes

    @_about_one_mail
    def record_result(self, id_: str, result: Result, now: int) -> QueueChanges:
        """Write down how an attempt ended."""
        changes = QueueChanges()
        entry = self.get(id_)
        if entry is not None and entry.state == "attempting":
            self._record_result(entry, result, now, changes)
        return changes

    @_about_one_mail
    def release(self, id_: str, now: int) -> QueueChanges:
        """Give a claim back that was not used."""
        changes = QueueChanges()
        entry = self.get(id_)
        if entry is not None and entry.state == "attempting":
            self._release(entry, now, changes)
        return changes

    @_about_one_mail
    def unreachable(self, id_: str, now: int, until: int, reason: str) -> QueueChanges:
        """The relay is down. The first time per attempt this is an outcome, then just a wait.

        The mail was picked, or claimed and turned away before the relay looked at it.
        """
        changes = QueueChanges()
        entry = self.get(id_)
        if entry is None or entry.finished:
            return changes
        if not entry.waiting:
            entry = self._unclaim(entry, now, changes)
        if entry.told <= entry.attempt:
            after = mail.unreachable(entry, now, until, reason)
            self._index.conclude(after, entry, reason, now, changes)
        else:
            self._index.scheduler.go_at(entry, until)
        return changes

    @_about_one_mail
    def reject(self, id_: str, now: int, label: str, reason: str = "") -> QueueChanges:
        """A picked mail can't be made or sent; `reason` is for a person."""
        changes = QueueChanges()
        entry = self.get(id_)
        if entry is not None and entry.waiting:
            self._index.conclude(
                mail.rejected(entry, now, reason or label), entry, label, now, changes
            )
        return changes

    @_about_one_mail
    def skip(self, id_: str, now: int, reason: str) -> QueueChanges:
        """A picked mail is not to be sent, although it could be."""
        changes = QueueChanges()
        entry = self.get(id_)
        if entry is not None and entry.waiting:
            self._index.conclude(mail.skipped(entry, now, reason), entry, reason, now, changes)
        return changes

    def published(self, outcomes: Iterable[PendingOutcome]) -> QueueChanges:
        """`customer-events` has these outcomes."""
        counts = Counter(outcome.id for outcome in outcomes)
        changes = QueueChanges()
        for id_, count in counts.items():
            with failing_at(mail=id_):
                if (entry := self.get(id_)) is not None:
                    self._index.save(mail.published(entry, count), entry, changes)
        return changes

    def next_time(self, now: int) -> int | None:
        """When there is something to do again; `ready` and `housekeep` say what."""
        times = (self._index.scheduler.next_time(now), self._index.hold_rules.next_time(now))
        return min((time for time in times if time is not None), default=None)

    def overdue_since(self) -> int | None:
        """Since when the mail that may go and has waited longest has been due."""
        return self._index.scheduler.oldest()

    # Inside.

    def _finish_up(
        self,
        entry: QueuedMail,
        known: Mapping[tuple[str, int, int], Result | None],
        now: int,
        changes: QueueChanges,
    ) -> None:
        changes.outcomes += [PendingOutcome(entry.id, record) for record in entry.pending]
        if entry.state == "attempting":
            claim = (entry.id, entry.attempt, entry.fencing_epoch)
            result = known.get(claim, mail.INTERRUPTED)
            if result is None:
                self._release(entry, now, changes)
            else:
                self._record_result(entry, result, now, changes)

    @_about_one_mail
    def _give_up(self, id_: str, now: int, changes: QueueChanges) -> None:
        entry = self.get(id_)
        if entry is not None and entry.waiting:
            self._index.conclude(mail.given_up(entry, now), entry, INTERNAL_ERROR, now, changes)

    @_about_one_mail
    def _keep_up(self, id_: str, now: int, changes: QueueChanges) -> None:
        entry = self.get(id_)
        if entry is None:
            return
        if entry.waiting and self._has_expired(entry, now):
            self._expire(entry, now, changes)
        elif entry.waiting and entry.expires <= now:
            self._index.scheduler.remind(now + MINUTE_MS, id_)
        elif entry.finished and entry.forget <= now and not entry.pending:
            self._index.forget(entry, changes)
        elif entry.state == "attempting" or entry.pending:
            self._index.scheduler.remind(now + MINUTE_MS, id_)

    @_about_one_mail
    def _is_next(self, id_: str, now: int) -> QueuedMail | None:
        entry = self.get(id_)
        return entry if entry is not None and self._may_go(entry, now) else None

    def _may_go(self, entry: QueuedMail, now: int) -> bool:
        if not entry.waiting or self._has_expired(entry, now):
            return False
        if entry.state != "queued" and entry.due > now:
            self._index.scheduler.go_at(entry, entry.due)
            return False
        if self._index.hold_rules.why(entry, now) is None:
            return True
        self._index.scheduler.recheck(entry.id)
        return False

    @_about_one_mail
    def _look_at(self, id_: str, now: int, changes: QueueChanges) -> None:
        """Put a mail where it belongs by what holds it now."""
        entry = self.get(id_)
        if entry is None or not entry.waiting or self._has_expired(entry, now):
            return
        if entry.state == "deferred" and entry.due > now:
            self._index.scheduler.go_at(entry, entry.due)
            return
        hold = self._index.hold_rules.why(entry, now)
        if hold is not None:
            self._hold(entry, hold, now, changes)
        elif entry.state == "held":
            self._index.let_go(entry, now, changes)
        else:
            self._index.scheduler.go(entry)

    def _has_expired(self, entry: QueuedMail, now: int) -> bool:
        if entry.expires > now:
            return False
        return entry.marketing or entry.expires <= self._log_time()

    def _hold(self, entry: QueuedMail, hold: MailHold, now: int, changes: QueueChanges) -> None:
        if (entry.state, entry.held) != ("held", hold.reason):
            self._index.conclude(mail.held(entry, now, *hold), entry, hold.reason, now, changes)
        elif hold.until is None:
            self._index.scheduler.hold(entry)
        else:
            self._index.scheduler.go_at(entry, hold.until)

    def _expire(self, entry: QueuedMail, now: int, changes: QueueChanges) -> None:
        after = mail.expired(entry, now)
        bounce = after.state == "bounced" and entry.refusal is not None
        label = classify(entry.refusal).kind if bounce and entry.refusal else mail.EXPIRED
        self._index.conclude(after, entry, label, now, changes)

    def _record_result(
        self, entry: QueuedMail, result: Result, now: int, changes: QueueChanges
    ) -> None:
        self._index.conclude(self._after(entry, result, now), entry, label(result), now, changes)
        if isinstance(result, Unknown):
            changes.notes[-1] = changes.notes[-1]._replace(ambiguous=True)

    def _release(self, entry: QueuedMail, now: int, changes: QueueChanges) -> None:
        back = self._unclaim(entry, now, changes)
        self._index.scheduler.go(back)

    def _unclaim(self, entry: QueuedMail, now: int, changes: QueueChanges) -> QueuedMail:
        back = mail.released(entry)
        self._index.save(back, entry, changes)
        changes.states += self._index.hold_rules.not_begun(entry, now)
        return back

    def _after(self, entry: QueuedMail, result: Result, now: int) -> QueuedMail:
        match result:
            case RelayAccepted():
                return mail.accepted(entry, result, now, message_id=self._message_id(entry.id))
            case RelayRefused():
                return mail.refused(entry, result, now)
            case Dropped():
                return mail.dropped(entry, result, now)
            case Unknown():
                return mail.lost(entry, result, now)
            case Answered():
                return mail.answered(entry, result, now)
