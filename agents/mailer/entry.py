"""One mail in the durable queue, and every change it can go through.

    queued ──► attempting ──► sent
      ▲            │  ├─────► bounced    refused for good
      │            │  ├─────► failed     the relay may have it, and it must not get it twice
      └─ deferred ◄┘  └─────► (queued)   not begun after all
    queued, deferred ───────► skipped    expired, cancelled, invalid address
                    └───────► failed     can't be rendered
    (unknown) ──► cancelled ──► skipped  the cancel came before its send

A change that the customer's actor must hear of puts an outcome into `pending` in the same record,
so both are durable together; it is removed once `customer-events` has it. A crash in between
repeats an outcome under the same id and never loses one.

`applied` of the kept record is the command's offset, shifted, plus a revision that grows with every
change, so that in recovery "highest applied wins" picks the newest.
"""

from __future__ import annotations

from typing import Literal, TypedDict

import msgspec

from agents.mailer.replies import Dropped, Refused, Unknown, classify, reason_text
from agents.mailer.retry import DAY_MS, retry_delay
from schemas.commands import CancelCommand, MailClass, SendCommand
from schemas.events import Event
from schemas.outcomes import (
    MailBounced,
    MailDeferred,
    MailFailed,
    MailOutcome,
    MailSent,
    MailSkipped,
)
from schemas.records import OutRecord
from schemas.stored import HEAD_SIZE, pack
from schemas.wire import to_record

SOURCE = "/ritorno/mailer"

REVISION_BITS = 16
"""65 535 changes of one mail; hourly retries over 48 hours make some 150."""

REMEMBERED_MS = DAY_MS
"""A finished mail is remembered until its expiry and this much longer, so that its command is known
when it is delivered again; a late writer's old state is older than that by then."""

LONGEST_BUDGET_MS = 2 * DAY_MS
"""A cancel that came first waits this long for its send: no mail is given more (48 h)."""

State = Literal[
    "queued", "deferred", "attempting", "sent", "bounced", "failed", "skipped", "cancelled"
]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of one mail."""

    id: str
    state: State
    offset: int
    """Of the command that made this entry."""
    expires: int
    urgent: bool = False
    """Transactional."""
    due: int = 0
    """Not to be tried before."""
    revision: int = 0
    attempt: int = 0
    """How many attempts have begun."""
    ambiguous: bool = False
    """An attempt ended between the final dot and the reply."""
    told: int = 0
    """The attempt for which "the relay can't be reached" was reported already."""
    command: bytes = b""
    """The SendCommand as it was read; dropped when nothing is left to do."""
    pending: tuple[OutRecord, ...] = ()
    """Outcomes that `customer-events` may not have yet, oldest first."""

    @property
    def key(self) -> bytes:
        """Its key in store and changelog."""
        return self.id.encode()

    @property
    def waiting(self) -> bool:
        """Whether it is to be tried (again)."""
        return self.state in ("queued", "deferred")

    @property
    def finished(self) -> bool:
        """Whether nothing will happen to it but being forgotten."""
        return not self.waiting and self.state != "attempting"

    @property
    def forget(self) -> int:
        """When a finished mail may be forgotten."""
        return self.expires + REMEMBERED_MS


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Entry)


def pack_entry(entry: Entry) -> bytes:
    """Return the kept form; `due` of the head is when something is to be done next."""
    applied = (entry.offset << REVISION_BITS) + min(entry.revision, (1 << REVISION_BITS) - 1)
    due = entry.forget if entry.finished else entry.due
    return pack(applied, due, _ENCODER.encode(entry))


def unpack_entry(stored: bytes) -> Entry:
    """Read what `pack_entry` wrote."""
    return _DECODER.decode(memoryview(stored)[HEAD_SIZE:])


def read_command(entry: Entry) -> SendCommand:
    """Return the command of a mail that is not finished."""
    return SendCommand.model_validate_json(entry.command)


def queued(command: SendCommand, offset: int, raw: bytes) -> Entry:
    """A new mail, due at once: the agent decides when, the mailer only how."""
    return Entry(
        id=command.id,
        state="queued",
        offset=offset,
        expires=command.expires,
        urgent=command.mail_class == "transactional",
        due=command.time,
        command=raw,
    )


def cancelled_early(command: CancelCommand, offset: int) -> Entry:
    """A cancel whose send has not come yet, and will find the mail skipped."""
    return Entry(
        id=command.id,
        state="cancelled",
        offset=offset,
        expires=command.time + LONGEST_BUDGET_MS,
    )


def claimed(entry: Entry) -> Entry:
    """To be durable before the relay hears of the mail."""
    return _changed(entry, state="attempting", attempt=entry.attempt + 1)


def released(entry: Entry) -> Entry:
    """The claim was not used: nothing of the mail went past the final dot."""
    return _changed(
        entry,
        state="deferred" if entry.attempt > 1 else "queued",
        attempt=entry.attempt - 1,
    )


def accepted(entry: Entry, now: int, *, message_id: str, relay: str) -> Entry:
    """The relay has it."""
    data = MailSent(
        **_shared(entry),
        message_id=message_id,
        relay=relay,
        attempt=entry.attempt,
        ambiguous=entry.ambiguous,
    )
    return _finish(entry, "sent", "sent", data, now)


def refused(entry: Entry, result: Refused, now: int) -> Entry:
    """The relay said no."""
    meaning = classify(result)
    if meaning.final:
        data = MailBounced(
            **_shared(entry),
            code=result.code,
            enhanced_code=meaning.enhanced_code,
            kind=meaning.kind,
            reason=reason_text(result.text),
        )
        return _finish(entry, "bounced", "bounced", data, now)
    deferral = MailDeferred(
        **_shared(entry),
        attempt=entry.attempt,
        code=result.code,
        enhanced_code=meaning.enhanced_code,
        reason=reason_text(result.text),
    )
    return _defer(entry, deferral, now)


def dropped(entry: Entry, result: Dropped, now: int) -> Entry:
    """The conversation broke off while the relay could not have the mail yet."""
    deferral = MailDeferred(**_shared(entry), attempt=entry.attempt, reason=result.reason)
    return _defer(entry, deferral, now)


def lost(entry: Entry, result: Unknown, now: int) -> Entry:
    """Nobody knows whether the relay has it: the class decides which mistake is the smaller one."""
    if not entry.urgent:
        data = MailFailed(**_shared(entry), reason="ambiguous", ambiguous=True)
        return _finish(_changed(entry, ambiguous=True), "failed", "failed", data, now)
    deferral = MailDeferred(
        **_shared(entry), attempt=entry.attempt, reason=result.reason, ambiguous=True
    )
    return _defer(_changed(entry, ambiguous=True), deferral, now)


def unreachable(entry: Entry, now: int, until: int, reason: str) -> Entry:
    """The relay is down; told once per attempt, and the attempt is not used up."""
    data = MailDeferred(**_shared(entry), attempt=entry.attempt + 1, reason=reason)
    return _changed(
        entry,
        state="deferred",
        due=until,
        told=entry.attempt + 1,
        pending=(*entry.pending, _outcome(entry, f"deferred/{entry.attempt + 1}", data, now)),
    )


def skipped(entry: Entry, now: int, reason: str) -> Entry:
    """Not to be sent (any more)."""
    if entry.ambiguous:  # "skipped" would say that nobody got it
        data = MailFailed(**_shared(entry), reason=reason, ambiguous=True)
        return _finish(entry, "failed", "failed", data, now)
    return _finish(entry, "skipped", "skipped", MailSkipped(**_shared(entry), reason=reason), now)


def unrenderable(entry: Entry, now: int, reason: str) -> Entry:
    """No mail can be made of the command; trying again would not change that."""
    return _finish(entry, "failed", "failed", MailFailed(**_shared(entry), reason=reason), now)


def published(entry: Entry, count: int) -> Entry:
    """`customer-events` has the oldest `count` outcomes."""
    return _trimmed(_changed(entry, pending=entry.pending[count:]))


def _defer(entry: Entry, data: MailDeferred, now: int) -> Entry:
    # "deferred/2" may have been used to say that the relay can't be reached for attempt 2.
    kind = f"deferred/{entry.attempt}" + ("/tried" if entry.told == entry.attempt else "")
    wait = retry_delay(urgent=entry.urgent, attempt=entry.attempt, command_id=entry.id)
    return _changed(
        entry,
        state="deferred",
        due=now + wait,
        pending=(*entry.pending, _outcome(entry, kind, data, now)),
    )


def _finish(entry: Entry, state: State, kind: str, data: MailOutcome, now: int) -> Entry:
    return _changed(entry, state=state, pending=(*entry.pending, _outcome(entry, kind, data, now)))


def _outcome(entry: Entry, kind: str, data: MailOutcome, now: int) -> OutRecord:
    """The id derives from the mail and what became of it: the same outcome has the same id."""
    event = Event(
        id=f"{entry.id}/{kind}",
        type=f"mail.{kind.partition('/')[0]}",
        source=SOURCE,
        time=now,
        customer=read_command(entry).customer,
        anonymous_id=None,
        backfill=False,
        data=data,
    )
    record = to_record(event)
    return record._replace(headers=tuple(record.headers))


class _Shared(TypedDict):
    command_id: str
    workflow: str
    step: str
    template: str
    mail_class: MailClass


def _shared(entry: Entry) -> _Shared:
    command = read_command(entry)
    return _Shared(
        command_id=command.id,
        workflow=command.workflow,
        step=command.step,
        template=command.template,
        mail_class=command.mail_class,
    )


def _changed(entry: Entry, **changes: object) -> Entry:
    return msgspec.structs.replace(entry, revision=entry.revision + 1, **changes)


def _trimmed(entry: Entry) -> Entry:
    """Drop what a finished mail doesn't need: address, name and content with it."""
    if entry.finished and not entry.pending and entry.command:
        return msgspec.structs.replace(entry, command=b"")
    return entry
