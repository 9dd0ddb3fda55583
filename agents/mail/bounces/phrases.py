"""The phrases in which mail servers refuse, in the order in which they are looked for.

One phrase a line. What is said in passing by others comes late: nearly every refusal mentions a
user or an address, so "user unknown" comes after "sender", "spam" and "over quota".
"""

from __future__ import annotations

from agents.mail.bounces.address_phrases import ABOUT_ADDRESS, FULL
from agents.mail.bounces.phrase_parts import BE, CLOSE, MAIL, Phrase, Phrases, any_of
from agents.mail.bounces.sender_phrases import ABOUT_US, POLICY, RATE

_GREYLISTED: Phrase = ("greylisted", any_of(r"gr[ae]y-? ?list", r"lista grigia"))

_LOOP: Phrase = (
    "loop",
    any_of(
        r"too many (?:hops|received)",
        r"hop ?count",
        r"hops? exceeded",
        r"(?:mail|routing|message|forwarding|delivery|possible) loop",
        r"loops? (?:back to|detected)",
    ),
)

_TOO_LARGE: Phrase = (
    "too_large",
    any_of(
        rf"(?:{MAIL}|headers?|size){CLOSE}too (?:big|large)",
        rf"(?:{MAIL}|size|length){CLOSE}exceed(?:s|ed|ing)?{CLOSE}(?:size|limit|length|maximum)",
        r"(?:message|maximum|max|mail|file) ?(?:message )?size (?:exceed|limit|is )",
        r"size of (?:the|this) message",
        r"exceed(?:s|ed)?\b.{0,40}(?:message size|size limit)",
        r"dimension[ei] massim[ae]",
        r"messaggio\b.{0,20}troppo grande",
    ),
)

_MALFORMED: Phrase = (
    "malformed",
    any_of(
        rf"(?:{MAIL}|header|mime|line)s? (?:{BE} )?(?:malformed|non-?compliant)",
        r"not (?:fully )?(?:rfc ?\d+ )?(?:compliant|conform)",
        r"bare (?:lf|cr|linefeed)",
        r"(?:duplicate|invalid|missing|multiple|bad) (?:\w+ )?headers?\b",
        r"multiple addresses in from",
        r"media (?:type )?(?:error|not supported)",
    ),
)

_HARMFUL: Phrase = (
    "harmful",
    any_of(
        r"virus|malware|infected|trojan|worm\b|phish",
        r"content presents a potential",
        r"security (?:issue|risk|threat)",
        rf"(?:attachment|file){CLOSE}(?:not (?:allowed|accepted|permitted)|blocked|banned)",
        rf"(?:attachment|file){CLOSE}(?:forbidden|prohibited)",
        r"(?:black|block) ?listed (?:url|link)",
        r"dangerous",
        r"banned (?:file|attachment|content)",
    ),
)

_SPAM: Phrase = (
    "spam",
    any_of(
        r"(?<!help_)spam|\bjunk\b|\bu[bc]e\b|unsolicited",
        r"(?:bulk|mass) e?-?mail",
        r"content (?:was |is )?(?:rejected|denied|refused|filter)",
        rf"{MAIL} (?:{BE} )?filtered",
        r"similar to messages",
        r"suspicious",
        r"indesiderat",
    ),
)

_EXPIRED: Phrase = (
    "expired",
    any_of(
        r"expired",
        r"(?:delivery|retry) time ?-?(?:out|limit)?(?: was)? exceeded",
        r"(?:in the )?queue too long|too long in",
        r"too old",
        r"(?:could|can|been) ?not (?:be )?(?:deliver\w*|sent)\b.{0,20}for\b.{0,20}(?:day|hour)",
        r"retry timeout",
        r"maximum\b.{0,20}(?:retr|attempt)",
    ),
)

_UNREACHABLE: Phrase = (
    "unreachable",
    any_of(
        r"connection (?:timed? ?out|refused|reset|dropped|closed|lost|failed|died)",
        r"connection to\b.{0,60}(?:fail|refus|time)",
        r"timed? ?-?out\b",
        r"no route to host",
        r"network (?:is )?(?:unreachable|error)",
        r"not reachable|unreachable",
        r"(?:could ?n.t|could not|cannot|can.t|unable to|failed to) (?:connect|establish)",
        r"(?:could ?n.t|could not|cannot|can.t|unable to|failed to) (?:contact|reach|open)",
        r"being unable to connect",
        r"lost connection",
        r"did not accept our requests to connect",
        r"connect to\b.{0,100}:25",
        r"not respond|no response",
        r"(?:server|host) (?:is )?(?:down|unavailable)",
        r"hosts have been failing",
        r"name server|name service",
        r"dns (?:error|failure|lookup|query|problem)|domain lookup|\bservfail\b",
        r"tls (?:handshake|is required|not available)|starttls",
        r"refused to talk to me",
        r"deferred",
    ),
)

CLEAR: Phrases = (
    _GREYLISTED,
    RATE,
    _LOOP,
    FULL,
    _TOO_LARGE,
    _MALFORMED,
    ABOUT_US[0],
    _HARMFUL,
    ABOUT_US[1],
    _SPAM,
    *ABOUT_US[2:],
    POLICY,
    *ABOUT_ADDRESS,
    _EXPIRED,
    _UNREACHABLE,
)

VAGUE: Phrases = (
    (
        "policy",
        any_of(
            r"polic(?:y|ies)",
            r"not (?:permitted|authori[sz]ed|allowed|accept)",
            r"den(?:y|ied)|refus|reject|block|prohibit|restrict|forbid",
            r"relay",
            r"security|administrative|permission|unwanted|filter",
            r"access (?:is )?|only accept",
            r"rifiut|negat|bloccat",
        ),
    ),
    (
        "system",
        any_of(
            r"insufficient|resource|temporar|configuration|out of memory|i/o error|busy|overload",
            r"local (?:error|problem|mailer)|internal (?:server )?(?:error|problem)",
            r"try (?:again|later)|retry|temporane|riprova|più tardi|momentane",
            r"service (?:is )?(?:currently )?(?:unavailable|not available)",
            r"system (?:error|failure|problem|not accepting)",
            r"unexpected|command (?:failed|died)|unable to (?:write|create)|unknown error",
        ),
    ),
)
"""Words of which nearly every refusal has one: an enhanced code says more."""
