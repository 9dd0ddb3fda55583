"""The durable queue of one partition: which mails wait, which is next, what a result leads to.

Every method changes the queue at once and returns `Changes`: states to be written to the changelog
in the order in which they were returned, and what the world may be told once they are durable. When
a write fails the queue is thrown away and built again from the changelog.

In memory a waiting mail is two heap entries, (class, due, id) and (expiry, id); all else stays in
the store. Heaps are never searched: an entry is looked up when its turn comes, and dropped if the
mail has moved on.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence

from agents.mailer import entry as mail
from agents.mailer.changes import Changes, Ended, Note, Published
from agents.mailer.entry import Entry, unpack_entry
from agents.mailer.metrics import Outcome
from agents.mailer.reading import read_record
from agents.mailer.replies import Accepted, Dropped, Refused, Result, Unknown, classify
from agents.mailer.retry import MINUTE_MS
from schemas.commands import CancelCommand, SendCommand
from schemas.dead_letters import refuse
from schemas.records import Record
from schemas.stored import PROGRESS_KEY, Progress
from schemas.wire import Unreadable

UPKEEP = 500
"""Mails that expire or are forgotten in one go: some 50 ms. A relay that was down for a day leaves
a whole campaign to expire at once."""


class Queue:
    """The mails of one partition."""

    def __init__(
        self,
        *,
        load: Callable[[bytes], bytes | None],
        kept: Iterable[tuple[bytes, bytes]] = (),
        progress: Progress | None = None,
        message_id: Callable[[str], str],
        relay: str,
    ) -> None:
        """`load` reads the store, `kept` is all that is in it, `progress` its own record.

        `message_id` gives the Message-ID of a command's id, `relay` is how outcomes name the relay.
        """
        self._load = load
        self._message_id = message_id
        self._relay = relay
        self._unwritten: dict[bytes, bytes | None] = {}
        self._later: list[tuple[int, bool, str]] = []
        self._ready: list[tuple[bool, int, str]] = []
        self._upkeep: list[tuple[int, str]] = []
        self._unfinished: list[Entry] = []
        self.progress = progress or Progress()
        self.waiting = {"transactional": 0, "marketing": 0}
        for key, stored in kept:
            if key != PROGRESS_KEY:
                self._remember(unpack_entry(stored))

    # What the log brings.

    def receive(self, records: Sequence[Record]) -> Changes:
        """Take over commands. Known ids are ignored, whatever has become of them."""
        changes = Changes()
        log_time = self.progress.log_time
        for record in records:
            if record.offset < self.progress.next_offset:
                continue
            log_time = max(log_time, record.timestamp)
            try:
                command = read_record(record)
            except Unreadable as error:
                changes.letters.append(
                    refuse(record, reason=error.reason, detail=error.detail, time=log_time)
                )
                changes.notes.append(Note("unreadable"))
                continue
            if isinstance(command, SendCommand):
                self._send(command, record, log_time, changes)
            else:
                self._cancel(command, record, log_time, changes)
        if records:
            end = max(self.progress.next_offset, records[-1].offset + 1)
            self.progress = Progress(next_offset=end, log_time=log_time)
        return changes

    def _send(self, command: SendCommand, record: Record, now: int, changes: Changes) -> None:
        known = self.get(command.id)
        if known is not None and known.state != "cancelled":
            changes.notes.append(Note("duplicate", command.mail_class, command.template))
            return
        entry = mail.queued(command, record.offset, record.value or b"")
        changes.notes.append(Note("queued", command.mail_class, command.template))
        if known is not None:
            self._count(entry, 1)
            self._keep(mail.skipped(entry, now, "cancelled"), "cancelled", changes)
            return
        self._save(entry, changes)
        self._count(entry, 1)
        heapq.heappush(self._upkeep, (entry.expires, entry.id))
        self._wait(entry, entry.due)

    def _cancel(self, command: CancelCommand, record: Record, now: int, changes: Changes) -> None:
        known = self.get(command.id)
        if known is None:
            early = mail.cancelled_early(command, record.offset)
            self._save(early, changes)
            heapq.heappush(self._upkeep, (early.forget, early.id))
            changes.notes.append(Note("cancel_early"))
        elif known.waiting:
            changes.notes.append(Note("cancelled"))
            self._keep(mail.skipped(known, now, "cancelled"), "cancelled", changes)
        else:
            changes.notes.append(Note("cancel_late"))

    # What the delivery loop asks and reports.

    def recover(self, results: Iterable[Ended], now: int) -> Changes:
        """Settle the claims found in the store; call it once, before anything else.

        `results` are those that this process knew and could not write before the partition was
        opened again. Of any other claim nobody knows how it ended.
        """
        known = {(ended.id, ended.attempt): ended.result for ended in results}
        changes = Changes()
        for entry in self._unfinished:
            changes.outcomes += [Published(entry.id, record) for record in entry.pending]
            if entry.state == "attempting":
                result = known.get((entry.id, entry.attempt), Unknown("interrupted"))
                if result is None:
                    self._release(entry, changes)
                else:
                    self._settle(entry, result, now, changes)
        self._unfinished = []
        return changes

    def housekeep(self, now: int) -> Changes:
        """Skip what has expired while it waited and forget what was finished long ago.

        At most UPKEEP mails at a time; `next_time` says that there are more.
        """
        changes = Changes()
        while self._upkeep and self._upkeep[0][0] <= now and len(changes.states) < UPKEEP:
            _, id_ = heapq.heappop(self._upkeep)
            entry = self.get(id_)
            if entry is None:
                continue
            if entry.waiting and entry.expires <= now:
                self._keep(mail.skipped(entry, now, "expired"), "expired", changes)
            elif entry.finished and entry.forget <= now and not entry.pending:
                self._unwritten[entry.key] = None
                changes.states.append((entry.key, None))
            elif entry.state == "attempting" or entry.pending:
                heapq.heappush(self._upkeep, (now + MINUTE_MS, id_))
        return changes

    def ready(self, now: int) -> bool:
        """Whether `pick` may find a mail."""
        while self._later and self._later[0][0] <= now:
            due, hurry, id_ = heapq.heappop(self._later)
            heapq.heappush(self._ready, (hurry, due, id_))
        return bool(self._ready)

    def pick(self, now: int) -> Entry | None:
        """Take the next mail off the heap: transactional ones first, then by due time.

        Whoever picks a mail ends with one of the methods below.
        """
        while self.ready(now):
            _, _, id_ = heapq.heappop(self._ready)
            entry = self.get(id_)
            if entry is not None and entry.waiting and entry.expires > now:
                return entry
        return None

    def claim(self, id_: str, now: int) -> tuple[Entry, Changes] | None:
        """Claim a picked mail; None when it was cancelled or has expired since."""
        entry = self.get(id_)
        if entry is None or not entry.waiting or entry.expires <= now:
            return None
        changes = Changes()
        claimed = mail.claimed(entry)
        self._count(entry, -1)
        self._save(claimed, changes)
        return claimed, changes

    def settle(self, id_: str, result: Result, now: int) -> Changes:
        """Write down how an attempt ended."""
        changes = Changes()
        entry = self.get(id_)
        if entry is not None and entry.state == "attempting":
            self._settle(entry, result, now, changes)
        return changes

    def release(self, id_: str) -> Changes:
        """Give a claim back that was not used."""
        changes = Changes()
        entry = self.get(id_)
        if entry is not None and entry.state == "attempting":
            self._release(entry, changes)
        return changes

    def unreachable(self, id_: str, now: int, until: int, reason: str) -> Changes:
        """The relay is down. The first time per attempt this is an outcome, then just a wait.

        The mail was picked, or claimed and turned away before the relay looked at it.
        """
        changes = Changes()
        entry = self.get(id_)
        if entry is None or entry.finished:
            return changes
        if not entry.waiting:
            entry = mail.released(entry)
            self._save(entry, changes)
            self._count(entry, 1)
        if entry.told <= entry.attempt:
            self._keep(mail.unreachable(entry, now, until, reason), reason, changes)
        else:
            self._wait(entry, until)
        return changes

    def skip(self, id_: str, now: int, reason: str) -> Changes:
        """A picked mail is not to be sent."""
        return self._end(id_, reason, lambda entry: mail.skipped(entry, now, reason))

    def fail(self, id_: str, now: int, reason: str) -> Changes:
        """A picked mail can't be made; `reason` is for a person."""
        return self._end(id_, "render", lambda entry: mail.unrenderable(entry, now, reason))

    def published(self, outcomes: Iterable[Published]) -> Changes:
        """`customer-events` has these outcomes."""
        counts: dict[str, int] = {}
        for outcome in outcomes:
            counts[outcome.id] = counts.get(outcome.id, 0) + 1
        changes = Changes()
        for id_, count in counts.items():
            entry = self.get(id_)
            if entry is not None:
                self._save(mail.published(entry, count), changes)
        return changes

    def written(self, states: Iterable[tuple[bytes, bytes | None]]) -> None:
        """These states are in the store now."""
        for key, stored in states:
            if key in self._unwritten and self._unwritten[key] is stored:
                del self._unwritten[key]

    def get(self, id_: str) -> Entry | None:
        """Return a mail as it was last left, written or not."""
        key = id_.encode()
        stored = self._unwritten[key] if key in self._unwritten else self._load(key)
        return None if stored is None else unpack_entry(stored)

    def next_time(self) -> int | None:
        """When there is something to do again; `ready` and `housekeep` say what."""
        times = [heap[0][0] for heap in (self._later, self._upkeep) if heap]
        return min(times) if times else None

    def urgent_first(self) -> bool:
        """Whether the mail that `pick` would take is transactional; only after `ready`."""
        return bool(self._ready) and not self._ready[0][0]

    def overdue_since(self) -> int | None:
        """Since when the first of the mails that are due has been waiting."""
        return min((due for _, due, _ in self._ready[:1]), default=None)

    # Inside.

    def _settle(self, entry: Entry, result: Result, now: int, changes: Changes) -> None:
        self._count(entry, 1)  # the claim took it out; `_keep` decides whether it stays
        self._keep(self._after(entry, result, now), _label(result), changes)
        if isinstance(result, Unknown):
            changes.notes[-1] = changes.notes[-1]._replace(ambiguous=True)

    def _release(self, entry: Entry, changes: Changes) -> None:
        back = mail.released(entry)
        self._save(back, changes)
        self._count(back, 1)
        self._wait(back, back.due)

    def _after(self, entry: Entry, result: Result, now: int) -> Entry:
        match result:
            case Accepted():
                message_id = self._message_id(entry.id)
                return mail.accepted(entry, now, message_id=message_id, relay=self._relay)
            case Refused():
                return mail.refused(entry, result, now)
            case Dropped():
                return mail.dropped(entry, result, now)
            case Unknown():
                return mail.lost(entry, result, now)

    def _end(self, id_: str, label: str, change: Callable[[Entry], Entry]) -> Changes:
        changes = Changes()
        entry = self.get(id_)
        if entry is not None and entry.waiting:
            self._keep(change(entry), label, changes)
        return changes

    def _keep(self, after: Entry, label: str, changes: Changes) -> None:
        """Save a mail whose last change has an outcome."""
        self._save(after, changes)
        changes.outcomes.append(Published(after.id, after.pending[-1]))
        changes.notes.append(_note(after, label))
        if after.waiting:
            self._wait(after, after.due)
        else:
            self._count(after, -1)
            heapq.heappush(self._upkeep, (after.forget, after.id))

    def _save(self, entry: Entry, changes: Changes) -> None:
        stored = mail.pack_entry(entry)
        self._unwritten[entry.key] = stored
        changes.states.append((entry.key, stored))

    def _remember(self, entry: Entry) -> None:
        """Take note of a mail found in the store."""
        heapq.heappush(self._upkeep, (entry.forget if entry.finished else entry.expires, entry.id))
        if entry.waiting:
            self._count(entry, 1)
            self._wait(entry, entry.due)
        if entry.pending or entry.state == "attempting":
            self._unfinished.append(entry)

    def _wait(self, entry: Entry, due: int) -> None:
        if entry.state == "queued" and due == entry.due:
            # `due` is the log's time, which may be a little ahead of this machine's.
            heapq.heappush(self._ready, (not entry.urgent, due, entry.id))
        else:
            heapq.heappush(self._later, (due, not entry.urgent, entry.id))

    def _count(self, entry: Entry, by: int) -> None:
        self.waiting["transactional" if entry.urgent else "marketing"] += by


def _label(result: Result) -> str:
    match result:
        case Refused():
            return classify(result).kind
        case Dropped():
            return "dropped"
        case Unknown():
            return "ambiguous"
        case Accepted():
            return ""


_OUTCOMES: dict[str, Outcome] = {
    "sent": "sent",
    "deferred": "deferred",
    "bounced": "bounced",
    "failed": "failed",
    "skipped": "skipped",
}


def _note(after: Entry, label: str) -> Note:
    command = mail.read_command(after)
    return Note(
        _OUTCOMES[after.state],
        command.mail_class,
        command.template,
        label,
        decided=command.time,
    )
