"""Refusals that are about the address that we wrote to, and mailboxes that are full."""

from __future__ import annotations

from agents.mail.bounces.phrase_parts import (
    BE,
    CASELLA,
    CLOSE,
    DISABILITATA,
    DISABLED,
    MAILBOX,
    NEAR,
    NOT,
    SCONOSCIUTA,
    UNKNOWN,
    Phrase,
    Phrases,
    any_of,
)

FULL: Phrase = (
    "mailbox_full",
    any_of(
        r"(?:over|out of|exceed\w*|above|beyond) (?:\w+ ){0,3}quota",
        r"quota\b.{0,30}(?:exceed|full|reached|violation|limit)",
        r"over-?quota",
        rf"(?:{MAILBOX}|mbox|maildir|storage){CLOSE}(?:full|out of (?:storage|space))\b",
        r"full mailbox|mail ?box full",
        r"mail ?box (?:(?:size )?limit|exceed)",
        r"(?:exhausted|used up)\b.{0,20}(?:storage|space)",
        rf"messages in{NEAR}mailbox{NEAR}exceed",
        r"mail ?folder is full",
        r"disk (?:is )?full",
        r"no space left|out of (?:storage|space)\b",
        r"(?:not enough|insufficient) (?:disk|storage|space|mailbox)",
        r"storage (?:allocation|limit|space)",
        rf"exceeded{NEAR}storage",
        r"too much mail data",
        r"(?:casella|mailbox)\b.{0,30}(?:pien[ao]|quota|satur)",
        r"fuori quota|limite\b.{0,20}\bcapienza",
        r"casella\b.{0,40}(?:superat|esaurit|eccedut)",
        r"(?:spazio|quota|capacità|capienza)\b.{0,30}"
        r"(?:esaurit|superat|insufficient|terminat|raggiunt)",
        r"(?:superat|raggiunt)\w+\b.{0,20}(?:quota|spazio|capacità)",
        r"bo[iî]te\b.{0,40}pleine|postfach\b.{0,20}voll|buz[oó]n\b.{0,20}lleno",
        r"zu ?viele mails auf dem server",
    ),
)

_NO_SUCH_DOMAIN: Phrase = (
    "no_such_domain",
    any_of(
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
)

_DISABLED: Phrase = (
    "disabled",
    any_of(
        rf"(?:{MAILBOX}|domain){CLOSE}{DISABLED}",
        rf"{MAILBOX}{CLOSE}no longer (?:active|valid|available|in use|accept|monitored|used)",
        rf"(?:disabled|inactive|suspended|deactivated|expired|closed) {MAILBOX}",
        r"permanently suspended",
        r"mailbox ?disabled|account ?disabled",
        rf"{MAILBOX} (?:\w+ )?{BE} (?:temporarily )?blocked",
        rf"{CASELLA}\b.{{0,30}}{DISABILITATA}",
        r"(?:usuario|casilla|cuenta)\b.{0,30}(?:inactiv|expirad|deshabilitad|suspendid)",
        r"mailbox (?:deaktiviert|gesperrt)|konto\b.{0,20}(?:deaktiviert|gesperrt)",
    ),
)

_MOVED: Phrase = (
    "moved",
    any_of(
        rf"{MAILBOX} (?:has |was )?(?:moved|changed)",
        r"has moved to",
        r"changed (?:his|her|their) address",
    ),
)

_NO_SUCH_USER: Phrase = (
    "no_such_user",
    any_of(
        rf"{MAILBOX}{NEAR}{UNKNOWN}",
        rf"{MAILBOX}{CLOSE}{NOT}(?:found|exist|known|recogni[sz]ed|listed|valid|present)",
        rf"{MAILBOX}{NEAR}no longer on (?:the |this )?server",
        rf"{UNKNOWN} (?:\S+ )?{MAILBOX}\b",
        rf"(?:no such|bad|illegal|incorrect|not a valid|no valid) (?:\S+ )?{MAILBOX}\b",
        r"(?:invalid|unknown) (?:\w+ ){1,3}(?:user ?id|user|recipient|destination)\b",
        r"unknown local[- ]part",
        r"no such (?:mail ?drop|person|local|virtual|one|name)",
        r"unrout?e?able address",
        r"not (?:in|on) my (?:validrcptto|recipient)|badrcptto",
        r"not a (?:known|valid) (?:\S+ )?(?:user|mail ?box|recipient|account)|userunknown",
        r"bad destination|no one with that|for that user\b|can.t accept user",
        r"no longer an? employee|(?:not found|not) in (?:the )?ldap",
        r"(?:unable to|cannot|can.t|could not|couldn.t) find (?:the |an? |alias )*(?:user|mailbox)",
        r"not an active address|no active mailbox",
        rf"(?:recipient|user)? ?name{NEAR}not (?:recogni[sz]ed|listed|found)",
        r"(?:user|recipient|name)\b.{0,100}not listed in",
        r"not a registered",
        r"no (?:mailbox|account|user) (?:here|by that|with that|under)",
        r"don.t (?:have|handle) (?:that|a|this) (?:user|mailbox|account)",
        r"there is no (?:one|such|user|mailbox)",
        r"user doesn.t have",
        r"not in (?:our|the) (?:directory|list)",
        r"recip(?:ient)?notfound|nosuchuser",
        r"recipient not ok",
        rf"{CASELLA}\b.{{0,40}}{SCONOSCIUTA}",
        rf"(?:sconosciut[oa]|inesistente) .{{0,20}}{CASELLA}",
        r"destinatario errato|destin\. sconosciuto",
        r"nessun[oa]? (?:utente|casella|destinatario|account|indirizzo)",
        r"non (?:esiste|è presente|abbiamo|ha)\b.{0,30}(?:utente|casella|destinatario|indirizzo)",
        r"(?:utilisateur|destinataire|adresse|bo[iî]te(?: aux lettres)?)\b"
        r".{0,20}(?:inconnu|inexist)",
        r"(?:empfänger|adressat|benutzer|postfach|adresse)\b.{0,20}(?:unbekannt|existiert nicht)",
        r"(?:usuario|destinatario|buz[oó]n|cuenta|casilla)\b"
        r".{0,20}(?:desconocid|no existe|inexistente)",
        r"no existe (?:ese |dich[ao] |el |la )?(?:usuario|persona|cuenta|buz[oó]n|destinatario)",
        # Exchange Online, for addresses that its customer's directory doesn't have.
        r"5\.4\.1.{0,300}recipient address(?:es)? rejected ?: access denied",
        # IronPort, the same. With any other words 5.1.0 may be about the sender.
        r"5\.1\.0 address rejected",
        # In forty languages: there is no such group, or it is closed to us.
        r"groups\.google\.com/support",
    ),
)

_UNAVAILABLE: Phrase = (
    "no_such_user",
    any_of(
        # RFC 5321 says 550 so for many things; with a rule beside it, it is the rule.
        r"^(?!.*(?:polic|restrict|reject|refus|block|den(?:y|ied)|\bdns\b|\bmx\b))"
        r".*(?:mailbox|account) (?:is )?unavai?lable",
    ),
)

ABOUT_ADDRESS: Phrases = (_NO_SUCH_DOMAIN, _DISABLED, _MOVED, _NO_SUCH_USER, _UNAVAILABLE)
