"""What a refusal means: from its words, then its enhanced code (RFC 3463), then its SMTP code.

A wrong "hard" takes a customer's mail away, so whatever is doubtful is something else, and nothing
that a server calls temporary is hard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from agents.mail.bounces.phrases import CLEAR, VAGUE, Phrases
from schemas.outcomes import ReturnKind, ReturnReason

KINDS: Mapping[ReturnReason, ReturnKind] = {
    "no_such_user": "hard",
    "no_such_domain": "hard",
    "disabled": "hard",
    "moved": "hard",
    "mailbox_full": "soft",
    "unreachable": "soft",
    "expired": "soft",
    "greylisted": "soft",
    "loop": "soft",
    "system": "soft",
    "unspecified": "soft",
    "spam": "blocked",
    "reputation": "blocked",
    "authentication": "blocked",
    "sender": "blocked",
    "policy": "blocked",
    "rate": "throttled",
    "too_large": "content",
    "harmful": "content",
    "malformed": "content",
    "abuse": "complaint",
    "fraud": "complaint",
    "opt_out": "complaint",
    "away": "autoreply",
    "automatic": "autoreply",
    "delivered": "delivered",
    "relayed": "delivered",
    "not_a_report": "unknown",
    "other_feedback": "unknown",
    "unreadable": "unknown",
}

LONGEST = 2_000
"""Characters of a server's text that are looked at; every pattern is searched in them."""


class RefusalMeaning(NamedTuple):
    """A refusal, understood."""

    reason: ReturnReason
    code: int | None
    enhanced_code: str | None

    @property
    def kind(self) -> ReturnKind:
        """The kind that the reason belongs to."""
        return KINDS[self.reason]


def meaning(*texts: str, status: str = "") -> RefusalMeaning:
    """Return what servers' words say, and `status`, the report's own verdict.

    Of `texts` the first that says something counts. `status` is an enhanced code or empty.
    """
    cleaned = [_cleaned(text) for text in texts]
    codes = [_codes(text) for text in cleaned]
    code = next((code for code, _ in codes if code is not None), None)
    enhanced = _best([enhanced for _, enhanced in codes] + [status])
    reason = (
        _by_words(cleaned[:1], CLEAR)
        or _by_enhanced_code(enhanced, _CLEAR_CODES)
        or _by_words(cleaned[1:], CLEAR)
        or _by_enhanced_code(enhanced, _BROAD_CODES)
        or _by_words(cleaned[:2], VAGUE)
        or _by_enhanced_code(enhanced, _VAGUE_CODES)
        or _by_code(code)
    )
    temporary = (code is not None and code < 500) or (enhanced or "5")[0] == "4"
    if KINDS[reason] == "hard":
        reason = _doubted(reason, cleaned, temporary)
    elif reason == "policy" and temporary:
        reason = "system"
    return RefusalMeaning(reason, code, enhanced)


def _doubted(reason: ReturnReason, texts: list[str], temporary: bool) -> ReturnReason:
    """A reason to suppress an address, looked at once more."""
    if any(_BEFORE_RCPT.search(text) for text in texts):
        return "sender"  # so far that server knew only our own address
    if reason == "no_such_domain":
        return reason
    return "unspecified" if temporary or _TEMPORARY.search(texts[0]) else reason


_BEFORE_RCPT = re.compile(
    r"(after|in reply to) (the )?(pipelined )?(mail from|ehlo|helo|initial connection)|"
    r"\[mail_from\]|>>> mail from[^<]{0,20}<[^>]*>[^<]{0,60}<<< [45]",
    re.IGNORECASE,
)
_TEMPORARY = re.compile(r"temporar|try again later", re.IGNORECASE)


def quoted(text: str) -> str:
    """Return what another server is quoted with: from its reply's code on; empty: no reply."""
    match = _REPLY.search(text)
    return text[match.start() : match.start() + LONGEST_QUOTE] if match else ""


_REPLY = re.compile(r"(?<![\w.=:#/-])[45][0-7]\d[ -]")
LONGEST_QUOTE = 400
"""Characters; the longest replies (Google's) have some 350."""


def _cleaned(text: str) -> str:
    return _WRAPPED.sub("", " ".join(text[:LONGEST].split()))


# IronPort puts its own guess before what the other server said.
_WRAPPED = re.compile(r"\d\.\d\.\d+ - [\w ]{1,40} error (?=\d{3}-')")


def _best(codes: list[str | None]) -> str | None:
    """The first that says something; x.0.0 says nothing."""
    known = [code for code in codes if code]
    return next((code for code in known if not code.endswith(".0.0")), known[0] if known else None)


def _by_words(texts: list[str], table: Phrases) -> ReturnReason | None:
    for text in texts:
        for reason, pattern in table:
            if pattern.search(text):
                return reason
    return None


_ENHANCED_IN_TEXT = re.compile(r"(?<![\d.])([245]\.[0-7]\.\d{1,3})(?![\d.]*\d)")
_CODE_IN_TEXT = re.compile(r"(?<![\w.=#/-])([45][0-7]\d)(?=[\s\-:;,]|$)")


def _codes(words: str) -> tuple[int | None, str | None]:
    code = _CODE_IN_TEXT.search(words)
    enhanced = _ENHANCED_IN_TEXT.search(words)
    return int(code[1]) if code else None, enhanced[1] if enhanced else None


# By (subject, detail), then by subject alone.
_Codes = Mapping[tuple[int, int | None], ReturnReason]
_CLEAR_CODES: _Codes = {
    (1, 0): "no_such_user",
    (1, 1): "no_such_user",
    (1, 2): "no_such_domain",
    (1, 3): "no_such_user",
    (1, 4): "no_such_user",
    (1, 6): "moved",
    (1, 7): "sender",
    (1, 8): "sender",
    (1, 10): "no_such_domain",
    (2, 1): "disabled",
    (2, 2): "mailbox_full",
    (2, 3): "too_large",
    (3, 4): "too_large",
    (4, 4): "no_such_domain",
    (4, 6): "loop",
    (4, 7): "expired",
    (7, 26): "authentication",
}
_BROAD_CODES: _Codes = {(3, None): "system", (7, None): "policy"}
_VAGUE_CODES: _Codes = {(4, None): "unreachable", (6, None): "malformed"}


def _by_enhanced_code(enhanced: str | None, table: _Codes) -> ReturnReason | None:
    if enhanced is None:
        return None
    severity, subject, detail = (int(part) for part in enhanced.split("."))
    if severity == 2:
        return "delivered"
    if severity == 4 and subject == 7:
        return "rate"
    return table.get((subject, detail)) or table.get((subject, None))


def _by_code(code: int | None) -> ReturnReason:
    """A code alone ends no address: 550 is also what refuses a mail for its content."""
    match code:
        case 550 | 551 | 553:
            return "policy"
        case 552:
            return "mailbox_full"
        case 454:
            return "rate"
        case 421 | 450 | 451 | 452:
            return "system"
        case 554 | 571:
            return "policy"
        case _:
            return "unspecified"
