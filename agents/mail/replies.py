"""What a relay's answer, or its silence, means for the mail."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from schemas.outcomes import BounceKind

Stage = Literal["mail", "rcpt", "data", "dot"]
"""`data`: the command DATA and the text; `dot`: everything from the final dot on."""

_ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")

_ADDRESS = re.compile(r"[^\s<>\"'()]+@[^\s<>\"'()]+")

MAX_REASON = 300
"""Characters of a relay's text that are kept: enough for the text and a link to its explanation."""

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
    """Return what a refusal means; see the table in `_kind`."""
    match = _ENHANCED.search(refusal.text)
    enhanced = match.group(0) if match is not None and match[1] == str(refusal.code)[0] else None
    subject, detail = (int(match[2]), int(match[3])) if match and enhanced else (0, 0)
    final = refusal.code >= 500
    return ReplyMeaning(final, _kind(refusal, final, subject, detail), enhanced)


def about_relay(refusal: RelayRefused) -> bool:
    """Whether a refusal says that this relay is not usable for any mail."""
    return refusal.stage == "mail" and refusal.code in OURS


def throttles(refusal: RelayRefused) -> bool:
    """Whether a refusal says that mails come too fast, whoever they are for."""
    meaning = classify(refusal)
    return refusal.code in TOO_FAST or meaning.kind == "throttled"


def _kind(refusal: RelayRefused, final: bool, subject: int, detail: int) -> BounceKind:
    if not final:
        throttled = refusal.code == 454 or subject == 7
        return "throttled" if throttled else "soft"
    if refusal.stage == "mail" and subject not in (3, 6):
        return "blocked"  # so far the relay knows only our own address
    if subject:
        return _kind_by_enhanced_code(subject, detail)
    return _kind_by_code(refusal)


def _kind_by_enhanced_code(subject: int, detail: int) -> BounceKind:
    """RFC 3463. x.1.7 and x.1.8 are about the sender's address, x.2.1 is a disabled mailbox."""
    if subject == 1:
        return "blocked" if detail in (7, 8) else "hard"
    if subject == 2:
        return "hard" if detail == 1 else "soft"
    if (subject, detail) == (3, 4) or subject == 6:
        return "content"
    return "blocked"


def _kind_by_code(refusal: RelayRefused) -> BounceKind:
    """Without an enhanced code only the plain "no such mailbox" ends an address: 550, 551, 553 to
    RCPT (RFC 5321, 4.2.3). Anything doubtful is held to be about us, which suppresses nobody."""
    if refusal.stage == "rcpt":
        if refusal.code in (550, 551, 553):
            return "hard"
        return "soft" if refusal.code == 552 else "blocked"
    return "content" if refusal.code in (552, 554) else "blocked"


def reason_text(text: str) -> str:
    """Return a relay's text as one line without control characters and addresses, cut to length.

    It becomes part of an outcome, which is kept longer and shown more widely than an address is.
    """
    # Cut before searching too: a relay may send 32 KB, and the search takes its square.
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * MAX_REASON])
    return _ADDRESS.sub("…", " ".join(printable.split()))[:MAX_REASON]
