"""What the phrases of refusals are made of."""

from __future__ import annotations

import re

from schemas.outcomes import ReturnReason

Phrase = tuple[ReturnReason, re.Pattern[str]]
Phrases = tuple[Phrase, ...]

# Distances are short, so that one sentence is not read into another.
NEAR = r"\b.{0,20}\b"
CLOSE = r"\b.{0,60}\b"
# Not every address is the recipient's: servers speak of IP addresses and senders', too.
ADDRESS = (
    r"(?<!\bip )(?<!client )(?<!host )(?<!server )(?<!network )(?<!sender )(?<!sender's )"
    r"(?<!from )(?<!source )(?<!return )address(?:es)?"
)
MAILBOX = (
    rf"(?:(?:user(?: ?id| ?name)?|recipient|mail ?box|account|alias|addressee|inbox)s?|{ADDRESS})"
)
MAIL = r"(?:message|mail|e-?mail|letter)s?"
BE = r"(?:is|was|are|were|has been|have been)"
NOT = r"(?:not|\w{0,8}n.t|no longer|cannot|never) ?(?:be |in |a )?"
UNKNOWN = r"(?:unknown|invalid|undeliverable|unrecogni[sz]ed|unrout?e?able|non-?existent)"
DISABLED = (
    r"(?:disabled|suspended|inactive|deactivated|locked|frozen|closed|not active|discontinued|"
    r"not enabled|expired|terminated|cancell?ed|deleted|removed)"
)
SERVER = r"(?:host|ip|(?:mail )?server|network)(?: address)?"

# The same in Italian.
CASELLA = (
    r"(?:destinatari[oa]|utente|utenza|indirizzo(?! ip\b)(?! (?:e-?mail )?(?:del |di )?mittente)|"
    r"casella|mailbox|account)"
)
SCONOSCIUTA = (
    r"(?:sconosciut|inesistent|non (?:esist|trovat|valid|è presente|presente|riconosciut|attiv))"
)
DISABILITATA = (
    r"(?:disabilitat|disattivat|sospes|bloccat|chius|cessat|cancellat|eliminat|rimoss|scadut)"
)


def any_of(*phrases: str) -> re.Pattern[str]:
    """Return a pattern that finds one of them, whatever its case."""
    return re.compile("|".join(phrases), re.IGNORECASE)
