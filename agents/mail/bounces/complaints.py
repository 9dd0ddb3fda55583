"""Complaints: feedback reports (RFC 5965), Microsoft's own form, and the SES notification."""

from __future__ import annotations

from email.message import Message

from agents.mail.bounces.addresses import tidy
from agents.mail.bounces.limits import MOST_RECIPIENTS
from agents.mail.bounces.message import Arrived
from agents.mail.bounces.reasons import KINDS
from agents.mail.bounces.verdict import BouncedRecipient
from schemas.outcomes import ReturnReason

_REASONS: dict[str, ReturnReason] = {
    "abuse": "abuse",
    "complaint": "abuse",
    "miscategorized": "abuse",
    "fraud": "fraud",
    "virus": "abuse",
    "opt-out": "opt_out",
    "opt-out-list": "opt_out",
    "unsubscribe": "opt_out",
}
"""`not-spam` and `auth-failure` (RFC 6591) are feedback and no complaints."""


def read_complaint(arrived: Arrived) -> tuple[BouncedRecipient, ...]:
    """Return who complained; empty: nobody did. Many providers hide the address."""
    part = arrived.part("message/feedback-report")
    if part is not None:
        fields = arrived.fields[0]
        kind = str(fields.get("Feedback-Type", "abuse")).strip().lower()
        reason = _REASONS.get(kind, "other_feedback")
        return _recipients(_addresses(fields) or [_returned_to(arrived)], reason)
    if _is_microsofts(arrived):
        original = tidy(str(arrived.returned_headers.get("X-HmXmrOriginalRecipient", "")))
        return _recipients([original or _returned_to(arrived)], "abuse")
    return ()


def _addresses(fields: Message) -> list[str]:
    names = ("Original-Rcpt-To", "Removal-Recipient", "Redacted-Address")
    found = [tidy(str(value)) for name in names for value in fields.get_all(name, [])]
    return [address for address in found if address]


def _is_microsofts(arrived: Arrived) -> bool:
    return arrived.header("Subject").startswith("complaint about message from") and bool(
        arrived.returned_headers.keys()
    )


def _returned_to(arrived: Arrived) -> str:
    return tidy(str(arrived.returned_headers.get("To", "")))


def _recipients(found: list[str], reason: ReturnReason) -> tuple[BouncedRecipient, ...]:
    addresses = list(dict.fromkeys(found))[:MOST_RECIPIENTS]
    return tuple(BouncedRecipient(address, KINDS[reason], reason) for address in addresses)
