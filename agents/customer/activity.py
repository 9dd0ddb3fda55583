"""A customer's activity: first and last seen, the number of visits, and where it all began.

When there was any at all, how many visits, and where it all began.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from agents.sending import arbitration
from schemas.bounds import cut
from schemas.customer import Customer
from schemas.customer.person import SOURCE_BYTES
from schemas.events import Event
from schemas.events.shopping import PageViewed
from schemas.time_units import MINUTE_MS

VISIT_ENDS = 30 * MINUTE_MS
"""Silence, ms, after which another page is another visit; the custom of web analytics."""


def note(customer: Customer, time: int) -> None:
    """Note that something was done at `time` (ms), before anything is concluded from it."""
    if time - customer.last_active > VISIT_ENDS:
        customer.visits += 1
    arbitration.take_notice(customer, time)


def note_source(customer: Customer, event: Event) -> bool:
    """Note where the customer came from, as far as the first event that says so does; return
    whether it is this one."""
    if customer.source:
        return False
    customer.source = _source(event)
    return bool(customer.source)


def adopt(customer: Customer, visitor: Customer) -> None:
    """Add what is known of a visitor who turned out to be this customer."""
    mine, theirs = customer.mail, visitor.mail
    customer.visits += visitor.visits
    arbitration.take_notice(customer, visitor.last_active)
    mine.sent = max(mine.sent, theirs.sent)
    mine.opened = max(mine.opened, theirs.opened)
    mine.clicked = max(mine.clicked, theirs.clicked)
    mine.opens += theirs.opens
    mine.clicks += theirs.clicks
    mine.offer_clicks += theirs.offer_clicks
    first = min(customer.first_seen or visitor.first_seen, visitor.first_seen)
    if visitor.source and (visitor.first_seen == first or not customer.source):
        customer.source = visitor.source


def _source(event: Event) -> str:
    """A campaign in the address of the page, the site that led there, or what the event says."""
    data = event.data
    if event.hints is not None and event.hints.campaign:
        return cut(event.hints.campaign, SOURCE_BYTES)
    if isinstance(data, PageViewed):
        return cut(_campaign(data.url or "") or _host(data.referrer or ""), SOURCE_BYTES)
    return cut(vars(data).get("source") or "", SOURCE_BYTES)


def _campaign(url: str) -> str:
    if "utm_" not in url:
        return ""
    try:
        asked = parse_qs(urlsplit(url).query)
    except ValueError:
        return ""
    return " / ".join(asked[name][0] for name in ("utm_source", "utm_campaign") if name in asked)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""
