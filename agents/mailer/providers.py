"""Who runs a mailbox: addresses of one provider share its limits, whatever their domain.

By a table of well-known domains, since nothing is asked of the DNS while mails go out: the domains
here make up most of an Italian shop's list, and all others are one group. A shop that knows more
(companies whose mail is at Google or Microsoft) says so in its settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

OTHER = "other"

_DOMAINS: Mapping[str, str] = {
    "google": "gmail.com googlemail.com",
    "microsoft": (
        "outlook.com outlook.it outlook.fr outlook.de outlook.es hotmail.com hotmail.it hotmail.fr"
        " hotmail.de hotmail.es hotmail.co.uk live.com live.it live.fr live.de live.co.uk"
        " msn.com windowslive.com"
    ),
    "yahoo": (
        "yahoo.com yahoo.it yahoo.fr yahoo.de yahoo.es yahoo.co.uk ymail.com rocketmail.com"
        " aol.com aol.it aim.com"
    ),
    "apple": "icloud.com me.com mac.com",
    "italiaonline": "libero.it virgilio.it inwind.it iol.it blu.it giallo.it",
    "tim": "tin.it alice.it tim.it",
    "aruba": "aruba.it pec.it arubapec.it",
    "tiscali": "tiscali.it tiscalinet.it",
    "fastweb": "fastwebnet.it fastweb.it",
    "vodafone": "vodafone.it",
    "gmx": "gmx.com gmx.net gmx.de gmx.at gmx.ch web.de",
    "proton": "proton.me protonmail.com pm.me",
}

PROVIDERS = (*_DOMAINS, OTHER)
"""Closed, so that it can be a label in metrics."""


class Limit(NamedTuple):
    """What a provider wants of one sender."""

    connections: int | None = None
    """At the same time; beyond it Google and Microsoft answer 421."""
    mails: int | None = None
    """On one connection; after it Yahoo hangs up."""


UNLIMITED = Limit()
LIMITS: Mapping[str, Limit] = {
    "google": Limit(connections=5),
    "microsoft": Limit(connections=5),
    "yahoo": Limit(mails=20),
}


class Providers:
    """Says which provider an address belongs to."""

    def __init__(self, more: Mapping[str, str] | None = None) -> None:
        """`more` maps further domains to providers. Raises ValueError naming an unknown one."""
        self._by_domain = {
            domain: provider for provider, names in _DOMAINS.items() for domain in names.split()
        }
        for domain, provider in (more or {}).items():
            if provider not in PROVIDERS:
                raise ValueError(f"{domain}={provider}: no such provider; there are "
                                 f"{', '.join(PROVIDERS)}")  # fmt: skip
            self._by_domain[domain.lower()] = provider

    def of(self, address: str) -> str:
        """Return the provider of an address, which may be impossible, then it is `other`."""
        return self._by_domain.get(address.rpartition("@")[2].strip().lower(), OTHER)
