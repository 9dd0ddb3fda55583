"""The demo's regular customers: what they bought before is imported as history, then they live on:
some come back, some stay silent, and time does the rest."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from schemas.instant import to_datetime
from schemas.time_units import DAY_MS, HOUR_MS
from streams.tools.demo.calls import IN_PAGES, Sender, SentCall, call
from streams.tools.demo.catalogue import (
    ARTICLES,
    CITIES,
    FIRST_NAMES,
    LAST_NAMES,
    NOVELTY,
    SHOP_URL,
    Article,
)
from streams.tools.demo.driver_events import DriverEvent, restocked

REGULARS = 60
BIRTHDAYS_WITHIN = 45
"""Days after the demo's beginning; it is about them, so most have their birthday in it."""

CHANGING = ("TES-052", "CER-040", "LEG-060", "CAF-031")
"""What the feed has news of while the demo goes on."""


def regulars(lots: random.Random, start: int) -> Iterator[SentCall]:
    """Yield what the shop imports at `start` (ms), and what these people do from then on."""
    for number in range(REGULARS):
        yield from _Regular(lots, number, start).live()


def feed(start: int) -> Iterator[DriverEvent]:
    """Yield what the shop's feed says: all of it at `start` (ms), then what changes."""
    articles = {article.sku: article for article in ARTICLES}
    for article in ARTICLES:
        stock = 0 if article.sku == "CER-040" else 40
        yield restocked(article.in_feed(stock=stock), start)
    yield restocked(
        articles["TES-052"].in_feed(price="69.00", list_price="95.00"), start + 12 * DAY_MS
    )
    yield restocked(articles["CER-040"].in_feed(stock=12), start + 15 * DAY_MS)
    yield restocked(articles["LEG-060"].in_feed(stock=2), start + 18 * DAY_MS)
    novelty = NOVELTY.in_feed(replaces="CAF-031", announce=True, accessories=["CAF-032"])
    yield restocked(novelty, start + 20 * DAY_MS)


class _Regular:
    """Somebody who has bought before."""

    def __init__(self, lots: random.Random, number: int, start: int) -> None:
        self._lots = lots
        self._start = start
        self._name = (lots.choice(FIRST_NAMES), lots.choice(LAST_NAMES))
        plain = "".join(self._name).lower().replace(" ", "").replace("'", "").replace("ò", "o")
        self._id = f"{plain}-r{number:02d}"
        self._visitor = f"visitor-{self._id}"
        """In whose browser they have signed in before."""
        self._count = 0

    def live(self) -> Iterator[SentCall]:
        """Yield everything, in order of time."""
        lots, start = self._lots, self._start
        orders, silent = lots.choice((1, 1, 2, 3, 4, 9)), lots.randint(20, 100)
        joined = start - (silent + orders * 35 + 3) * DAY_MS
        birthday = to_datetime(start) + timedelta(days=lots.randint(0, BIRTHDAYS_WITHIN))
        first, last = self._name
        traits = {"email": f"{self._id}@posta.example", "first_name": first, "last_name": last,
                  "city": lots.choice(CITIES), "locale": "it-IT", "zone": "Europe/Rome",
                  "birthday": f"{lots.randint(1950, 2002)}-{birthday:%m-%d}"}  # fmt: skip
        yield self._before("customer.created", joined, traits)
        yield self._before("customer.identified", joined, {}, visitor=self._visitor)
        subscribed = {"list": "newsletter", "confirmed": True, "source": "site footer"}
        yield self._before("list.subscribed", joined, subscribed)
        for number in range(orders, 0, -1):
            time = start - (silent + (number - 1) * 35) * DAY_MS - lots.randrange(DAY_MS)
            yield self._before("order.completed", time, self._order(f"{number}"))
        yield from self._goes_on()

    def _goes_on(self) -> Iterator[SentCall]:
        now = self._start + self._lots.randrange(2 * DAY_MS, 25 * DAY_MS, 1_000)
        draw = self._lots.random()
        if draw < 0.25:  # comes back and buys
            yield self._now("page.viewed", now, {"url": f"{SHOP_URL}/"})
            yield self._now("order.completed", now + HOUR_MS, self._order("0"))
        elif draw < 0.45:  # looks at the same thing again and again
            article = self._lots.choice(ARTICLES)
            for again in range(3):
                yield self._now("product.viewed", now + again * 5 * HOUR_MS, article.properties(1))
        elif draw < 0.55:
            wish = self._lots.choice([each for each in ARTICLES if each.sku in CHANGING])
            yield self._now("wishlist.added", self._start + 8 * DAY_MS, wish.properties(1))
        elif draw < 0.65:
            topic = self._lots.choice(("shipping", "returns", "product"))
            yield self._now("support.requested", now, {"topic": topic})
        elif draw < 0.72:
            yield self._now("call.logged", now, {"topic": "wedding list"})
            yield self._now("deal.stage_changed", now + 4 * DAY_MS, {"stage": "proposal"})
        elif draw < 0.78:
            answer = {"survey": "why-silent", "answer": self._lots.choice(("price", "time"))}
            yield self._now("survey.answered", now, answer)

    def _order(self, number: str) -> dict[str, Any]:
        articles: list[Article] = self._lots.sample(ARTICLES, self._lots.choice((1, 2, 2, 3, 6)))
        cents = sum(int(article.price.replace(".", "")) for article in articles)
        return {"order_id": f"{self._id.rpartition('-')[2]}-{number}", "currency": "EUR",
                "total": f"{cents // 100}.{cents % 100:02d}",
                "products": [article.properties(1) for article in articles]}  # fmt: skip

    def _before(
        self, type_: str, time: int, data: dict[str, Any], *, visitor: str = ""
    ) -> SentCall:
        self._count += 1
        body = call(type_, self._event_id, time, data, user=self._id, visitor=visitor)
        return SentCall(self._start, Sender.IMPORT, self._id, body)

    def _now(self, type_: str, time: int, data: dict[str, Any]) -> SentCall:
        self._count += 1
        if type_ in IN_PAGES:
            body = call(type_, self._event_id, time, data, visitor=self._visitor)
            return SentCall(time, Sender.PAGES, self._id, body)
        body = call(type_, self._event_id, time, data, user=self._id)
        return SentCall(time, Sender.SERVER, self._id, body)

    @property
    def _event_id(self) -> str:
        return f"{self._id}/{self._count}"
