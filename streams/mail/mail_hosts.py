"""Asks the DNS who takes the mail of domains that no table knows, before their mails are queued.

A company's own domain whose mail is at Google is Google's: it throttles all of them together, so
they have to share one pace. Each domain is asked about once a day. Where the DNS is slow or away, a
batch waits two seconds for it, then its mails are queued as anybody's and nobody asks for a minute.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.rdtypes.ANY.MX import MX
from dns.resolver import NXDOMAIN, NoAnswer, NoResolverConfiguration

from agents.mail.providers import MOST_LEARNED, OTHER, Providers, domain_of, provider_of_host
from schemas.records import Record
from schemas.time_units import DAY_MS, MINUTE_MS
from streams.clock import Clock
from streams.logging import get_logger
from streams.runtime.background import watched

AT_ONCE = 50
"""Questions under way; a small name server answers thousands a second."""

MAX_WAIT = 2.0
"""Seconds that a batch waits for its answers."""

KNOWN_MS = DAY_MS
"""A domain moves to another provider once in years; this is how long the old pace may last."""

UNKNOWN_MS = 600_000
"""When a name server could not say: until the same domain is asked about again."""

PAUSE_MS = MINUTE_MS
"""After answers that did not come in time."""

_RESERVED = (".example", ".test", ".invalid", ".localhost", ".local")
"""RFC 2606 and 6762: nobody's mail is there."""

# Of a command only this is wanted here, and reading all of it twice would cost more than the rest.
_ADDRESS = re.compile(rb'"email"\s*:\s*"([^"\\]+)"')

_log = get_logger(__name__)


class MailHosts:
    """Teaches `Providers` the domains of commands."""

    def __init__(
        self,
        providers: Providers,
        clock: Clock,
        *,
        resolver: Resolver | None = None,
        max_wait: float = MAX_WAIT,
    ) -> None:
        """`resolver`: the machine's own, by default. `max_wait` is in seconds."""
        self._providers = providers
        self._clock = clock
        self._resolver = resolver or _machines_own()
        self._max_wait = max_wait
        self._ask_again: dict[str, int] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._paused_until = 0

    async def learn(self, records: Sequence[Record]) -> None:
        """Ask about the domains of commands that are about to be queued. Raises nothing."""
        now = self._clock.now()
        if self._resolver is None or now < self._paused_until:
            return
        asked = [self._ask(domain) for domain in self._unknown(_domains(records), now)]
        if not asked:
            return
        _, late = await asyncio.wait(asked, timeout=self._max_wait)
        if late:
            self._paused_until = self._clock.now() + PAUSE_MS
            _log.warning("the DNS is slow; whose mailboxes these are stays unknown for now",
                         domains=len(late))  # fmt: skip

    async def close(self) -> None:
        """Ask nothing any more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _unknown(self, domains: Iterable[str], now: int) -> Iterator[str]:
        for domain in domains:
            if self._ask_again.get(domain, 0) <= now and not self._providers.listed(domain):
                yield domain

    def _ask(self, domain: str) -> asyncio.Task[None]:
        task = self._asking.get(domain)
        if task is None:
            task = watched("mail_hosts", asyncio.create_task(self._look_up(domain)))
            self._asking[domain] = task
            task.add_done_callback(lambda _: self._asking.pop(domain))
        return task

    async def _look_up(self, domain: str) -> None:
        provider, keeps = OTHER, KNOWN_MS
        try:
            async with self._slots:
                provider = await self._provider(domain)
        except (NXDOMAIN, NoAnswer, UnicodeError):
            pass  # nobody's, which is an answer; what IDNA can't write is no domain
        except (DNSException, OSError) as error:
            keeps = UNKNOWN_MS
            _log.debug("the DNS could not say who takes a domain's mail", error=repr(error))
        self._providers.learn(domain, provider)
        if len(self._ask_again) >= MOST_LEARNED:
            del self._ask_again[next(iter(self._ask_again))]
        self._ask_again[domain] = self._clock.now() + keeps

    async def _provider(self, domain: str) -> str:
        assert self._resolver is not None
        answer = await self._resolver.resolve(domain.encode("idna").decode("ascii"), "MX")
        best = min((cast(MX, each) for each in answer), key=lambda each: each.preference)
        return provider_of_host(best.exchange.to_text())


def _machines_own() -> Resolver | None:
    try:
        return Resolver()
    except (NoResolverConfiguration, OSError) as error:
        _log.warning("no name server is set; whose mailboxes are whose is not asked",
                     error=str(error))  # fmt: skip
        return None


def _domains(records: Iterable[Record]) -> Iterator[str]:
    """Yield the domains of the addresses in commands, each once."""
    found = (_ADDRESS.search(record.value or b"") for record in records)
    domains = (domain_of(match[1].decode("utf-8", "replace")) for match in found if match)
    for domain in dict.fromkeys(domains):
        if "." in domain and not domain.endswith(_RESERVED):
            yield domain
