"""Automatic answers: somebody is away (RFC 3834), or a program has read our mail."""

from __future__ import annotations

import re

from agents.mail.bounces.addresses import tidy
from agents.mail.bounces.message import Arrived
from agents.mail.bounces.reasons import KINDS
from agents.mail.bounces.verdict import BouncedRecipient
from schemas.outcomes import ReturnReason

_AWAY = re.compile(
    r"out of (the )?office|away from|on (vacation|holiday|leave)|\bvacation\b|\bholiday|"
    r"(currently|i am|i'm) (away|out)|fuori (ufficio|sede)|assente|assenza|in ferie|"
    r"abwesen|absence|congé|ausente",
    re.IGNORECASE,
)
_AUTOMATIC = re.compile(
    r"^(auto(matic)?[- ]?(reply|response|antwort)|autore(ply|spon\w*)|automatisch|"
    r"risposta automatica|r(é|e)ponse automatique|respuesta autom|out of (the )?office|ooo\b|"
    r"fuori (ufficio|sede)|assenza|vacation)",
    re.IGNORECASE,
)
_HEADERS = (
    "X-Autoreply",
    "X-Autorespond",
    "X-Autoresponder",
    "X-Auto-Reply-From",
    "X-Mail-Autoreply",
)


def read_autoreply(arrived: Arrived) -> tuple[BouncedRecipient, ...]:
    """Return who answers automatically; empty: nobody does.

    Bounces say `Auto-Submitted: auto-replied` too, so whoever is a mail server is none.
    """
    subject = arrived.header("Subject")
    declared = arrived.header("Auto-Submitted").lower().startswith("auto-replied")
    precedence = arrived.header("Precedence").lower() in ("auto_reply", "auto-reply")
    marked = precedence or any(arrived.header(name) for name in _HEADERS)
    if from_server(arrived) or not (declared or marked or _AUTOMATIC.search(subject)):
        return ()
    away = _AWAY.search(subject) or _AWAY.search(arrived.words[:2_000])
    reason: ReturnReason = "away" if away else "automatic"
    address = tidy(arrived.header("Reply-To")) or tidy(arrived.header("From"))
    return (BouncedRecipient(address, KINDS[reason], reason),)


_SERVER = re.compile(
    r"mailer[-_ ]?daemon|po+st_?master|mail[- .]?delivery|mail (administrator|system)|"
    r"system administrator",
    re.IGNORECASE,
)


def from_server(arrived: Arrived) -> bool:
    """Whether a mail server, and no person, speaks."""
    return bool(
        _SERVER.search(arrived.header("From"))
        or arrived.header("X-Failed-Recipients")
        or arrived.root.get_content_type() == "multipart/report"
    )
