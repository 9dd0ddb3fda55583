"""A mail's life, told from the topics: what was commanded, each change, what became of it.

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
    """A word of the vocabulary: queued, attempting, deferred, held, sent… opened, clicked…"""
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
class Life:
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


async def find_life(
    log: Log, wanted: str, *, customer: str = "", on_progress: OnProgress = no_progress
) -> Life | None:
    """Return the life of a command's id or a Message-ID, None when no trace is left of it.

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
    life = Life(id_, customer, message_id=message_id)
    await _read_commands(reading, life)
    await _read_changelog(reading, life)
    await _read_events(reading, life)
    life.changes.sort(key=lambda change: change.time)
    return life if life.changes else None


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


async def _read_commands(reading: _PartitionScan, life: Life) -> None:
    needle = _quoted(life.id)
    async for record in reading.records(SEND_COMMANDS, life.customer):
        if needle not in (record.value or b""):
            continue
        command = parsed_command(record)
        if isinstance(command, SendCommand | NotifyCommand) and command.id == life.id:
            if life.command is None:
                life.command, life.customer = command, command.customer
                life.changes.append(MailTransition(time=command.time, what="decided"))
                life.changes.append(MailTransition(time=record.timestamp, what="queued"))
        elif isinstance(command, CancelCommand) and command.id == life.id:
            life.customer = command.customer
            what = MailTransition(time=record.timestamp, what="taken back", reason=command.reason)
            life.changes.append(what)


async def _read_changelog(reading: _PartitionScan, life: Life) -> None:
    latest: bytes | None = None
    attempts: dict[int, int] = {}
    async for record in reading.records(MAILER_CHANGELOG, life.customer):
        if record.key != life.id.encode():
            continue
        if record.value is None:
            latest = None
        elif latest is None or not is_newer(latest, record.value):
            latest = record.value
            entry = unpack_entry(latest)
            _learn(life, entry)
            if entry.state == "attempting":
                attempts.setdefault(entry.attempt, record.timestamp)
            elif entry.webhook:
                _add_answer(life, entry, record.timestamp)
    life.entry = None if latest is None else unpack_entry(latest)
    life.changes += [
        MailTransition(time=time, what="attempting", attempt=attempt)
        for attempt, time in attempts.items()
    ]


def _learn(life: Life, entry: QueuedMail) -> None:
    """Take from the queue what the topic of commands has let go already."""
    if life.command is None and entry.command:
        life.command = read_notify(entry) if entry.webhook else read_command(entry)
        life.customer = life.command.customer
        life.changes.append(MailTransition(time=life.command.time, what="decided"))


def _add_answer(life: Life, entry: QueuedMail, time: int) -> None:
    """Of webhooks customers hear nothing, so the queue alone knows."""
    if entry.state in (*ENDED, "deferred", "held"):
        code = entry.refusal.code if entry.refusal and entry.state != "sent" else None
        reason = entry.held or "" if entry.state == "held" else ""
        life.changes.append(
            MailTransition(
                time=time, what=entry.state, attempt=entry.attempt, code=code, reason=reason
            )
        )


async def _read_events(reading: _PartitionScan, life: Life) -> None:
    if isinstance(life.command, NotifyCommand):
        return
    needle = _quoted(life.id)
    since = None if life.command is None else life.command.time
    told: set[str] = set()
    async for record in reading.records(CUSTOMER_EVENTS, life.customer, since=since):
        event = _event(record) if needle in (record.value or b"") else None
        if event is None or event.id in told:
            continue
        if not event.type.startswith("mail.") or event.data.command_id != life.id:
            continue
        told.add(event.id)
        life.customer = event.customer
        life.message_id = getattr(event.data, "message_id", life.message_id)
        life.changes.append(_change(event, record.timestamp))


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
