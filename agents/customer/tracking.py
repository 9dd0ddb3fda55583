"""What is known of openings and clicks: how much may be noted, and whether it was a person.

Mail is opened and its links are followed by scanners, proxies and previews at least as often as by
people. What tells them apart is looked at here and dropped; only the verdict is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from agents.context import Context, DomainEvent, Handler
from schemas.commands import TrackingMode
from schemas.customer import Customer
from schemas.events import Event
from schemas.tracking import HITS, HitKind, Verdict, Why, strictest

SOURCE = "/ritorno/public"
"""Source of the events that our own public pages write."""

TOO_FAST_MS = 5_000
"""From the decision to the hit. The mail has to be sent, delivered, noticed and opened: nobody is
that quick, and filters that look into a mail on its way are."""

BURST_MS = 1_000
BURST_LINKS = 3
"""Nobody follows three links of a mail, or all of them, within a second."""


def most_allowed(customer: Customer, workflow: TrackingMode | None = None) -> TrackingMode:
    """Return the most that workflow and person allow; without consent people are only counted."""
    person: TrackingMode = "identified" if customer.consented("tracking") else "anonymous"
    return person if workflow is None else strictest(person, workflow)


def hit(customer: Customer, event: Event, context: Context) -> list[DomainEvent]:
    """A mail was opened or clicked: how often and when last is kept, if it counts."""
    if not counts(customer, event):
        return []
    habits, time = customer.mail, context.when(event.time)
    if event.type == "mail.opened":
        habits.opens += 1
        habits.opened = max(habits.opened, time)
        return []
    habits.clicks += 1
    habits.clicked = max(habits.clicked, time)
    sent = next((m for m in customer.sent if m.command_id == event.data.command_id), None)
    if sent is not None and sent.kind == "promotional":
        habits.offer_clicks += 1
    return []


def counts(customer: Customer, event: Event) -> bool:
    """Whether an event may change what is thought of the customer.

    Hits of machines don't, nor those of people who have withdrawn their consent since the mail. Of
    its own mails another mailer doesn't say who it was: unless it says a machine, that counts too,
    with the person's consent.
    """
    if event.type not in HITS:
        return True
    if not event.data.command_id and event.source != SOURCE:
        told = event.data.verdict != "machine" and not (event.public or event.forwarded)
        return told and customer.consented("tracking")
    return event.data.verdict == "human" and (
        event.source != SOURCE or customer.consented("tracking")
    )


class HitRequest(NamedTuple):
    """A request for a pixel or a link, as far as it tells people from machines."""

    kind: HitKind
    method: str
    headers: Mapping[str, str]
    """By lower-case name."""
    age: int | None = None
    """ms since the mail was decided; None where the token is everybody's."""
    burst: int = 1
    """How many different links of this mail were followed within BURST_MS of this one."""
    links: int = 0
    """How many links the mail has; 0 where the token is everybody's."""


class HitVerdict(NamedTuple):
    """Who it was, and what gave it away."""

    verdict: Verdict
    why: Why


def judge(request: HitRequest) -> HitVerdict:
    """Say whether a person did it: what can't be a person first, then what may be one."""
    why = _machine(request) or _quick(request)
    if why:
        return HitVerdict("machine", why)
    agent = request.headers.get("user-agent", "")
    if _IMAGE_PROXIES.search(agent):
        return HitVerdict("unknown", "image_proxy")
    if _MAIL_PROGRAMS.search(agent):
        return HitVerdict("human", "mail_program")
    if "accept-language" not in request.headers:  # every browser says it, servers in racks don't
        return HitVerdict("unknown", "bare_request")
    return HitVerdict("human", "browser")


def _machine(request: HitRequest) -> Why | None:
    headers = request.headers
    agent = headers.get("user-agent", "").strip()
    if request.method == "HEAD":
        return "head_request"
    purposes = (headers.get(name, "") for name in _PURPOSE_HEADERS)
    if any(_PREFETCH.search(purpose) for purpose in purposes) or _GMAIL_PREFETCH in agent:
        return "prefetch"
    if not agent:
        return "no_agent"
    if _SCANNERS.search(agent):
        return "scanner"
    if _PROGRAMS.search(agent) or "from" in headers:
        return "program"
    # Apple Mail's privacy protection fetches all images through a proxy that says just this.
    return "privacy_proxy" if agent == "Mozilla/5.0" else None


def _quick(request: HitRequest) -> Why | None:
    if request.age is not None and request.age < TOO_FAST_MS:
        return "too_fast"
    if request.kind == "click" and request.burst >= min(BURST_LINKS, max(request.links, 2)):
        return "all_links"
    return None


_PURPOSE_HEADERS = ("purpose", "sec-purpose", "x-purpose", "x-moz")
_PREFETCH = re.compile("prefetch|prerender|preview", re.IGNORECASE)

_GMAIL_PREFETCH = "Edge/12.246 Mozilla/5.0"
"""Gmail fetches images before anybody opens the mail under this name, which no browser has."""

_IMAGE_PROXIES = re.compile("GoogleImageProxy|ggpht|YahooMailProxy|YahooCacheSystem")
"""Fetch when somebody opens, sometimes before: it may have been a person."""

_MAIL_PROGRAMS = re.compile("Thunderbird|Microsoft Outlook|ms-office|MSOffice|K-9|Betterbird")

_SCANNERS = re.compile(
    "Barracuda|Proofpoint|Mimecast|SafeLinks|Safe Links|Defender|EOP|Symantec|MessageLabs|"
    "FireEye|Trellix|Fortinet|FortiMail|Sophos|TrendMicro|IronPort|Cisco-?Secure|Forcepoint|"
    "Websense|Zscaler|Avanan|Check ?Point|Vade|Hornetsecurity|Cloudmark|SpamTitan|MailGuard|"
    "BitDefender|Kaspersky|Avast|ESET|urlscan|VirusTotal|Google-Safety|GoogleSafeBrowsing",
    re.IGNORECASE,
)
"""Security products, by the names that they give when they look at a mail's links."""

_PROGRAMS = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|preview|unfurl|facebookexternalhit|WhatsApp|SkypeUri|"
    r"Embedly|HeadlessChrome|PhantomJS|Electron|^curl|^Wget|python|aiohttp|httpx|Go-http-client|"
    r"okhttp|^Java/|Apache-HttpClient|libwww|lwp|PostmanRuntime|axios|node-fetch|undici|"
    r"^Ruby|Faraday|GuzzleHttp|^PHP|CloudFront|Cloudflare|Amazonbot|monitor|uptime",
    re.IGNORECASE,
)
"""Libraries, crawlers and link previews."""


HANDLERS: Mapping[str, Handler] = {
    "mail.opened": hit,
    "mail.clicked": hit,
}
