"""The mails of one partition as they were last left, and where each waits."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from agents.mail.metrics import Outcome
from agents.mail.queue import lifecycle as mail
from agents.mail.queue.defects import Defects
from agents.mail.queue.hold_rules import ENDLESS, HoldRules
from agents.mail.queue.pauses import PAUSES_KEY, Pause, Pauses, unpack_pauses
from agents.mail.queue.queue_changes import PendingOutcome, QueueChanges, QueueNote
from agents.mail.queue.queued_mail import (
    QueuedMail,
    pack_entry,
    read_command,
    unpack_entry,
    with_fencing_epoch,
)
from agents.mail.queue.scheduler import MailScheduler
from agents.mail.reputation import REPUTATION_KEY, Reputation, SenderStatistics, unpack_statistics
from schemas.stored import OWN_PREFIX


class MailIndex:
    """Entries, written or not; each change of one goes through here."""

    def __init__(
        self,
        load: Callable[[bytes], bytes | None],
        partition: int,
        fencing_epoch: int,
        reputation: Reputation,
        defects: Defects | None = None,
    ) -> None:
        """`fencing_epoch` is the number of this owner of the partition, higher than of those
        before; `defects` is what has failed in it so far."""
        self._load = load
        self._defects = defects or Defects()
        self.stuck: set[str] = set()
        """Mails that are left as they are: they can't be read, or not even given up."""
        self._fencing_epoch = fencing_epoch
        self._unwritten: dict[bytes, bytes | None] = {}
        self.scheduler = MailScheduler()
        pauses, statistics = load(PAUSES_KEY), load(REPUTATION_KEY)
        self.hold_rules = HoldRules(
            partition,
            reputation,
            Pauses() if pauses is None else _read_pauses(pauses),
            _read_statistics(statistics, fencing_epoch),
        )

    def read(self, kept: Iterable[tuple[bytes, bytes]]) -> list[QueuedMail]:
        """Take note of all that is in the store; return what was left unfinished."""
        unfinished = []
        for key, stored in kept:
            if not key.startswith(OWN_PREFIX):
                entry = self._readable(key.decode("utf-8", "replace"), stored)
                if entry is None:
                    continue
                self._remember(entry)
                if entry.pending or entry.state == "attempting":
                    unfinished.append(entry)
        return unfinished

    def get(self, id_: str) -> QueuedMail | None:
        """Return a mail as it was last left, written or not; None also of one that is stuck."""
        if id_ in self.stuck:
            return None
        key = id_.encode()
        stored = self._unwritten[key] if key in self._unwritten else self._load(key)
        return None if stored is None else unpack_entry(stored)

    def _readable(self, id_: str, stored: bytes) -> QueuedMail | None:
        try:
            if not self._defects.is_stuck(id_):
                return unpack_entry(stored)
        except (ValueError, struct.error):  # damaged, or of a release that we don't know
            pass
        self.stuck.add(id_)
        return None

    def written(self, states: Iterable[tuple[bytes, bytes | None]]) -> None:
        """These states are in the store now."""
        for key, stored in states:
            if key in self._unwritten and self._unwritten[key] is stored:
                del self._unwritten[key]

    def save(
        self, entry: QueuedMail, before: QueuedMail | None, changes: QueueChanges
    ) -> QueuedMail:
        """A mail is new or has changed; return it as it is kept."""
        kept = with_fencing_epoch(entry, self._fencing_epoch)
        stored = pack_entry(kept)
        self._unwritten[entry.key] = stored
        changes.states.append((entry.key, stored))
        self.scheduler.count(before, entry)
        return kept

    def conclude(
        self,
        entry: QueuedMail,
        before: QueuedMail | None,
        label: str,
        now: int,
        changes: QueueChanges,
    ) -> None:
        """A mail has changed in a way that the world hears of. Put it where it waits now."""
        self.save(entry, before, changes)
        changes.states += self.hold_rules.ended(entry, now)
        if entry.pending:
            changes.outcomes.append(PendingOutcome(entry.id, entry.pending[-1]))
        changes.notes.append(_note(entry, label))
        if not entry.waiting:
            self.scheduler.remind(entry.forget, entry.id)
        elif entry.state == "held" and entry.held in ENDLESS:
            self.scheduler.hold(entry)
        else:
            self.scheduler.go_at(entry, entry.due)

    def let_go(self, entry: QueuedMail, now: int, changes: QueueChanges, *, freed: int = 0) -> None:
        """A held mail may go; `freed`: when a person said so."""
        self.scheduler.free(entry)
        after = mail.let_go(entry, now, freed=freed)
        self.save(after, entry, changes)
        self.scheduler.go(after)

    def forget(self, entry: QueuedMail, changes: QueueChanges) -> None:
        """A mail was finished long ago."""
        self._unwritten[entry.key] = None
        changes.states.append((entry.key, None))

    def _remember(self, entry: QueuedMail) -> None:
        self.scheduler.remind(entry.forget if entry.finished else entry.expires, entry.id)
        self.scheduler.count(None, entry)
        if entry.state == "held":
            self.scheduler.recheck(entry.id)
        elif entry.state == "queued":
            self.scheduler.go(entry)
        elif entry.state == "deferred":
            self.scheduler.go_at(entry, entry.due)


UNREADABLE_PAUSES = Pauses((Pause(None, "", "what was paused can't be read any more", 1),))
"""Every mail: those that people hold back must not leave because nobody knows which they are."""


def _read_pauses(stored: bytes) -> Pauses:
    try:
        return unpack_pauses(stored)
    except ValueError:
        return UNREADABLE_PAUSES


def _read_statistics(stored: bytes | None, fencing_epoch: int) -> SenderStatistics:
    """What can't be read is counted anew: it tells of the last days only."""
    try:
        statistics = SenderStatistics() if stored is None else unpack_statistics(stored)
    except ValueError:
        statistics = SenderStatistics()
    statistics.begin_epoch(fencing_epoch)
    return statistics


_OUTCOMES: dict[str, Outcome] = {
    "sent": "sent",
    "deferred": "deferred",
    "held": "held",
    "bounced": "bounced",
    "failed": "failed",
    "rejected": "rejected",
    "skipped": "skipped",
}


def _note(after: QueuedMail, label: str) -> QueueNote:
    what = _OUTCOMES[after.state]
    if after.webhook:
        return QueueNote(what, "notify", reason=label)
    command = read_command(after)
    return QueueNote(
        what,
        command.mail_class,
        command.template,
        label,
        provider=after.provider,
        decided=command.time,
        traceparent=command.traceparent or "",
    )
