"""Refusals that are about us: how fast we are, who we are, what others think of our server.

They say nothing of the address that we wrote to, whatever code they come with, so they are looked
for before what is said of addresses: "sender verify failed: no such user".
"""

from __future__ import annotations

from agents.mail.bounces.phrase_parts import (
    CLOSE,
    DISABILITATA,
    DISABLED,
    MAIL,
    NEAR,
    SERVER,
    UNKNOWN,
    Phrase,
    Phrases,
    any_of,
)

_SPAN = r"\b(?:dail(?:y|ies)|hourly|monthly|(?:per|this|an?|each|in the last) (?:hour|day|minute))"
_PERIODO = r"\b(?:giornalier|orari|mensil|al giorno|all.ora|per (?:ora|giorno))"

RATE: Phrase = (
    "rate",
    any_of(
        r"too many (?:\w+ ){0,3}(?:connection|message|mail|recipient|e-?mail|session|rcpt|user)",
        r"\brate[- ]?(?:limit|exceeded|control)|\brate (?:is )?too high|sending rate",
        r"throttl",
        r"frequency (?:is )?limited",
        r"unexpected volume",
        r"unusual (?:sending )?rate",
        r"unusually high",
        r"excessive (?:\w+ )?(?:unknowns|errors|bounces|recipients)",
        r"too (?:fast|quickly)|too much mail\b|slow down|excessive\b.{0,20}\brate",
        rf"(?:exceeded|over|reached){NEAR}(?:sending|hourly|daily){NEAR}(?:limit|quota)",
        rf"{_SPAN}{CLOSE}(?:limit|quota|maximum|exceeded)",
        rf"(?:exceeded|reached){CLOSE}{_SPAN}\b",
        rf"(?:limit|quota|maximum) for (?:today|{_SPAN})|quota for today",
        r"reached (?:a|the|your) limit|per connection limit",
        r"recipients this hour",
        r"sending (?:limit|quota)",
        r"(?:messag(?:e|ing)|relay|recipient) (?:\w+ )?(?:limits?|quota)\b"
        r".{0,20}(?:exceeded|reached)",
        r"exceeded\b.{0,20}messag(?:e|ing) (?:limits?|quota)",
        r"receiving mail at a rate",
        r"temporarily deferred",
        r"max(?:imum)? (?:number of )?(?:connections|messages) (?:exceeded|reached|per)",
        r"(?:flood|burst) (?:detected|protection)|message flood",
        r"tropp[ie] (?:\w+ )?(?:messaggi|mail|e-?mail|connession|destinatar|invi|tentativ)",
        rf"(?:superat|eccedut|raggiunt)\w*\b.{{0,40}}"
        rf"(?:{_PERIODO}|numero massimo|di invio|messaggi)",
        r"(?:limite|quota) (?:di )?(?:invi|messaggi)",
        rf"(?:limite|quota)\b.{{0,30}}(?:{_PERIODO}|di invio|invii|di messaggi)",
        r"zu viele (?:\w+ )?(?:nachrichten|verbindungen|mails|e-mails|empfänger)",
        r"trop de (?:\w+ )?(?:messages|connexions|destinataires|mails)",
        r"demasiad[ao]s (?:\w+ )?(?:mensajes|conexiones|destinatarios|correos)",
    ),
)

_AUTHENTICATION: Phrase = (
    "authentication",
    any_of(
        r"\b(?:dmarc|dkim|spf)\b",
        r"sender policy framework",
        r"sender ?id\b",
        r"unauthenticated (?:e-?mail|sender|message)",
        r"not authenticated",
        r"authentication ?(?:check|fail|result|policy|information|required|level)",
        r"required authentication|smtp[- ]auth|requires? authentication|\bauth required",
        r"authrequired|notauthenticated",
        r"fail(?:s|ed)? (?:the )?authentication",
        r"spoof",
        r"credential|password|\blog(?:ged)?[ -]?(?:in|on)\b",
        r"(?:must |need to )(?:first )?(?:authenticate|issue|use (?:a )?(?:starttls|tls))",
        r"encryption (?:needed|required)|starttls command first",
        r"identit(?:y|ies) .{0,60}(?:verified|failed)|e-?mail address is not verified",
        r"non (?:è |sei )?autenticat|autentica(?:zione|rsi|rti)|credenziali",
        r"authentifizier|authentifi(?:é|cation)|autenticaci[oó]n",
    ),
)

_REPUTATION: Phrase = (
    "reputation",
    any_of(
        r"(?:black|block|deny) ?-?list",
        r"\b(?:dns|r|s|x|p|dnsr)bl\b|dnsbl|spamhaus|spamcop|\bsorbs\b|senderscore|abuseat",
        r"reputation",
        r"banned (?:sending )?ip",
        r"(?<!not )listed (?:at|in|on|by)\b",
        rf"(?:client|your|sending|sender) {SERVER}{CLOSE}(?:block|reject|denied|refus|ban)",
        rf"(?:client|your|sending|sender) {SERVER}{CLOSE}not allowed",
        rf"\b(?:client|your|sending|sender'?s?|calling|connecting|source) {SERVER}s?\b"
        rf".{{0,60}}(?:{UNKNOWN}|not)",
        r"client (?:address|name)|\b(?:resolve|find|lookup|verify) your\b",
        r"\byour (?:ip|host|hostname|mail ?server|server|network|provider|isp|mx|domain)\b"
        r".{0,60}(?:block|reject|denied|refus|ban|not|invalid|unknown)",
        rf"(?:\b\d+(?:\.\d+){{3}}\b|\[ip\])\]?(?!:\d|\]? said).{{0,40}}"
        rf"(?:{UNKNOWN}|not (?:found|valid|allow|resolv)|no reverse|has no)",
        rf"{UNKNOWN}.{{0,20}}\byour (?:ip|host|server)",
        r"block(?:ed|ing)\b.{0,10}\bip\b",
        r"\bip\b.{0,40}(?:block|banned|reject|denied|refused)",
        rf"\bip (?:address )?(?:{UNKNOWN}|.{{0,30}}(?:not|unknown|invalid)\b)",
        rf"{UNKNOWN} (?:ip|client|host ?name|ptr)\b|unknown host \[?\d",
        r"reverse (?:dns|lookup|name|host)|no reverse|name lookup failed",
        r"\b(?:rdns|ptr)\b",
        r"(?:dynamic|generic) (?:ip|address|host)",
        r"\b(?:bad|invalid|unknown|your) (?:ip|helo|ehlo)\b",
        r"\b(?:helo|ehlo)\b.{0,60}(?:reject|name|invalid|unknown|denied|refus|match|not|"
        r"need|must|host|non|rifiut|valid)",
        r"(?:rifiut|invalid|non valid)\w*\b.{0,30}\b(?:helo|ehlo)\b",
        r"too much spam from",
        r"invalid dns|\bdns (?:mx|ptr|a)\b.{0,40}record",
        r"\((?:con|dyn|hvu|rly|rtr|dns)[:\w]{1,4}\)",  # AOL's
        r"(?:lista|liste) (?:nera|nere|di blocco)|reputazione",
        r"(?:indirizzo )?\bip\b.{0,40}(?:sconosciut|non|bloccat|rifiutat|negat|presente)",
        r"(?:tuo|vostro|suo) (?:server|ip|host|indirizzo ip)\b",
        r"\b(?:nome )?host\b.{0,20}(?:sconosciut|inesistent|non)",
        r"sperrliste|liste noire|lista negra",
    ),
)

_SENDER: Phrase = (
    "sender",
    any_of(
        rf"sender{CLOSE}(?:reject|denied|not allowed|not exist|invalid|unknown|verif|suspend)",
        r"sender\b.{0,60}(?:not (?:own|found|valid|exist|permit|recogni|known|match|in )|block)",
        rf"sender\b.{{0,40}}(?:{DISABLED}|unroutable|not found|must exist|is empty)",
        r"(?:sender|return) ?(?:address|domain|path)?\b.{0,20}(?:unroutable|not found)",
        r"(?:verif\w+|check) (?:\w+ )?sender|verification failed for|callback setup failed|callout",
        r"domain of sender|(?:sender|sending|from|envelope) domain",
        r"(?:sender|return|from|envelope)[ -]?address\b.{0,60}(?:not|unknown|invalid|reject|match)",
        r"(?:unroutable|invalid|bad|unknown|unverified|illegal) (?:sender|mail from|return|from\b)",
        r"(?:invalid|bad|valid) return (?:address|path)",
        r"return[- ]?path\b.{0,60}(?:not|unknown|invalid|reject|exist)",
        r"mail ?from\b.{0,40}(?:not|unknown|invalid|reject|denied|refus|exist|empty)",
        r"(?:originator|envelope sender|envelope from)\b",
        r"(?:no )?valid sender",
        r"backscatter|\bbatv\b",
        r"(?:rejected|refused|did not like|does not like) (?:the |our )?(?:mail from|sender)",
        r"(?:not accept\w*|refus\w+|block\w*)\b.{0,30}"
        r"(?:from you\b|from your|by (?:the )?recipient)",
        # Our own account at the relay.
        rf"\b(?:your|sending|sender|smtp)(?: \w+)? (?:account|mailbox)\b.{{0,60}}"
        rf"(?:{DISABLED}|not|block)",
        r"(?:send(?:ing)?|relay(?:ing)?)\b.{0,40}(?:for|from|by) (?:this|your) account",
        rf"sending (?:{DISABLED}|is not allowed)|not (?:allowed|permitted|authori[sz]ed) to send",
        r"(?:bad|outbound) (?:outbound )?sender",
        # Whoever sends is "mittente" in Italian, and the account ours when it is "tuo".
        r"mittent[ei]",
        rf"\b(?:tuo|vostro|suo) (?:account|utente|indirizzo)\b.{{0,40}}{DISABILITATA}",
        r"non (?:è |sei )?(?:autorizzat|abilitat|consentit)\w* (?:all.invi|ad? inviare)",
        r"non (?:accetta|vuole|desidera)\b.{0,30}(?:posta|messaggi|mail) da",
        r"(?:é|e)metteur|exp(?:é|e)diteur|absender|remitente",
    ),
)

_RELAY: Phrase = (
    "policy",
    any_of(
        r"relay\w*\b.{0,30}"
        r"(?:denied|not (?:permitted|allowed|authori[sz]ed)|prohibit|reject|refus)",
        r"(?:not|n.t|unable to|cannot|never|allowed to|no|open|mail) relay(?:ing)?\b",
        r"allowed rcpthosts|not local\b.{0,40}(?:try|forward|relay)|insecure mail relay",
        r"not our (?:user|customer)",  # RFC 5321's 551: it is served elsewhere
        r"relay\b.{0,30}(?:non |negat|vietat|rifiutat)",
    ),
)

ABOUT_US: Phrases = (_AUTHENTICATION, _REPUTATION, _SENDER, _RELAY)

POLICY: Phrase = (
    "policy",
    any_of(
        r"polic(?:y|ies)\b|politic[ah]e?\b",
        r"administrative(?:ly)? (?:prohibit|den|reject|lock)",
        r"not (?:authori[sz]ed|permitted)|prohibited|notauthorized",
        r"(?:members?|subscribers?|internal|authenticated)[ -]only",
        r"(?:delivery|sending|access) (?:is )?restrict|restrictions?\b",
        rf"{MAIL} (?:{NEAR})?(?:refus|reject)\w*\b.{{0,20}}(?:user|recipient)",
        r"account (?:in|out)bounds?\b",
        r"mailbox owner has changed",  # RFC 7293: whoever it belongs to now, it is there
        r"accesso negato|non (?:autorizzat|consentit|permess|ammess)",
    ),
)
"""Rules, named as such. Vaguer words of the same kind are in `VAGUE`."""
