"""The history of a mail, put together from the topics: what was commanded, each change, what became
of it.

    send-commands      the command, when it was taken over, whether it was taken back     (7 days)
    mailer-changelog   attempts, and where it stands now    (until a day after its expiry)
    customer-events    outcomes, openings, clicks, complaints                             (a year)

Works while workers run: it reads, and asks nobody.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from agents.mail.message.message_ids import local_part
from agents.mail.queue.queued_mail import QueuedMail, read_command, read_notify, unpack_entry
from schemas.commands import CancelCommand, NotifyCommand, SendCommand
from schemas.events import Event
from schemas.records import Record
from schemas.stored import is_newer
from schemas.validation import Unreadable
from schemas.wire import parse_record
from streams.log import Log, OnProgress, no_progress, scan
from streams.operate.lookup import CLOCK_SKEW_MS, parsed_command
from streams.partitioner import partition_of
from streams.topology import CUSTOMER_EVENTS, MAILER_CHANGELOG, SEND_COMMANDS

Command = SendCommand | NotifyCommand

ENDED = ("sent", "bounced", "failed", "rejected", "skipped")
"""Words after which the mailer does nothing more about a mail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailTransition:
    """Something that happened to a mail."""

    time: int
    what: str
    """A word of a closed set: queued, attempting, deferred, held, sent… opened, clicked…"""
    attempt: int | None = None
    code: int | None = None
    enhanced_code: str | None = None
    kind: str = ""
    """Of a bounce."""
    reason: str = ""
    relay: str = ""
    until: int | None = None
    ambiguous: bool = False


@dataclass(slots=True)
class MailHistory:
    """All that is known of one mail or webhook."""

    id: str
    customer: str = ""
    command: Command | None = None
    entry: QueuedMail | None = None
    """Where it stands in the queue; None when it is forgotten there, or not yet known."""
    message_id: str = ""
    changes: list[MailTransition] = field(default_factory=list)
    """In the order of time."""

    @property
    def state(self) -> str:
        """Where it stands, in one word; `forgotten` when the outcome is kept nowhere any more."""
        if self.entry is not None:
            return self.entry.state
        told = [change.what for change in self.changes if change.what in (*ENDED, "queued")]
        return told[-1] if told else "forgotten"


async def find_history(
    log: Log, wanted: str, *, customer: str = "", on_progress: OnProgress = no_progress
) -> MailHistory | None:
    """Return the history of a command's id or a Message-ID, None when no trace is left of it.

    With `customer` only that one's partition is read. Raises LogError.
    """
    reading = _PartitionScan(log, on_progress)
    id_, message_id = wanted, ""
    if "@" in wanted:
        message_id = f"<{wanted.strip().strip('<>')}>"
        found = await _command_of(reading, message_id, customer)
        if found is None:
            return None
        id_, customer = found
    history = MailHistory(id_, customer, message_id=message_id)
    await _read_commands(reading, history)
    await _read_changelog(reading, history)
    await _read_events(reading, history)
    history.changes.sort(key=lambda change: change.time)
    return history if history.changes else None


class _PartitionScan:
    """Reads partitions from end to end."""

    def __init__(self, log: Log, on_progress: OnProgress) -> None:
        self.log = log
        self._on_progress = on_progress

    async def records(
        self, topic: str, customer: str, *, since: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of a topic; of one partition when the customer is known."""
        partitions = None
        if customer:
            partitions = [partition_of(customer.encode(), await self.log.partitions(topic))]
        begin = None if since is None else since - CLOCK_SKEW_MS
        async for record in scan(
            self.log, topic, partitions, since=begin, on_progress=self._on_progress
        ):
            yield record


async def _command_of(
    reading: _PartitionScan, message_id: str, customer: str
) -> tuple[str, str] | None:
    """Return command id and customer of a Message-ID: by the commands, then by what was sent."""
    local = message_id[1:].partition("@")[0]
    async for record in reading.records(SEND_COMMANDS, customer):
        command = parsed_command(record)
        if isinstance(command, SendCommand) and local_part(command.id) == local:
            return command.id, command.customer
    needle = _quoted(message_id)
    async for record in reading.records(CUSTOMER_EVENTS, customer):
        event = _event(record) if needle in (record.value or b"") else None
        if event is not None and event.type == "mail.sent":
            return event.data.command_id, event.customer
    return None


async def _read_commands(reading: _PartitionScan, history: MailHistory) -> None:
    needle = _quoted(history.id)
    async for record in reading.records(SEND_COMMANDS, history.customer):
        if needle not in (record.value or b""):
            continue
        command = parsed_command(record)
        if isinstance(command, SendCommand | NotifyCommand) and command.id == history.id:
            if history.command is None:
                history.command, history.customer = command, command.customer
                history.changes.append(MailTransition(time=command.time, what="decided"))
                history.changes.append(MailTransition(time=record.timestamp, what="queued"))
        elif isinstance(command, CancelCommand) and command.id == history.id:
            history.customer = command.customer
            what = MailTransition(time=record.timestamp, what="taken back", reason=command.reason)
            history.changes.append(what)


async def _read_changelog(reading: _PartitionScan, history: MailHistory) -> None:
    latest: bytes | None = None
    attempts: dict[int, int] = {}
    async for record in reading.records(MAILER_CHANGELOG, history.customer):
        if record.key != history.id.encode():
            continue
        if record.value is None:
            latest = None
        elif latest is None or not is_newer(latest, record.value):
            latest = record.value
            entry = unpack_entry(latest)
            _learn(history, entry)
            if entry.state == "attempting":
                attempts.setdefault(entry.attempt, record.timestamp)
            elif entry.webhook:
                _add_answer(history, entry, record.timestamp)
    history.entry = None if latest is None else unpack_entry(latest)
    history.changes += [
        MailTransition(time=time, what="attempting", attempt=attempt)
        for attempt, time in attempts.items()
    ]


def _learn(history: MailHistory, entry: QueuedMail) -> None:
    """Take from the queue what the topic of commands has let go already."""
    if history.command is None and entry.command:
        history.command = read_notify(entry) if entry.webhook else read_command(entry)
        history.customer = history.command.customer
        history.changes.append(MailTransition(time=history.command.time, what="decided"))


def _add_answer(history: MailHistory, entry: QueuedMail, time: int) -> None:
    """Of webhooks customers hear nothing, so the queue alone knows."""
    if entry.state in (*ENDED, "deferred", "held"):
        code = entry.refusal.code if entry.refusal and entry.state != "sent" else None
        reason = entry.held or "" if entry.state == "held" else ""
        history.changes.append(
            MailTransition(
                time=time, what=entry.state, attempt=entry.attempt, code=code, reason=reason
            )
        )


async def _read_events(reading: _PartitionScan, history: MailHistory) -> None:
    if isinstance(history.command, NotifyCommand):
        return
    needle = _quoted(history.id)
    since = None if history.command is None else history.command.time
    told: set[str] = set()
    async for record in reading.records(CUSTOMER_EVENTS, history.customer, since=since):
        event = _event(record) if needle in (record.value or b"") else None
        if event is None or event.id in told:
            continue
        if not event.type.startswith("mail.") or event.data.command_id != history.id:
            continue
        told.add(event.id)
        history.customer = event.customer
        history.message_id = getattr(event.data, "message_id", history.message_id)
        history.changes.append(_change(event, record.timestamp))


def _change(event: Event, appended: int) -> MailTransition:
    data = event.data
    return MailTransition(
        time=event.time or appended,
        what=event.type.removeprefix("mail."),
        attempt=getattr(data, "attempt", None),
        code=getattr(data, "code", None),
        enhanced_code=getattr(data, "enhanced_code", None),
        kind=getattr(data, "kind", ""),
        reason=getattr(data, "reason", ""),
        relay=getattr(data, "relay", ""),
        until=getattr(data, "until", None),
        ambiguous=getattr(data, "ambiguous", False),
    )


def _event(record: Record) -> Event | None:
    if record.key is None:
        return None
    try:
        return parse_record(record)
    except Unreadable:
        return None  # it is among the dead letters


def _quoted(text: str) -> bytes:
    """Return a text as it stands in JSON: a record without it needn't be read."""
    return json.dumps(text, ensure_ascii=False).encode()
