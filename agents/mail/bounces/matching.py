"""Which of our mails a message is about, and what the customer's actor is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from agents.mail.bounces.verdict import BouncedRecipient, BounceVerdict
from agents.mail.message.verp import FEEDBACK, GENERIC, BadReference, Reference, ReturnAddresses
from schemas.events import Event
from schemas.outcomes import (
    MailBounced,
    MailDeferred,
    MailEngaged,
    MailObjected,
    MailOutcome,
    ReturnReason,
)

SOURCE = "/ritorno/returns"

ReadLink = Callable[[str], Reference | None]
"""Reads the List-Unsubscribe header of a returned mail; None when it holds no link of ours."""


class Match(NamedTuple):
    """Whose mail it was."""

    reference: Reference | None
    """None when that can't be known."""
    forged: int
    """Tokens that look like ours and aren't."""


def match(
    verdict: BounceVerdict, recipients: Iterable[str], returns: ReturnAddresses, read_link: ReadLink
) -> Match:
    """Find the mail by the addresses that the message came to, then by what was returned.

    `recipients` are those of the envelope, where it is known.
    """
    forged = 0
    for token in _tokens(verdict, recipients, returns):
        try:
            reference = returns.read(token)
        except BadReference:
            forged += 1
            continue
        if reference.customer:
            return Match(reference, forged)
    return Match(read_link(verdict.returned.list_unsubscribe), forged)


def outcome(verdict: BounceVerdict, reference: Reference, digest: str, now: int) -> Event | None:
    """Return what the customer's actor is told; None when there is nothing to tell.

    `digest` is the message's own: read twice, it is told once. An automatic answer says nothing of
    the address, and what is not understood is for a person to read.
    """
    type_, data = _told(verdict.first, reference.command_id)
    if data is None:
        return None
    return Event(
        id=f"{reference.command_id}/returned/{digest}",
        type=type_,
        source=SOURCE,
        time=now,
        customer=reference.customer,
        anonymous_id=None,
        backfill=False,
        data=data,
    )


def _tokens(
    verdict: BounceVerdict, recipients: Iterable[str], returns: ReturnAddresses
) -> Iterator[str]:
    for address in (*recipients, *verdict.returned.senders):
        local = returns.local_part(address)
        if local is not None and local.lower() not in (GENERIC, FEEDBACK):
            yield local
    if verdict.returned.token:
        yield verdict.returned.token


def _told(first: BouncedRecipient, command_id: str) -> tuple[str, MailOutcome | None]:
    match first.kind:
        case "hard" | "soft" | "blocked" | "content" | "throttled":
            return "mail.bounced", MailBounced(
                command_id=command_id,
                code=first.code or USUAL_CODES.get(first.reason, 554),
                enhanced_code=first.enhanced_code,
                kind=first.kind,
                reason=first.text or first.reason,
                reported=True,
            )
        case "delayed":
            return "mail.deferred", MailDeferred(
                command_id=command_id,
                attempt=0,
                code=first.code,
                enhanced_code=first.enhanced_code,
                reason=first.text or first.reason,
            )
        case "complaint":
            return "mail.complained", MailObjected(command_id=command_id, reason=first.reason)
        case "delivered":
            return "mail.delivered", MailEngaged(command_id=command_id, reason=first.reason)
        case _:
            return "", None


USUAL_CODES: dict[ReturnReason, int] = {
    "no_such_user": 550,
    "no_such_domain": 550,
    "disabled": 550,
    "moved": 551,
    "mailbox_full": 552,
    "too_large": 552,
    "rate": 450,
    "unreachable": 421,
    "greylisted": 450,
    "system": 451,
}
"""By RFC 5321; 554 for any other reason."""
