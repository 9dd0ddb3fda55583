"""Delivery status notifications (RFC 3464), also where the MIME around them is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from itertools import islice

from agents.mail.bounces.addresses import addresses, marked, tidy
from agents.mail.bounces.limits import MOST_RECIPIENTS, parse_headers
from agents.mail.bounces.message import Arrived, field
from agents.mail.bounces.reasons import RefusalMeaning, meaning
from agents.mail.bounces.verdict import BouncedRecipient
from agents.mail.replies import reason_text
from schemas.outcomes import ReturnKind, ReturnReason

_GROUP = re.compile(r"^(?:(?:Original|Final)-Recipient|Action):", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")

_SUCCESS: dict[str, ReturnReason] = {
    "delivered": "delivered",
    "deliverable": "delivered",  # Postfix's answer to a probe
    "relayed": "relayed",
    "expanded": "relayed",
}


def read_report(arrived: Arrived) -> tuple[BouncedRecipient, ...]:
    """Return what a delivery report says of each recipient, failures first; empty: it is none."""
    recipients = [_recipient(group, arrived) for group in islice(_groups(arrived), MOST_RECIPIENTS)]
    ranked = sorted(recipients, key=lambda recipient: _RANK.get(recipient.kind, 0))
    return tuple(ranked)


_RANK: dict[ReturnKind, int] = {"delayed": 1, "delivered": 2}


def _groups(arrived: Arrived) -> Iterator[Message]:
    """Yield the groups of fields that are about a recipient."""
    part = arrived.part("message/delivery-status")
    if part is not None and isinstance(part.get_payload(), list):
        groups = [group for group in part.get_payload() if isinstance(group, Message)]
    else:
        text = f"{arrived.words}\n{arrived.tail}" if part is None else str(part.get_payload())
        groups = [parse_headers(block) for block in re.split(r"\n\s*\n", text)
                  if _GROUP.search(block)]  # fmt: skip
    for group in groups:
        if group["Final-Recipient"] or group["Original-Recipient"]:
            yield group


def _recipient(group: Message, arrived: Arrived) -> BouncedRecipient:
    address = _address(group, arrived)
    action = re.sub(r"[^a-z].*", "", str(group.get("Action", "")).strip().lower())
    status = _STATUS.search(str(group.get("Status", "")))
    said, text = _meaning(group, arrived, address, status[0] if status else "")
    kind, reason = said.kind, said.reason
    if action in _SUCCESS:
        kind, reason = "delivered", _SUCCESS[action]
    elif action == "delayed":
        kind = "delayed"
    return BouncedRecipient(address, kind, reason, said.code, said.enhanced_code, reason_text(text))


def _address(group: Message, arrived: Arrived) -> str:
    """The address that we wrote to, before anybody forwarded the mail."""
    for name in ("Original-Recipient", "Final-Recipient"):
        address = tidy(str(group.get(name, "")))
        if address:
            return address
    return next(addresses(arrived.words), "")


def _meaning(
    group: Message, arrived: Arrived, address: str, status: str
) -> tuple[RefusalMeaning, str]:
    """The diagnostic says most; where there is none, or an empty phrase, the words for people."""
    diagnostic = " ".join(field(group, "Diagnostic-Code").split())
    kind, separator, rest = diagnostic.partition(";")
    if separator and " " not in kind:  # `smtp; 550 …`, but some leave the type out
        diagnostic = rest.strip()
    words = marked(arrived.words, arrived.ours, address)
    about = _about(words, address)
    said = marked(diagnostic, arrived.ours, address)
    return meaning(said, about, words, status=status), said or about


def _about(words: str, address: str) -> str:
    """The part of a notice that speaks of one address."""
    index = words.find(address) if address else -1
    return words[index + len(address) :].lstrip("> :;,") if index >= 0 else words
