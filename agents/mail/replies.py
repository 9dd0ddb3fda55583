"""What a relay's answer, or its silence, means for the mail."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from agents.mail.bounces.reasons import Refused, meaning
from schemas.outcomes import BounceKind, ReturnKind

Stage = Literal["mail", "rcpt", "data", "dot"]
"""`data`: the command DATA and the text; `dot`: everything from the final dot on."""

_ADDRESS = re.compile(r"[^\s<>\"'()]+@[^\s<>\"'()]+")

MAX_REASON = 300
"""Characters of a relay's text that are kept: enough for the text and a link to its explanation."""

LONGEST_REPLY = 1_000
"""Characters of a refusal from which its meaning is read: servers explain at length first."""

OURS = frozenset({500, 501, 502, 503, 504, 521, 530, 534, 535, 538})
"""Answers to MAIL that are about us and this relay, not about the mail: we must log in, we must use
TLS, we are not served here. The mail waits for a person to repair the relay's settings."""


TOO_FAST = frozenset({421, 450, 451, 454})
"""Replies by which providers ask for a lower rate, whatever text follows."""


class RelayAccepted(NamedTuple):
    """The relay took responsibility."""

    code: int
    text: str
    relay: str = ""
    """Its name."""


class RelayRefused(NamedTuple):
    """The relay said no, for now (4xx) or for good (5xx)."""

    stage: Stage
    code: int
    text: str


class Dropped(NamedTuple):
    """The session ended before the final dot was sent: the relay can't have the mail."""

    stage: Stage
    reason: str


class Unknown(NamedTuple):
    """The session ended after the final dot and before the reply: nobody can know."""

    reason: str


class Answered(NamedTuple):
    """What a web server said to a webhook."""

    status: int
    """Of HTTP."""
    retry_after: int | None = None
    """Seconds for which it asks to be left alone, if it does."""

    @property
    def done(self) -> bool:
        """Whether it has it."""
        return self.status // 100 == 2

    @property
    def final(self) -> bool:
        """Whether it never wants it; 408 and 429 only mean that it was not the moment."""
        return self.status // 100 == 4 and self.status not in (408, 429)


Result = RelayAccepted | RelayRefused | Dropped | Unknown | Answered


class ReplyMeaning(NamedTuple):
    """A refusal, understood."""

    final: bool
    kind: BounceKind
    enhanced_code: str | None


def label(result: Result) -> str:
    """Return what the metrics call the end of an attempt; empty where its outcome says it all."""
    match result:
        case RelayRefused():
            return classify(result).kind
        case Dropped():
            return "dropped"
        case Unknown():
            return "ambiguous"
        case RelayAccepted():
            return ""
        case Answered():
            return f"{result.status // 100}xx"


def classify(refusal: RelayRefused) -> ReplyMeaning:
    """Return what a refusal means: the same as in a report that comes back later
    (`agents/mail/bounces/reasons.py`). Before RCPT no relay can mean the recipient."""
    said = meaning(f"{refusal.code} {refusal.text}", at=_AT.get(refusal.stage))
    return ReplyMeaning(refusal.code >= 500, _KINDS.get(said.kind, "blocked"), said.enhanced_code)


_AT: Mapping[Stage, Refused] = {"mail": "before_rcpt", "data": "with_text", "dot": "with_text"}
_KINDS: Mapping[ReturnKind, BounceKind] = {
    "hard": "hard",
    "soft": "soft",
    "blocked": "blocked",
    "content": "content",
    "throttled": "throttled",
}


def about_relay(refusal: RelayRefused) -> bool:
    """Whether a refusal says that this relay is not usable for any mail."""
    return refusal.stage == "mail" and refusal.code in OURS


def throttles(refusal: RelayRefused) -> bool:
    """Whether a refusal says that mails come too fast, whoever they are for."""
    return refusal.code in TOO_FAST or classify(refusal).kind == "throttled"


def reason_text(text: str, longest: int = MAX_REASON) -> str:
    """Return a relay's text as one line without control characters and addresses, cut to length.

    It becomes part of an outcome, which is kept longer and shown more widely than an address is.
    """
    # Cut before searching too: a relay may send 32 KB, and the search takes its square.
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * longest])
    return _ADDRESS.sub("…", " ".join(printable.split()))[:longest]
