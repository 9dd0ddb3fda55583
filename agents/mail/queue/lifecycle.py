"""Every change that a mail can go through; nobody else changes its state.

`docs/states.md` draws it from the rows that stand over the functions here.

A change that the customer's actor must hear of puts an outcome into `pending` in the same record,
so both are durable together; it is removed once `customer-events` has it. A crash in between
repeats an outcome under the same id and never loses one. Webhooks go the same ways in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict
from urllib.parse import urlsplit

import msgspec

from agents.mail.metrics import HoldReason
from agents.mail.providers import OTHER, Providers
from agents.mail.queue.defects import INTERNAL_ERROR
from agents.mail.queue.queued_mail import QueuedMail, State, read_command
from agents.mail.queue.retry import retry_delay
from agents.mail.replies import (
    LONGEST_REPLY,
    Answered,
    Dropped,
    RelayAccepted,
    RelayRefused,
    Unknown,
    classify,
    reason_text,
)
from agents.transitions import Transition, transition
from schemas.bounds import cut
from schemas.commands import CancelCommand, DeliveryClass, MailClass, NotifyCommand, SendCommand
from schemas.events import Event
from schemas.outcomes import (
    MAILER,
    MailBounced,
    MailDeferred,
    MailFailed,
    MailHeld,
    MailOutcome,
    MailRejected,
    MailSent,
    MailSkipped,
)
from schemas.records import OutRecord
from schemas.time_units import DAY_MS
from schemas.wire import to_record

LONGEST_BUDGET_MS = 2 * DAY_MS
"""A cancel that came first waits this long for its send: no mail is given more (48 h)."""

EXPIRED = "expired"

REFUSAL_BYTES = LONGEST_REPLY
"""Of the relay's last word, whose meaning is asked for again when the mail expires."""
REASON_BYTES = 500
"""Of a reason in an outcome."""
OUTCOMES_KEPT = 64
"""Outcomes of one mail that wait for the log; a mail has some fifty in all. What only says that it
still waits is left out beyond, what it has come to is always told."""
_PASSING = frozenset({MailDeferred, MailHeld})

INTERRUPTED = Unknown("interrupted")
"""How an attempt ended that was found begun when its process was gone."""

TRANSITIONS: list[Transition] = []
"""What may happen to a mail, one row for each function below. Each also counts `revision` up."""

_WAITING = "queued deferred held"
_ANY = "queued deferred held attempting sent bounced failed rejected skipped cancelled"


@transition(TRANSITIONS, "none cancelled", "queued")
def queued(
    command: SendCommand | NotifyCommand, offset: int, raw: bytes, providers: Providers
) -> QueuedMail:
    """A new one, due at once: the agent decides when, the mailer only how."""
    delivery = _delivery(command)
    return QueuedMail(
        id=command.id,
        state="queued",
        offset=offset,
        expires=command.expires,
        urgent=delivery in ("transactional", "notify"),
        due=command.time,
        command=raw,
        delivery=delivery,
        provider=_provider(command, providers),
    )


def _delivery(command: SendCommand | NotifyCommand) -> DeliveryClass:
    if isinstance(command, NotifyCommand):
        return "notify"
    if command.mail_class == "transactional":
        return "transactional"
    return "bulk" if command.bulk else "automated"


def _provider(command: SendCommand | NotifyCommand, providers: Providers) -> str:
    if isinstance(command, SendCommand):
        return providers.of(command.email)
    try:
        return urlsplit(command.url).hostname or OTHER
    except ValueError:
        return OTHER


@transition(TRANSITIONS, "none", "cancelled")
def cancelled_early(command: CancelCommand, offset: int) -> QueuedMail:
    """A cancel whose send has not come yet, and will find the mail skipped."""
    return QueuedMail(
        id=command.id,
        state="cancelled",
        offset=offset,
        expires=command.time + LONGEST_BUDGET_MS,
    )


@transition(TRANSITIONS, _WAITING, "attempting", sets="state attempt")
def claimed(entry: QueuedMail) -> QueuedMail:
    """To be durable before the relay hears of the mail."""
    return _changed(entry, state="attempting", attempt=entry.attempt + 1)


@transition(TRANSITIONS, "attempting", "queued deferred", sets="state attempt")
def released(entry: QueuedMail) -> QueuedMail:
    """The claim was not used: nothing of the mail went past the final dot."""
    return _changed(entry, state=_before_attempt(entry.attempt - 1), attempt=entry.attempt - 1)


@transition(TRANSITIONS, _WAITING, "held", sets="state held due pending")
def held(entry: QueuedMail, now: int, reason: HoldReason, until: int | None) -> QueuedMail:
    """Due, and not allowed now."""
    told = _add_outcome(entry, f"held/{entry.revision}", MailHeld, now, reason=reason, until=until)
    return _changed(told, state="held", held=reason, due=entry.due if until is None else until)


@transition(TRANSITIONS, "held", "queued deferred", sets="state due freed")
def let_go(entry: QueuedMail, now: int, *, freed: int = 0) -> QueuedMail:
    """Nothing holds it any more, or a person has released it (`freed`: when)."""
    return _changed(
        entry,
        state=_before_attempt(entry.attempt),
        due=min(entry.due, now),
        freed=freed or entry.freed,
    )


@transition(TRANSITIONS, _WAITING, sets="freed")
def freed(entry: QueuedMail, now: int) -> QueuedMail:
    """A person wants it to go, whatever would hold it from now on."""
    return _changed(entry, freed=now)


@transition(TRANSITIONS, "attempting", "sent", sets="state pending command")
def accepted(entry: QueuedMail, result: RelayAccepted, now: int, *, message_id: str) -> QueuedMail:
    """The relay has it."""
    return _finish(
        entry,
        "sent",
        MailSent,
        now,
        message_id=message_id,
        relay=result.relay,
        attempt=entry.attempt,
        ambiguous=entry.ambiguous,
    )


@transition(TRANSITIONS, "attempting", "deferred bounced", sets="state refusal due pending command")
def refused(entry: QueuedMail, result: RelayRefused, now: int) -> QueuedMail:
    """The relay said no."""
    kept = result._replace(text=cut(result.text, REFUSAL_BYTES))
    entry = msgspec.structs.replace(entry, refusal=kept)
    meaning = classify(result)
    if meaning.final:
        return _bounce(entry, result, now)
    return _defer(
        entry,
        now,
        code=result.code,
        enhanced_code=meaning.enhanced_code,
        reason=reason_text(result.text),
    )


@transition(TRANSITIONS, "attempting", "deferred", sets="state due pending")
def dropped(entry: QueuedMail, result: Dropped, now: int) -> QueuedMail:
    """The session broke off while the relay could not have the mail yet."""
    return _defer(entry, now, reason=result.reason)


@transition(
    TRANSITIONS, "attempting", "deferred failed", sets="state ambiguous due pending command"
)
def lost(entry: QueuedMail, result: Unknown, now: int) -> QueuedMail:
    """Nobody knows whether the relay has it: the class decides which mistake is the smaller one."""
    entry = msgspec.structs.replace(entry, ambiguous=True)
    if entry.marketing:
        return _finish(entry, "failed", MailFailed, now, reason="ambiguous", ambiguous=True)
    after = _defer(entry, now, reason=result.reason, ambiguous=True)
    # It was us who died: no reason to wait for the relay, unless this very mail is what kills us.
    at_once = result == INTERRUPTED and entry.attempt == 1
    return msgspec.structs.replace(after, due=now) if at_once else after


@transition(
    TRANSITIONS, "attempting", "sent deferred failed", sets="state refusal due pending command"
)
def answered(entry: QueuedMail, result: Answered, now: int) -> QueuedMail:
    """A web server has answered a webhook."""
    if result.done:
        return _finish(entry, "sent", MailSent, now)
    entry = msgspec.structs.replace(entry, refusal=RelayRefused("dot", result.status, "HTTP"))
    return _finish(entry, "failed", MailFailed, now) if result.final else _defer(entry, now)


@transition(TRANSITIONS, _WAITING, "deferred", sets="state due told pending")
def unreachable(entry: QueuedMail, now: int, until: int, reason: str) -> QueuedMail:
    """The relay is down; told once per attempt, and the attempt is not used up."""
    next_attempt = entry.attempt + 1
    told = _add_outcome(
        entry,
        f"deferred/{next_attempt}",
        MailDeferred,
        now,
        attempt=next_attempt,
        reason=reason,
        ambiguous=False,
    )
    return _changed(told, state="deferred", due=until, told=next_attempt)


@transition(TRANSITIONS, _WAITING, "skipped bounced failed", sets="state pending command")
def expired(entry: QueuedMail, now: int) -> QueuedMail:
    """Its time is over. What it has come to depends on what the relay has said, if anything."""
    if entry.refusal is not None and not entry.ambiguous:
        return _bounce(entry, entry.refusal, now)
    if entry.attempt:
        return _finish(entry, "failed", MailFailed, now, reason=EXPIRED, ambiguous=entry.ambiguous)
    return skipped(entry, now, EXPIRED)


@transition(TRANSITIONS, _WAITING, "skipped failed", sets="state pending command")
def skipped(entry: QueuedMail, now: int, reason: str) -> QueuedMail:
    """Not to be sent any more."""
    if entry.ambiguous:  # "skipped" would say that nobody got it
        return _finish(entry, "failed", MailFailed, now, reason=reason, ambiguous=True)
    return _finish(entry, "skipped", MailSkipped, now, reason=reason)


@transition(TRANSITIONS, _WAITING, "rejected", sets="state pending command")
def rejected(entry: QueuedMail, now: int, reason: str) -> QueuedMail:
    """No mail can be made of the command; trying again would not change that."""
    return _finish(entry, "rejected", MailRejected, now, reason=reason)


@transition(TRANSITIONS, _WAITING, "rejected failed", sets="state pending command")
def given_up(entry: QueuedMail, now: int) -> QueuedMail:
    """Our own code has failed at it twice."""
    if entry.ambiguous:  # "rejected" would say that nobody got it
        return _finish(entry, "failed", MailFailed, now, reason=INTERNAL_ERROR, ambiguous=True)
    return rejected(entry, now, INTERNAL_ERROR)


@transition(TRANSITIONS, _ANY, sets="pending command")
def published(entry: QueuedMail, count: int) -> QueuedMail:
    """`customer-events` has the oldest `count` outcomes."""
    return _trimmed(_changed(entry, pending=entry.pending[count:]))


def _before_attempt(attempts: int) -> State:
    return "deferred" if attempts else "queued"


def _bounce(entry: QueuedMail, refusal: RelayRefused, now: int) -> QueuedMail:
    if entry.webhook:  # the word for mails says something of an address
        return _finish(entry, "failed", MailFailed, now)
    meaning = classify(refusal)
    return _finish(
        entry,
        "bounced",
        MailBounced,
        now,
        code=refusal.code,
        enhanced_code=meaning.enhanced_code,
        kind=meaning.kind,
        reason=reason_text(refusal.text),
    )


def _defer(entry: QueuedMail, now: int, *, ambiguous: bool = False, **data: object) -> QueuedMail:
    # "deferred/2" may have been used to say that the relay can't be reached for attempt 2.
    kind = f"deferred/{entry.attempt}" + ("/tried" if entry.told == entry.attempt else "")
    wait = retry_delay(urgent=entry.urgent, attempt=entry.attempt, command_id=entry.id)
    data |= {"attempt": entry.attempt, "ambiguous": ambiguous}
    told = _add_outcome(entry, kind, MailDeferred, now, **data)
    return _changed(told, state="deferred", due=now + wait)


def _finish(
    entry: QueuedMail, state: State, model: Callable[..., MailOutcome], now: int, /, **data: object
) -> QueuedMail:
    return _trimmed(_changed(_add_outcome(entry, state, model, now, **data), state=state))


def _add_outcome(
    entry: QueuedMail, kind: str, model: Callable[..., MailOutcome], now: int, /, **data: object
) -> QueuedMail:
    """Add an outcome. Its id derives from the mail and what became of it: the same has the same."""
    if entry.webhook or (len(entry.pending) >= OUTCOMES_KEPT and model in _PASSING):
        return entry
    event = Event(
        id=f"{entry.id}/{kind}",
        type=f"mail.{kind.partition('/')[0]}",
        source=MAILER,
        time=now,
        customer=read_command(entry).customer,
        anonymous_id=None,
        backfill=False,
        data=model(**_shared(entry), **_shortened(data)),
        traceparent=read_command(entry).traceparent or "",
    )
    record = to_record(event)
    outcome: OutRecord = record._replace(headers=tuple(record.headers))
    return msgspec.structs.replace(entry, pending=(*entry.pending, outcome))


def _shortened(data: dict[str, object]) -> dict[str, object]:
    """A reason is for people, and may come from anywhere."""
    reason = data.get("reason")
    return data | {"reason": cut(reason, REASON_BYTES)} if isinstance(reason, str) else data


class _Shared(TypedDict):
    command_id: str
    workflow: str
    step: str
    template: str
    mail_class: MailClass


def _shared(entry: QueuedMail) -> _Shared:
    command = read_command(entry)
    return _Shared(
        command_id=command.id,
        workflow=command.workflow,
        step=command.step,
        template=command.template,
        mail_class=command.mail_class,
    )


def _changed(entry: QueuedMail, **changes: object) -> QueuedMail:
    return msgspec.structs.replace(entry, revision=entry.revision + 1, **changes)


def _trimmed(entry: QueuedMail) -> QueuedMail:
    """Drop what a finished mail doesn't need: address, name and content with it."""
    if entry.finished and not entry.pending and entry.command:
        return msgspec.structs.replace(entry, command=b"")
    return entry
