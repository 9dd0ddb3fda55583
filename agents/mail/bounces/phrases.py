"""The phrases in which mail servers refuse, in the order in which they are looked for.

One phrase a line. What is said in passing by others comes late: nearly every refusal mentions a
user or an address, so "user unknown" comes after "sender", "spam" and "over quota".
"""

from __future__ import annotations

import re

from schemas.outcomes import ReturnReason

Phrases = tuple[tuple[ReturnReason, re.Pattern[str]], ...]

# Parts of phrases. Distances are short, so that one sentence is not read into another.
NEAR = r"\b.{0,20}\b"
CLOSE = r"\b.{0,60}\b"
MAILBOX = r"(?:user(?: ?id| ?name)?|recipient|mail ?box|account|address|alias|addressee|inbox)s?"
MAIL = r"(?:message|mail|e-?mail|letter)s?"
BE = r"(?:is|was|are|were|has been|have been)"
NOT = r"(?:not|n.t|no longer|cannot|never) ?(?:be |in |a )?"
UNKNOWN = r"(?:unknown|invalid|undeliverable|unrecogni[sz]ed|unrout?e?able|non-?existent)"
DISABLED = (
    r"(?:disabled|suspended|inactive|deactivated|locked|frozen|closed|not active|discontinued|"
    r"not enabled|expired|terminated|cancell?ed)"
)
SERVER = r"(?:host|ip|(?:mail )?server|network)(?: address)?"


def _any(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


CLEAR: Phrases = (
    ("greylisted", _any(r"gr[ae]y-? ?list")),
    (
        "rate",
        _any(
            r"too many (?:\w+ )?(?:connection|message|mail|recipient|e-?mail|session|rcpt)",
            r"\brate[- ]?(?:limit|exceeded|control)",
            r"throttl",
            r"frequency (?:is )?limited",
            r"unexpected volume",
            r"unusual (?:sending )?rate",
            r"unusually high",
            r"too (?:fast|quickly)",
            rf"(?:exceeded|over|reached){NEAR}(?:sending|hourly|daily){NEAR}(?:limit|quota)",
            r"recipients this hour",
            r"sending (?:limit|quota)",
            r"receiving mail at a rate",
            r"temporarily deferred",
            r"max(?:imum)? (?:number of )?(?:connections|messages) (?:exceeded|reached|per)",
        ),
    ),
    (
        "loop",
        _any(
            r"too many (?:hops|received)",
            r"hop ?count",
            r"hops? exceeded",
            r"(?:mail|routing|message|forwarding|delivery|possible) loop",
            r"loops? (?:back to|detected)",
        ),
    ),
    (
        "mailbox_full",
        _any(
            r"(?:over|out of|exceed\w*|above|beyond) (?:\w+ ){0,3}quota",
            r"quota\b.{0,30}(?:exceed|full|reached|violation|limit)",
            r"over-?quota",
            rf"(?:{MAILBOX}|mbox|maildir|storage){CLOSE}(?:full|out of (?:storage|space))\b",
            r"full mailbox",
            r"mail ?box (?:size )?limit",
            rf"messages in{NEAR}mailbox{NEAR}exceed",
            r"mail ?folder is full",
            r"disk (?:is )?full",
            r"no space left",
            r"(?:not enough|insufficient) (?:disk|storage|space|mailbox)",
            r"storage (?:allocation|limit|space)",
            rf"exceeded{NEAR}storage",
            r"too much mail data",
            r"casella\b.{0,30}(?:pien|quota)",
            r"(?:spazio|quota)\b.{0,30}(?:esaurit|superat)",
        ),
    ),
    (
        "too_large",
        _any(
            rf"(?:{MAIL}|headers?|size){CLOSE}too (?:big|large)",
            rf"(?:{MAIL}|size|length){CLOSE}exceed(?:s|ed|ing)?{CLOSE}(?:size|limit|length|maximum)",
            r"(?:message|maximum|max|mail|file) ?(?:message )?size (?:exceed|limit|is )",
            r"size of (?:the|this) message",
            r"exceed(?:s|ed)?\b.{0,40}(?:message size|size limit)",
            r"dimension[ei] massim[ae]",
            r"messaggio\b.{0,20}troppo grande",
        ),
    ),
    (
        "malformed",
        _any(
            rf"(?:{MAIL}|header|mime|line)s? (?:{BE} )?(?:malformed|non-?compliant)",
            r"not (?:fully )?(?:rfc ?\d+ )?(?:compliant|conform)",
            r"bare (?:lf|cr|linefeed)",
            r"(?:duplicate|invalid|missing|multiple|bad) (?:\w+ )?headers?\b",
            r"multiple addresses in from",
            r"media (?:type )?(?:error|not supported)",
        ),
    ),
    (
        "authentication",
        _any(
            r"\b(?:dmarc|dkim|spf)\b",
            r"sender policy framework",
            r"sender ?id\b",
            r"unauthenticated (?:e-?mail|sender|message)",
            r"not authenticated",
            r"authentication ?(?:check|fail|result|policy|information|required)",
            r"authrequired",
            r"fail(?:s|ed)? (?:the )?authentication",
            r"spoof",
        ),
    ),
    (
        "harmful",
        _any(
            r"virus|malware|infected|trojan|worm\b|phish",
            r"content presents a potential",
            r"security (?:issue|risk|threat)",
            rf"(?:attachment|file){CLOSE}(?:not (?:allowed|accepted|permitted)|blocked|banned)",
            rf"(?:attachment|file){CLOSE}(?:forbidden|prohibited)",
            r"(?:black|block) ?listed (?:url|link)",
            r"dangerous",
            r"banned (?:file|attachment|content)",
        ),
    ),
    (
        "reputation",
        _any(
            r"(?:black|block|deny) ?-?list",
            r"\b(?:dns|r|s|x|p|dnsr)bl\b|dnsbl|spamhaus|spamcop|\bsorbs\b|senderscore|abuseat",
            r"reputation",
            r"banned (?:sending )?ip",
            r"(?<!not )listed (?:at|in|on|by)\b",
            rf"(?:client|your|sending|sender) {SERVER}{CLOSE}(?:block|reject|denied|refus|ban)",
            rf"(?:client|your|sending|sender) {SERVER}{CLOSE}not allowed",
            r"block(?:ed|ing)\b.{0,10}\bip\b",
            r"\bip\b.{0,40}(?:block|banned|reject|denied|refused)",
            r"reverse (?:dns|lookup|name|host)|no reverse",
            r"\b(?:rdns|ptr)\b",
            r"(?:dynamic|generic) (?:ip|address|host)",
            r"bad (?:ip|helo|ehlo)",
            r"helo (?:command )?(?:rejected|name)",
            r"too much spam from",
        ),
    ),
    (
        "spam",
        _any(
            r"spam|\bjunk\b|\bu[bc]e\b|unsolicited",
            r"(?:bulk|mass) e?-?mail",
            r"content (?:was |is )?(?:rejected|denied|refused|filter)",
            rf"{MAIL} (?:{BE} )?filtered",
            r"similar to messages",
            r"suspicious",
            r"indesiderat",
        ),
    ),
    (
        "sender",
        _any(
            rf"sender{CLOSE}(?:reject|denied|not allowed|not exist|invalid|unknown|verif)",
            r"(?:sender|return) ?(?:address|domain|path)?\b.{0,20}(?:unroutable|not found)",
            r"domain of sender",
            r"(?:unroutable|invalid|bad|unknown|unverified|illegal) (?:sender|mail from)",
            r"(?:invalid|bad|valid) return (?:address|path)",
            r"(?:no )?valid sender",
            r"backscatter",
            r"(?:rejected|refused|did not like|does not like) (?:the |our )?(?:mail from|sender)",
        ),
    ),
    (
        "no_such_domain",
        _any(
            r"host (?:or domain name |name |\S{1,253} )?(?:is )?(?:not found|unknown)"
            r"(?!.{0,80}try again)",
            r"(?:no such|bad) (?:mail )?(?:domain|host)",
            rf"{UNKNOWN} (?:mail )?(?:domain|host)",
            rf"domain{CLOSE}(?:not found|not exist|n.t exist|n.t be found|not be found|is invalid)",
            r"domain\b.{0,100}(?:doesn.t|does not) receive",
            r"nxdomain",
            r"no relevant answers",
            r"null mx|no mx\b|no mail exchanger",
            r"(?:couldn.t|cannot|can.t|unable to) (?:find|resolve)\b.{0,20}(?:host|domain)",
            r"couldn.t find a mail exchanger",
            r"name or service not known",
            r"illegal host",
            r"dominio\b.{0,20}(?:inesistente|sconosciuto|non trovato|non esiste)",
        ),
    ),
    (
        "disabled",
        _any(
            rf"(?:{MAILBOX}|domain){CLOSE}{DISABLED}",
            rf"{MAILBOX}{CLOSE}no longer (?:active|valid|available|in use|accept|monitored|used)",
            rf"(?:disabled|inactive|suspended|deactivated|expired|closed) {MAILBOX}",
            r"permanently suspended",
            rf"{MAILBOX} (?:\w+ )?{BE} (?:temporarily )?blocked",
            r"(?:casella|utente|account)\b.{0,30}(?:disabilitat|disattivat|sospes|bloccat|chius)",
        ),
    ),
    (
        "moved",
        _any(
            rf"{MAILBOX} (?:has |was )?(?:moved|changed)",
            r"has moved to",
            r"changed (?:his|her|their) address",
        ),
    ),
    (
        "no_such_user",
        _any(
            rf"{MAILBOX}{NEAR}{UNKNOWN}",
            rf"{MAILBOX}{CLOSE}{NOT}(?:found|exist|known|recogni[sz]ed|listed|valid)",
            rf"{MAILBOX}{NEAR}no longer on (?:the |this )?server",
            rf"{UNKNOWN} (?:\S+ )?{MAILBOX}\b",
            rf"(?:no such|bad|illegal|incorrect|not a valid|no valid) (?:\S+ )?{MAILBOX}\b",
            r"(?:invalid|unknown) (?:\w+ ){1,3}(?:user ?id|user|recipient|destination)\b",
            r"no such (?:person|local|virtual|one|name)",
            rf"(?:recipient|user)? ?name{NEAR}not (?:recogni[sz]ed|listed|found)",
            r"(?:user|recipient|name)\b.{0,100}not listed in",
            r"(?:requested action not taken: )?mailbox (?:is )?unavailable",
            r"not a registered",
            r"not our (?:user|customer)",
            r"no (?:mailbox|account|user) (?:here|by that|with that|under)",
            r"don.t (?:have|handle) (?:that|a|this) (?:user|mailbox|account)",
            r"there is no (?:one|such|user|mailbox)",
            r"user doesn.t have",
            r"not in (?:our|the) (?:directory|list)",
            r"recip(?:ient)?notfound|nosuchuser",
            r"recipient not ok",
            r"(?:destinatario|utente|indirizzo|casella)\b.{0,30}(?:sconosciut|inesistent)",
            r"(?:destinatario|utente|indirizzo|casella)\b.{0,30}non (?:esiste|trovat|valid)",
            r"(?:sconosciuto|inesistente) .{0,20}(?:destinatario|utente|indirizzo|casella)",
            # Exchange Online, for addresses that its customer's directory doesn't have.
            r"5\.4\.1.{0,300}recipient address(?:es)? rejected ?: access denied",
            # In forty languages: there is no such group, or it is closed to us.
            r"groups\.google\.com/support",
        ),
    ),
    (
        "expired",
        _any(
            r"expired",
            r"(?:delivery|retry) time ?-?(?:out|limit)?(?: was)? exceeded",
            r"(?:in the )?queue too long|too long in",
            r"too old",
            r"(?:could|can|been) ?not (?:be )?(?:deliver\w*|sent)\b.{0,20}for\b.{0,20}(?:day|hour)",
            r"retry timeout",
            r"maximum\b.{0,20}(?:retr|attempt)",
        ),
    ),
    (
        "unreachable",
        _any(
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
    ),
)

VAGUE: Phrases = (
    (
        "policy",
        _any(
            r"polic(?:y|ies)",
            r"not (?:permitted|authori[sz]ed|allowed|accept)",
            r"den(?:y|ied)|refus|reject|block|prohibit|restrict|forbid",
            r"relay",
            r"security|administrative|permission|unwanted|filter",
            r"access (?:is )?|only accept",
        ),
    ),
    (
        "system",
        _any(
            r"insufficient|resource|temporar|configuration|out of memory|i/o error|busy|overload",
            r"local (?:error|problem|mailer)|internal (?:server )?(?:error|problem)",
            r"try (?:again|later)|retry",
            r"service (?:is )?(?:currently )?(?:unavailable|not available)",
            r"system (?:error|failure|problem|not accepting)",
            r"unexpected|command (?:failed|died)|unable to (?:write|create)|unknown error",
        ),
    ),
)
"""Words of which nearly every refusal has one: an enhanced code says more."""
