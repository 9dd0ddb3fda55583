"""The public site over a log in memory, visited by a real HTTP client."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, ClientSession, DummyCookieJar

from agents.mail.message.compose import Composer
from agents.mail.message.tokens import Content, Tokens
from agents.mail.settings import MailSettings
from schemas.customer import Customer, encode_customer
from schemas.events import Event
from schemas.topics import FACTS
from schemas.tracking import Hit
from schemas.wire import parse_record
from streams.clock import VirtualClock
from streams.http.public.messages import PageMessages
from streams.http.public.site import LIMITS, PublicSite
from streams.http.server.counts import DoorCounts
from streams.http.server.http_server import DoorLimits
from streams.http.server.proxies import NamedProxies
from streams.mail.templates import load_renderer
from streams.messages.translations import Language
from streams.partitioner import partition_of
from streams.settings.values import Address
from tests.mail.doubles import MemoryLog
from tests.mail.samples import SETTINGS, START

PARTITIONS = 4
RENDERER = load_renderer(Path(__file__).parents[3] / "workflows")
ITALIAN = PageMessages(Language("it"))
ENGLISH = PageMessages(Language("en"))
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0 Safari/537.36",
    "Accept-Language": "it-IT,it;q=0.9",
}


class SeenMetrics:
    """Remembers what it is told; stands in for SiteMetrics."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, ...]] = Counter()

    def consent(self, purpose: str, action: str, source: str) -> None:
        self.seen["consent", purpose, action, source] += 1

    def hit(self, hit: Hit) -> None:
        self.seen["hit", hit.kind, hit.mode, hit.verdict] += 1

    def privacy_request(self, kind: str) -> None:
        self.seen["request", kind] += 1


@dataclass
class SiteVisit:
    """One visitor's view of the site, and the shop's of the log."""

    log: MemoryLog
    clock: VirtualClock
    metrics: SeenMetrics
    tokens: Tokens
    session: ClientSession
    root: str
    site: PublicSite

    def url(self, place: str, content: Content | str, more: str = "") -> str:
        """Return the address of a page."""
        token = content if isinstance(content, str) else self.tokens.make(content)
        return f"{self.root}/{place}/{token}{more}"

    async def get(
        self, url: str, method: str = "GET", **options: Any
    ) -> tuple[ClientResponse, str]:
        """Return the answer and its text; redirects are not followed."""
        options.setdefault("headers", BROWSER)
        async with self.session.request(method, url, allow_redirects=False, **options) as answer:
            return answer, await answer.text(errors="replace")

    async def post(self, url: str, **options: Any) -> tuple[ClientResponse, str]:
        """Post, and return the answer and its text."""
        return await self.get(url, "POST", **options)

    def events(self, customer: str = "u1") -> list[Event]:
        """Return what was written about a customer."""
        partition = partition_of(customer.encode(), PARTITIONS)
        read = (parse_record(record) for record in self.log.events(partition))
        return [event for event in read if event.customer == customer]

    def hits(self) -> list[Hit]:
        """Return what was counted."""
        return [
            Hit.model_validate_json(record.value or b"")
            for (topic, _), records in self.log.kept.items()
            if topic == FACTS
            for record in records
        ]


@asynccontextmanager
async def visit(
    log: MemoryLog | None = None,
    *,
    lookup: Mapping[str, Customer] | None = None,
    keep_ip: bool = False,
    read_own: Any = None,
    proxies: NamedProxies | None = NamedProxies(["127.0.0.1"]),  # noqa: B008  # never changed
    limits: DoorLimits = LIMITS,
    counts: DoorCounts | None = None,
    **settings: Any,
) -> AsyncIterator[SiteVisit]:
    """Open the site; `lookup` are those whose state this worker has."""
    clock = VirtualClock(START)
    log = log or MemoryLog(clock, partitions=PARTITIONS)
    kept = {key.encode(): encode_customer(person) for key, person in (lookup or {}).items()}
    mail: MailSettings = replace(SETTINGS, **settings)
    metrics = SeenMetrics()
    site = PublicSite(
        log=log,
        settings=mail,
        read_own=read_own or (lambda key, _: kept.get(key)),
        lookups=None,
        view=Composer(mail, RENDERER).view,
        clock=clock,
        metrics=metrics,
        keep_ip=keep_ip,
        proxies=proxies,
        limits=limits,
        counts=counts,
    )
    address = await site.start(Address("127.0.0.1", 0))
    # Headers as they are, and no cookie is ever sent back: a scanner or a fresh browser.
    session = ClientSession(cookie_jar=DummyCookieJar(), skip_auto_headers=["User-Agent"])
    async with session:
        yield SiteVisit(
            log,
            clock,
            metrics,
            Tokens(mail.signing_keys),
            session,
            f"http://{address}",
            site,
        )
    await site.stop()
    await site.stop()
