"""Amazon SES's own notifications: JSON, in a mail of Amazon SNS."""

from __future__ import annotations

import json
import re
from typing import Any

from agents.mail.bounces.addresses import addresses, marked, tidy
from agents.mail.bounces.message import Arrived
from agents.mail.bounces.reasons import KINDS, meaning
from agents.mail.bounces.verdict import BouncedRecipient, Returned
from agents.mail.message.verp import HEADER
from agents.mail.replies import reason_text
from schemas.outcomes import ReturnReason

MOST_LISTED = 100
"""Headers or recipients of a notification."""

_SUBTYPES: dict[str, ReturnReason] = {
    "NoEmail": "no_such_user",
    "Suppressed": "no_such_user",
    "OnAccountSuppressionList": "no_such_user",
    "MailboxFull": "mailbox_full",
    "MessageTooLarge": "too_large",
    "ContentRejected": "spam",
    "AttachmentRejected": "harmful",
}


def read_ses(arrived: Arrived) -> tuple[tuple[BouncedRecipient, ...], Returned]:
    """Return what SES says became of a mail, and which; empty: it is no such notification."""
    if not arrived.header("X-Amz-Sns-Message-Id"):
        return (), Returned()
    notice = _json(arrived.words)
    if isinstance(notice.get("Message"), str):
        notice = _json(notice["Message"])
    recipients = [*_complained(notice), *_bounced(notice), *_delivered(notice)]
    return tuple(recipients), _returned(notice)


def _json(text: str) -> dict[str, Any]:
    start, end = text.find("{"), text.rfind("}")
    # A mail's lines have at most 1,000 characters, so SNS breaks its JSON with `!` and a new line.
    try:
        value = json.loads(re.sub(r"!\n ?", "", text[start : end + 1]), strict=False)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[dict[str, Any]]:
    listed = value if isinstance(value, list) else []
    return [each for each in listed[:MOST_LISTED] if isinstance(each, dict)]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _complained(notice: dict[str, Any]) -> list[BouncedRecipient]:
    complaint = _dict(notice.get("complaint"))
    reason: ReturnReason = "fraud" if complaint.get("complaintFeedbackType") == "fraud" else "abuse"
    return [
        BouncedRecipient(tidy(str(each.get("emailAddress"))), KINDS[reason], reason)
        for each in _list(complaint.get("complainedRecipients"))
    ]


def _bounced(notice: dict[str, Any]) -> list[BouncedRecipient]:
    bounce = _dict(notice.get("bounce"))
    ours = list(addresses(str(_dict(notice.get("mail")).get("source", ""))))
    subtype = _SUBTYPES.get(str(bounce.get("bounceSubType")))
    recipients = []
    for each in _list(bounce.get("bouncedRecipients")):
        address = tidy(str(each.get("emailAddress")))
        diagnostic = str(each.get("diagnosticCode", "")).partition("; ")[2]
        diagnostic = marked(diagnostic, ours, address)
        said = meaning(diagnostic, status=str(each.get("status", "")))
        reason = subtype or said.reason
        if bounce.get("bounceType") == "Transient" and KINDS[reason] == "hard":
            reason = "unspecified"
        recipients.append(
            BouncedRecipient(address, KINDS[reason], reason, said.code, said.enhanced_code,
                      reason_text(diagnostic))
        )  # fmt: skip
    return recipients


def _delivered(notice: dict[str, Any]) -> list[BouncedRecipient]:
    named = _dict(notice.get("delivery")).get("recipients")
    found = named if isinstance(named, list) else []
    return [
        BouncedRecipient(tidy(str(each)), "delivered", "delivered") for each in found[:MOST_LISTED]
    ]


def _returned(notice: dict[str, Any]) -> Returned:
    """SES returns the mail's headers where it is told to ("include original headers")."""
    headers = {
        str(each.get("name")).lower(): str(each.get("value"))
        for each in _list(_dict(notice.get("mail")).get("headers"))
    }
    return Returned(
        message_id=headers.get("message-id", ""),
        list_unsubscribe=headers.get("list-unsubscribe", ""),
        token=headers.get(HEADER.lower(), ""),
        senders=tuple(addresses(str(_dict(notice.get("mail")).get("source", "")))),
    )
