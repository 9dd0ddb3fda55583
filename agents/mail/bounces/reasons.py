"""What a refusal means: from its words, then its enhanced code (RFC 3463), then its SMTP code.

A wrong "hard" takes a customer's mail away, so whatever is doubtful is something else, and nothing
that a server calls temporary is hard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from agents.mail.bounces.addresses import OUR_DOMAIN, OUR_SENDER
from agents.mail.bounces.phrase_parts import CASELLA, MAILBOX, Phrases
from agents.mail.bounces.phrases import CLEAR, VAGUE
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

Refused = Literal["before_rcpt", "with_text"]
"""before_rcpt: that server had heard of the sender alone. with_text: it had the mail itself."""

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


class _Found(NamedTuple):
    """A phrase, and where it stands."""

    reason: ReturnReason
    around: str
    """The phrase and what is close to it."""


def meaning(*texts: str, status: str = "", at: Refused | None = None) -> RefusalMeaning:
    """Return what servers' words say, and `status`, the report's own verdict.

    Of `texts` the first that says something counts; in it our own addresses are best marked
    (`marked` in `agents/mail/bounces/addresses.py`). `status` is an enhanced code or empty.
    `at`: when it was refused, where that is known and the words don't say it.
    """
    cleaned = [_cleaned(text) for text in texts]
    codes = [_codes(text) for text in cleaned]
    code = next((code for code, _ in codes if code is not None), None)
    enhanced = _best([enhanced for _, enhanced in codes] + [status])
    at = at or _refused_at(cleaned)
    found = (
        _by_words(cleaned[:1], CLEAR)
        or _by_enhanced_code(enhanced, _CLEAR_CODES, cleaned)
        or _by_words(cleaned[1:], CLEAR)
        or _by_enhanced_code(enhanced, _BROAD_CODES, cleaned)
        or _by_slowing(code)
        or _by_words(cleaned[:2], VAGUE)
        or _by_enhanced_code(enhanced, _VAGUE_CODES, cleaned)
        or _Found(_by_code(code, at), "")
    )
    reason = found.reason
    temporary = (code is not None and code < 500) or (enhanced or "5")[0] == "4"
    if KINDS[reason] == "hard":
        if at == "before_rcpt" or _names_us(code, enhanced) or _is_about_us(found.around):
            reason = "sender"
        elif _may_pass(reason, cleaned[0], code, temporary):
            reason = "unspecified"
    elif reason == "policy" and temporary:
        reason = "system"
    return RefusalMeaning(reason, code, enhanced)


def _refused_at(texts: list[str]) -> Refused | None:
    if any(_BEFORE_RCPT.search(text) for text in texts):
        return "before_rcpt"
    return "with_text" if texts and _WITH_TEXT.search(texts[0]) else None


def _names_us(code: int | None, enhanced: str | None) -> bool:
    """Whether a code speaks of the sender, whatever the words beside it are about."""
    return code in _LOG_IN or (enhanced or "").endswith(_OF_SENDER)


def _is_about_us(text: str) -> bool:
    """Whether that server speaks of the sender: by its name, or our own address is the only one."""
    if _SENDER.search(text):
        return True
    ours = OUR_SENDER in text or OUR_DOMAIN in text
    return ours and "@" not in text and "…" not in text


def _may_pass(reason: ReturnReason, text: str, code: int | None, temporary: bool) -> bool:
    """Whether a refusal that ends an address is one for the time being."""
    if reason == "no_such_domain":  # found out by whoever gave up, not said by another server
        return code is not None and code < 500
    return temporary or _TEMPORARY.search(text) is not None


_BEFORE_RCPT = re.compile(
    r"(after|in reply to) (the )?(pipelined )?(mail from|ehlo|helo|initial connection)|"
    r"\[mail_from\]|>>> mail from[^<]{0,20}<[^>]*>[^<]{0,60}<<< [45]",
    re.IGNORECASE,
)
_LOG_IN = frozenset({530, 534, 535, 538})
_OF_SENDER = (".1.7", ".1.8")
_SENDER = re.compile(
    r"(?<!\bto )(?<!\bto the )\bsend(?:er|ing)\b|\bauth(?:enticated|entication)?\b|"
    r"\byour (?:user|account|mailbox|login|ip|server|domain)\b|(?:smtp user|utente smtp)|"
    r"\bfrom (?:an? |the )?(?:non-?existent|unknown|invalid|unresolvable) (?:\w+ )?(?:domain|host)|"
    r"mittent|provenienza|\b(?:tuo|vostro) (?:indirizzo|account|utente|dominio)",
    re.IGNORECASE,
)
_WITH_TEXT = re.compile(r"(?:after|in reply to) (?:the )?(?:end of )?data\b", re.IGNORECASE)
_TEMPORARY = re.compile(
    r"temporar|temporane|try (?:again )?(?:later|in\b|after)|(?:please|,) try again|"
    r"at this (?:time|moment)|riprova|più tardi|momentane",
    re.IGNORECASE,
)


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


BEFORE, BEHIND = 80, 60
"""Characters around a phrase that belong to it."""


def _by_words(texts: list[str], table: Phrases) -> _Found | None:
    for text in texts:
        for reason, pattern in table:
            if match := pattern.search(text):
                start = max(match.start() - BEFORE, 0)
                return _Found(reason, text[start : match.end() + BEHIND])
    return None


_ENHANCED_IN_TEXT = re.compile(r"(?<![\d.])([245]\.[0-7]\.\d{1,3})(?![\d.]*\d)")
_CODE_IN_TEXT = re.compile(r"(?<![\w.=#/-])([45][0-7]\d)(?=[\s\-:;,]|$)")


def _codes(words: str) -> tuple[int | None, str | None]:
    code = _CODE_IN_TEXT.search(words)
    enhanced = _ENHANCED_IN_TEXT.search(words)
    if code and enhanced and code[1][0] != enhanced[1][0]:  # it speaks of something else
        enhanced = None
    return int(code[1]) if code else None, enhanced[1] if enhanced else None


# By (subject, detail), then by subject alone.
_Codes = Mapping[tuple[int, int | None], ReturnReason]
_CLEAR_CODES: _Codes = {
    (1, 1): "no_such_user",
    (1, 2): "no_such_domain",
    (1, 3): "no_such_user",
    (1, 6): "moved",
    (1, 7): "sender",
    (1, 8): "sender",
    (1, 10): "no_such_domain",
    (2, 1): "disabled",
    (2, 2): "mailbox_full",
    (2, 3): "too_large",
    (3, 4): "too_large",
    (4, 6): "loop",
    (4, 7): "expired",
    (7, 8): "authentication",
    (7, 20): "authentication",
    (7, 21): "authentication",
    (7, 22): "authentication",
    (7, 23): "authentication",
    (7, 25): "reputation",
    (7, 26): "authentication",
    (7, 27): "sender",
    (7, 28): "rate",
}
_BROAD_CODES: _Codes = {(3, None): "system", (7, None): "policy"}
_VAGUE_CODES: _Codes = {(4, None): "unreachable", (6, None): "malformed"}


def _by_enhanced_code(enhanced: str | None, table: _Codes, texts: list[str]) -> _Found | None:
    if enhanced is None:
        return None
    severity, subject, detail = (int(part) for part in enhanced.split("."))
    reason: ReturnReason | None
    if severity == 2:
        reason = "delivered"
    elif severity == 4 and subject == 7:
        reason = "rate"
    else:
        reason = table.get((subject, detail)) or table.get((subject, None))
    if reason and KINDS[reason] == "hard" and _only_refused(texts[0]):
        reason = "policy"
    return _Found(reason, texts[0] if texts else "") if reason else None


def _only_refused(text: str) -> bool:
    """Whether words of no recipient contradict a code that is about one."""
    return bool(_REFUSED.search(text)) and not _RECIPIENT.search(text)


_REFUSED = next(pattern for reason, pattern in VAGUE if reason == "policy")
_RECIPIENT = re.compile(rf"{MAILBOX}|{CASELLA}|rcpt|destin|[@…]", re.IGNORECASE)


def _by_slowing(code: int | None) -> _Found | None:
    """454: providers use it for nothing else."""
    return _Found("rate", "") if code == 454 else None


def _by_code(code: int | None, at: Refused | None) -> ReturnReason:
    """A code alone ends no address: 550 is also what refuses a mail for its content."""
    match code:
        case 552 if at == "with_text":
            return "too_large"
        case 554 if at == "with_text":
            return "malformed"
        case 550 | 551 | 553 | 554 | 571 | 521 | 530 | 535:
            return "policy"
        case 552:
            return "mailbox_full"
        case 421 | 450 | 451 | 452:
            return "system"
        case _:
            return "unspecified"
