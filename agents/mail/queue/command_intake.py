"""What the commands of the log do to the queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from agents.authentication import Trust
from agents.mail.providers import Providers
from agents.mail.queue import lifecycle as mail
from agents.mail.queue.command_reader import read_record
from agents.mail.queue.defects import INTERNAL_ERROR, Defects, failing_at
from agents.mail.queue.mail_index import MailIndex
from agents.mail.queue.queue_changes import QueueChanges, QueueNote
from schemas.commands import (
    CancelCommand,
    Control,
    FeedbackCommand,
    NotifyCommand,
    PauseCommand,
    ReleaseCommand,
    SendCommand,
    SuppressCommand,
)
from schemas.continuation import LOG_CONTINUED
from schemas.dead_letters import refuse
from schemas.events import TICK
from schemas.records import Record
from schemas.signing import RecordSigner
from schemas.stored import Progress
from schemas.topics import SEND_COMMANDS
from schemas.validation import Unreadable

_FILLING = (TICK.encode(), LOG_CONTINUED.encode())
"""Types of the records with which a log that was made anew is filled up; they command nothing."""


class CommandIntake:
    """Takes commands over into the mail index of one partition."""

    def __init__(
        self,
        index: MailIndex,
        providers: Providers,
        progress: Progress,
        defects: Defects,
        signer: RecordSigner,
        is_home: Callable[[bytes], bool],
    ) -> None:
        """`signer` checks them. `is_home`: whether a key belongs to this partition."""
        self._is_home = is_home
        self._trust = Trust(signer, SEND_COMMANDS, progress)
        self._index = index
        self._defects = defects
        self._providers = providers
        self.progress = progress

    def receive(self, records: Sequence[Record]) -> QueueChanges:
        """Take over commands. Known ids are ignored, whatever has become of them."""
        changes = QueueChanges()
        log_time = self.progress.log_time
        for record in records:
            if record.offset < self.progress.next_offset:
                continue
            log_time = max(log_time, record.timestamp)
            try:
                if self._defects.is_refused(record.offset):
                    raise Unreadable(INTERNAL_ERROR, "the mailer's own code has failed at it twice")
                with failing_at(offset=record.offset):
                    self._take(record, log_time, changes)
            except Unreadable as error:
                changes.letters.append(
                    refuse(record, reason=error.reason, detail=error.detail, time=log_time)
                )
                changes.notes.append(QueueNote("unreadable"))
        if records:
            end = max(self.progress.next_offset, records[-1].offset + 1)
            self.progress = msgspec.structs.replace(
                self.progress,
                next_offset=end,
                log_time=log_time,
                applied_at=records[-1].timestamp,
                numbers=dict(self._trust.numbers),
            )
            self._defects.done(end)
        return changes

    def _take(self, record: Record, now: int, changes: QueueChanges) -> None:
        if record.key is None and record.header("ce_type") in _FILLING:
            return
        command = read_record(record)
        self._trust.check_control(command.action, record)
        if record.key is not None and not self._is_home(record.key):
            raise Unreadable("misplaced", "key: the command was given to another partition")
        if isinstance(command, SendCommand | NotifyCommand):
            self._queue(command, record, now, changes)
        elif isinstance(command, CancelCommand):
            self._cancel(command, record, now, changes)
        elif isinstance(command, SuppressCommand):
            changes.suppressions.append(command)
        elif isinstance(command, FeedbackCommand):
            changes.states += self._index.hold_rules.feedback(command, now)
        else:
            self._obey(command, record, now, changes)

    def _queue(
        self, command: SendCommand | NotifyCommand, record: Record, now: int, changes: QueueChanges
    ) -> None:
        known = self._index.get(command.id)
        if command.id in self._index.stuck:
            changes.notes.append(_request("duplicate", command))
            return
        if known is not None and known.state != "cancelled":
            changes.notes.append(_request("duplicate", command))
            return
        entry = mail.queued(command, record.offset, record.value or b"", self._providers)
        changes.notes.append(_request("queued", command))
        if known is not None:
            skipped = mail.skipped(entry, now, "cancelled")
            self._index.conclude(skipped, None, "cancelled", now, changes)
            return
        self._index.save(entry, None, changes)
        self._index.scheduler.remind(entry.expires, entry.id)
        # Now, although `due` is the log's time, which may be a little ahead of this machine's.
        self._index.scheduler.go(entry)

    def _cancel(
        self, command: CancelCommand, record: Record, now: int, changes: QueueChanges
    ) -> None:
        if command.id in self._index.stuck:
            raise Unreadable("held_back", "the mail is stuck: take it back when it can be read")
        known = self._index.get(command.id)
        if known is None:
            early = mail.cancelled_early(command, record.offset)
            self._index.save(early, None, changes)
            self._index.scheduler.remind(early.forget, early.id)
            changes.notes.append(QueueNote("cancel_early"))
        elif known.waiting:
            changes.notes.append(QueueNote("cancelled"))
            skipped = mail.skipped(known, now, "cancelled")
            self._index.conclude(skipped, known, "cancelled", now, changes)
        else:
            changes.notes.append(QueueNote("cancel_late"))

    def _obey(self, control: Control, record: Record, now: int, changes: QueueChanges) -> None:
        if isinstance(control, ReleaseCommand) and control.id:
            entry = self._index.get(control.id)
            if entry is None or not entry.waiting:
                return
            if entry.state == "held" and entry.held != "quiet_hours":
                self._index.let_go(entry, now, changes, freed=now)
            else:  # it may be about to be held
                self._index.save(mail.freed(entry, now), entry, changes)
            return
        changes.states += self._index.hold_rules.obey(control, record.offset, now)
        if isinstance(control, PauseCommand):
            self._index.scheduler.recheck_ready()
        else:
            self._index.scheduler.recheck_held()
            self._index.scheduler.recheck_later()


def _request(
    what: Literal["queued", "duplicate"], command: SendCommand | NotifyCommand
) -> QueueNote:
    if isinstance(command, NotifyCommand):
        return QueueNote(what, "notify")
    return QueueNote(what, command.mail_class, command.template)
