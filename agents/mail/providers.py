"""Who runs a mailbox: addresses of one provider share its limits, whatever their domain.

Well-known domains are in a table. Whose mail servers take the mail of any other domain, a company's
for instance, says the DNS (`streams/mail/mail_hosts.py`), and the names of the big ones' servers
are in a table here. A shop may say more in its settings, and is asked first.
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


_HOSTS: Mapping[str, str] = {
    "google": "google.com googlemail.com",
    "microsoft": "protection.outlook.com mx.microsoft hotmail.com",
    "yahoo": "yahoodns.net",
    "apple": "icloud.com",
    "italiaonline": "libero.it virgilio.it italiaonline.it",
    "tim": "tim.it tin.it alice.it",
    "aruba": "aruba.it arubapec.it",
    "tiscali": "tiscali.it",
    "fastweb": "fastwebnet.it fastweb.it",
    "vodafone": "vodafone.it",
    "gmx": "gmx.net gmx.com web.de",
    "proton": "protonmail.ch proton.ch",
}
"""The ends of their mail servers' names."""

MOST_LEARNED = 100_000
"""Domains that are remembered, some 15 MB; the one that was learned first is forgotten first."""


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
        self._learned: dict[str, str] = {}

    def of(self, address: str) -> str:
        """Return the provider of an address, which may be impossible, then it is `other`."""
        domain = domain_of(address)
        return self._by_domain.get(domain) or self._learned.get(domain, OTHER)

    def listed(self, domain: str) -> bool:
        """Whether it is known without asking anybody."""
        return domain in self._by_domain

    def learn(self, domain: str, provider: str) -> None:
        """Somebody has asked who takes a domain's mail."""
        self._learned.pop(domain, None)
        if len(self._learned) >= MOST_LEARNED:
            del self._learned[next(iter(self._learned))]
        self._learned[domain] = provider


def domain_of(address: str) -> str:
    """Return the domain of an address, as tables have it."""
    return address.rpartition("@")[2].strip().lower()


_BY_HOST = {name: provider for provider, names in _HOSTS.items() for name in names.split()}


def provider_of_host(host: str) -> str:
    """Return who runs a mail server, by its name; `other` when it is none of the big ones'."""
    labels = host.lower().rstrip(".").split(".")
    names = (".".join(labels[start:]) for start in range(len(labels)))
    return next((_BY_HOST[name] for name in names if name in _BY_HOST), OTHER)
