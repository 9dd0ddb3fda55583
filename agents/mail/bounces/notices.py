"""What mail servers write for people when they write no report: qmail, Exim, Exchange, and others.

First it must be clear that a server speaks of a failure; then the address is looked for in the
frames that servers put it in, by `flufl.bounce`, and last among all addresses in the notice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence

from flufl.bounce import all_failures

from agents.mail.bounces.addresses import addresses, marked, same, tidy
from agents.mail.bounces.autoreplies import from_server
from agents.mail.bounces.limits import MOST_RECIPIENTS, parse
from agents.mail.bounces.message import Arrived
from agents.mail.bounces.reasons import meaning, quoted
from agents.mail.bounces.verdict import BouncedRecipient, Source
from agents.mail.replies import reason_text

# It logs a traceback for each message that it stumbles over, and says no more by it.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)


GUESSED_FROM = 16_000
"""Bytes of a message that `flufl.bounce` sees: it searches each line for all that it knows."""


def _any(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


_FAILURE = _any(
    r"undeliver|non[- ]?deliver",
    r"delivery (?:has |status|fail|problem|error|notif|report|incomplete|of)",
    r"(?:fail(?:ed|ure)|error|problem|trouble).{0,30}(?:deliver|send|mail|notice)",
    r"(?:mail|message|deliver\w*) (?:fail|error|could|cannot|can.t|was not|not|has been|wasn)",
    r"returned? (?:mail|to sender|message)|returning (?:mail|message)",
    r"fail(?:ure|ed) (?:notice|deliver)",
    r"could ?n.t be deliver|could not be deliver|(?:wasn.t|not) able to deliver|unable to deliver",
    r"did not reach|bounce|rejected|mail system error|error message|warning: message|delayed",
    r"mancat[ao] (?:consegna|recapito)|non (?:è stato possibile|consegnat|recapitat)",
    r"impossibile (?:consegnare|recapitare)",
    r"unzustell|non remis|no se (?:ha )?pud",
    r"недоставл|не доставлен|не может быть доставлено",
    r"送信できません|配信できません",
)

_DELAY = _any(
    r"warning (?:message )?only|\(delay\)|(?:has been|is) delayed|delayed mail",
    r"still being retried|will be retried",
    r"(?:not|n.t) yet been delivered|will (?:continue|keep) (?:trying|to try)",
    r"do(?:n.t| not) need to resend",
    r"message .{0,30}delayed",
    r"non è ancora stat[oa] (?:consegnat|recapitat)|nuovi tentativi",
)

_ADDRESS = r"<?([^<>\s,:;()]+@[^<>\s,:;()]+)"

_BEFORE_ADDRESS = "|".join(
    (
        r"undeliverable to",
        r"deliver(?:y|ing)? (?:of )?(?:your |the )?(?:mail |message )?(?:to|failed for|for)",
        r"recipients?(?:\(s\))?|failed recipient|permanent errors?",
        r"unknown user",
        r"(?:was|were) not delivered to|could not be delivered to",
        r"following address(?:es)?(?:\(es\))? failed",
        r"send(?:ing)? (?:your )?(?:mail|message) to",
        r"non (?:consegnat|recapitat)\w+ a|destinatari[oi]|destinato all.utente",
    )
)

_FRAMES = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"^[ \t]*<([^<>\s]+@[^<>\s]+)>\s*(?:\([^\n]*\)\s*)?:",  # qmail, Postfix, Yahoo
        r"RCPT TO:\s*<?([^<>\s]+@[^<>\s]+?)>?(?:\s|$)",
        rf"(?:{_BEFORE_ADDRESS})(?:[^\n@<]{{0,40}}[\s:<])?\s*{_ADDRESS}",
        r"^[ \t]*(?:to|recipient|destinatario|a)\s*:\s*<?([^<>\s]+@[^<>\s]+)",
        r"^[ \t>*]*<?([^<>\s:;,()]+@[^<>\s:;,()]+?)>?\s*(?:$|on |Error|\(|\[|:|\.\.\.|- )",
    )
)
"""How servers write an address that failed; the first kind that a notice has counts."""


def read_notice(arrived: Arrived) -> tuple[tuple[BouncedRecipient, ...], Source]:
    """Return who could not be reached; empty: it is no notice of a failure."""
    if not _speaks_of_failure(arrived):
        return (), "none"
    source: Source = "notice"
    found = list(_failed(arrived))
    if not found:
        found, source = _by_flufl(arrived), "flufl"
    if not found:
        found, source = list(_others(arrived))[:1], "notice"
    found = found[:MOST_RECIPIENTS]
    return tuple(_recipient(address, found, arrived) for address in found or [""]), source


def _speaks_of_failure(arrived: Arrived) -> bool:
    if arrived.header("X-Failed-Recipients"):
        return True
    subject = arrived.header("Subject")
    by_machine = (
        from_server(arrived) or _from_nobody(arrived) or arrived.part("message/rfc822") is not None
    )
    if not by_machine and _REPLY.match(subject):  # "Re: my parcel could not be delivered"
        return False
    return bool(_FAILURE.search(subject) or (by_machine and _FAILURE.search(arrived.words)))


_REPLY = re.compile(r"(?:re|r|aw|rif)\s*:", re.IGNORECASE)


def _from_nobody(arrived: Arrived) -> bool:
    return arrived.header("Return-Path") == "<>" or arrived.header("From").strip() in ("", "<>")


def _failed(arrived: Arrived) -> Iterator[str]:
    """The addresses in the frames; the first kind of frame that holds any counts."""
    named = list(addresses(arrived.header("X-Failed-Recipients")))
    if named:
        yield from dict.fromkeys(named)
        return
    for frame in _FRAMES:
        found = [tidy(match) for match in frame.findall(arrived.words)]
        found = [address for address in found if address and not _is_ours(address, arrived)]
        if found:
            yield from dict.fromkeys(found)
            return


def _by_flufl(arrived: Arrived) -> list[str]:
    try:
        temporary, permanent = all_failures(parse(arrived.raw[:GUESSED_FROM]))
    except Exception:  # over headers and charsets that are none; then we know no more
        return []
    found = sorted(tidy(each.decode("ascii", "replace")) for each in {*permanent, *temporary})
    return [address for address in found if address and not _is_ours(address, arrived)]


def _others(arrived: Arrived) -> Iterator[str]:
    """Addresses anywhere in the notice; the one the returned mail was sent to first."""
    mentioned = [a for a in addresses(arrived.words) if not _is_ours(a, arrived)]
    sent_to = list(addresses(str(arrived.returned_headers.get("To", ""))))
    yield from (a for a in mentioned if any(same(a, other) for other in sent_to))
    yield from mentioned
    yield from sent_to


def _is_ours(address: str, arrived: Arrived) -> bool:
    """Whether an address is the one that the notice came to or from."""
    return any(
        same(address, other)
        for name in ("To", "From", "Delivered-To")
        for other in addresses(arrived.header(name))
    )


def _recipient(address: str, others: Sequence[str], arrived: Arrived) -> BouncedRecipient:
    words, subject = marked(arrived.words, arrived.ours, address), arrived.header("Subject")
    about = _about(words, address, others)
    reply = quoted(about)
    said = meaning(reply or about[:CLOSE], about, words, subject)
    delayed = _DELAY.search(subject) or _DELAY.search(words)
    kind = "delayed" if delayed else said.kind
    text = reason_text(reply or about)
    return BouncedRecipient(address, kind, said.reason, said.code, said.enhanced_code, text)


CLOSE = 300
"""Characters after an address that most probably speak of it."""


def _about(words: str, address: str, others: Sequence[str]) -> str:
    """What stands between an address and the next one."""
    index = words.find(address) if address else -1
    if index < 0:
        return words
    about = words[index + len(address) :].lstrip("> :;,")
    ends = [about.find(other) for other in others if other != address]
    return about[: min((end for end in ends if end > 0), default=len(about))]
