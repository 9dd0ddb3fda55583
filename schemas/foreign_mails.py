"""What other mailers tell of their own mails: their names for it, and the same in our terms.

    Segment's email spec, Customer.io   Email Delivered, Email Opened, Email Link Clicked,
                                        Email Bounced, Email Marked as Spam, Unsubscribed
    Braze, as a source of Segment       the same, Email Soft Bounced, Email Unsubscribed
    Klaviyo's metrics                   Received Email, Opened Email, Clicked Email, Bounced Email,
                                        Marked Email as Spam, Unsubscribed from List
    Loops, Resend                       email.hardBounced, email.softBounced, email.spamReported,
                                        email.unsubscribed, email.complained, email.clicked
    Brevo, Mandrill, SendGrid           hard_bounce, soft_bounce, spam, spamreport, unsub,
                                        unsubscribe, group_unsubscribe

Such an event has no `command_id`, and so is the shop's own word about a customer: it may take away
(consent, an address that takes no mail), and what it says of openings counts as far as the customer
has agreed to be tracked. Of a bounce only what is plainly hard is: these mailers don't agree on
the rest, and an address that was suppressed wrongly gets no order's confirmation either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.events.fields import is_address
from schemas.outcomes import BounceKind
from schemas.spelling import spelled

NAMES: Mapping[str, str] = {
    "Received Email": "mail.delivered",
    "Opened Email": "mail.opened",
    "Clicked Email": "mail.clicked",
    "Email Clicked": "mail.clicked",
    "Bounced Email": "mail.bounced",
    "Bounce": "mail.bounced",
    "Email Soft Bounced": "mail.bounced",
    "Email Hard Bounced": "mail.bounced",
    "Soft Bounced": "mail.bounced",
    "Hard Bounced": "mail.bounced",
    "Soft Bounce": "mail.bounced",
    "Hard Bounce": "mail.bounced",
    "Marked Email as Spam": "mail.complained",
    "Marked as Spam": "mail.complained",
    "Email Complained": "mail.complained",
    "Email Spam Reported": "mail.complained",
    "Spam Reported": "mail.complained",
    "Spam Report": "mail.complained",
    "Spam Complaint": "mail.complained",
    "Spamreport": "mail.complained",
    "Spam": "mail.complained",
    "Email Unsubscribed": "mail.unsubscribed",
    "Unsubscribed from List": "mail.unsubscribed",
    "Unsubscribed from Email Marketing": "mail.unsubscribed",
    "Unsubscribe": "mail.unsubscribed",
    "Unsub": "mail.unsubscribed",
    "Group Unsubscribe": "mail.unsubscribed",
}
"""Name of a `track` call → event type, beside those of Segment's own spec."""

TYPES = frozenset(NAMES.values())


def told(type_: str, name: str, said: dict[str, Any], traits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of our event of this type for what another mailer says under `name`; the
    `traits` beside it have the address that its mail was sent to. What is said of a mail of ours
    stays as it is."""
    if said.get("command_id"):
        return said
    email = _first(said, _ADDRESSES) or _first(traits, _ADDRESSES)
    data: dict[str, Any] = {"email": email if is_address(email) else ""}
    reason = _first(said, _REASONS)
    data["reason"] = reason[:_REASON]
    if list_ := _first(said, _LISTS):
        data["list"] = list_
    if list_name := _first(said, _LIST_NAMES):
        data["list_name"] = list_name
    if any(_flag(said.get(each)) for each in _BY_MACHINES):
        data["verdict"] = "machine"
    if url := _first(said, _LINKS):
        data["url"] = url
    if type_ == "mail.bounced":
        kind = _kind(name, said)
        data |= {"kind": kind, "code": _code(said, reason, kind), "enhanced_code": _status(said)}
    return data


_ADDRESSES = ("email", "recipient", "email_address", "$email")
_REASONS = ("reason", "bounce_reason", "diagnostic", "diagnostic_code", "response", "description")
_LISTS = ("list_id", "list", "group_id", "asm_group_id")
_LIST_NAMES = ("list_name", "List", "list")
_LINKS = ("link_url", "url", "link", "URL")
_BY_MACHINES = ("machine_open", "sg_machine_open", "is_machine_open", "is_suspected_bot_click",
                "apple_privacy_open", "is_bot", "bot")  # fmt: skip
"""Set by those who tell a program that fetches a mail's pictures from a person."""
_KINDS = ("bounce_type", "bouncetype", "type", "kind", "severity", "bounce_classification",
          "classification", "category", "bounce_category")  # fmt: skip
_CODES = ("code", "smtp_code", "status_code", "error_code")
_STATUS = ("enhanced_code", "status", "delivery_status", "smtp_status")

_HARD = frozenset({"hard", "hard_bounce", "hard_bounced", "permanent", "permanent_failure",
                   "invalid_address", "invalid_email", "h"})  # fmt: skip
_SOFT = frozenset({"soft", "soft_bounce", "soft_bounced", "transient", "temporary", "undetermined",
                   "block", "blocked", "s"})  # fmt: skip
_NO_SUCH_ADDRESS = re.compile(r"\b5\.1\.(?:1|2|3|6|10)\b|\b5\.2\.1\b")
"""Statuses of RFC 3463 that are the address's own: it doesn't exist, has moved, is disabled."""
_ENHANCED = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_REPLY = re.compile(r"\b[45]\d\d\b")

_REASON = 300
"""Characters of a reason that are kept."""


def _kind(name: str, said: Mapping[str, Any]) -> BounceKind:
    """Return `hard` only where nothing says otherwise."""
    words = {spelled(name).removeprefix("email_")}
    words |= {spelled(word) for word in _texts(said, _KINDS)}
    if words & _SOFT:
        return "soft"
    if words & _HARD:
        return "hard"
    texts = (*_texts(said, _STATUS), *_texts(said, _REASONS))
    return "hard" if any(_NO_SUCH_ADDRESS.search(text) for text in texts) else "soft"


def _code(said: Mapping[str, Any], reason: str, kind: BounceKind) -> int:
    """Return the relay's code; where none is quoted, the usual one of what it says."""
    for text in (*_texts(said, _CODES), *_texts(said, ("status",)), reason):
        found = _REPLY.search(text)
        if found is not None:
            return int(found[0])
    return 550 if kind == "hard" else 450


def _status(said: Mapping[str, Any]) -> str | None:
    for text in (*_texts(said, _STATUS), *_texts(said, _REASONS)):
        found = _ENHANCED.search(text[:_REASON])
        if found is not None:
            return found[0]
    return None


def _first(said: Mapping[str, Any], names: Iterable[str]) -> str:
    return next(iter(_texts(said, names)), "")


def _texts(said: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return what is said under these names, whatever their spelling, as texts that say anything.
    SES and others put what is about a bounce into an object of that name."""
    inner = said.get("bounce")
    given = {spelled(key): value for key, value in said.items()}
    if isinstance(inner, dict):
        given |= {spelled(key): value for key, value in inner.items()}
    found = (given.get(spelled(name)) for name in names)
    return [
        text
        for value in found
        if isinstance(value, str | int) and not isinstance(value, bool)
        if (text := str(value).strip()[:1000])
    ]


def _flag(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in _YES)


_YES = frozenset({"true", "yes", "1"})
