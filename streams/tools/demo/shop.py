"""The demo's shop: a seeded simulation of what happens there in some weeks. Pure; the same seed
gives the same events.

Each person lives through one or more visits, told in the order in which they happen to that person.
Most is sent at once; a little comes late (a phone that was offline), twice (a retry of the site),
or broken (a mistake in a plug-in).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from schemas.instant import MILLISECOND, UNIX_EPOCH
from schemas.time_units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from streams.tools.demo.calls import IN_PAGES, Sender, SentCall, call
from streams.tools.demo.catalogue import (
    ARTICLES,
    CITIES,
    FIRST_NAMES,
    FOREIGN_NAMES,
    LAST_NAMES,
    SHOP_URL,
    Article,
)
from streams.tools.demo.driver_events import DriverEvent
from streams.tools.demo.regulars import feed, regulars

START = 1_772_406_000_000
"""2026-03-02, midnight in Rome: a Monday, with the change to summer time four weeks later."""

ZONE = ZoneInfo("Europe/Rome")

PEOPLE_A_DAY = 12
"""New visitors of a small shop; with their later visits some 90 events a day."""

BUSY_HOURS = (9, 10, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 20, 21, 21, 21, 22, 22, 23)
"""Hours of the day at which somebody comes, the frequent ones more often."""

OUTAGES = ((START + 8 * DAY_MS + 14 * HOUR_MS, START + 8 * DAY_MS + 22 * HOUR_MS),)
"""When the relay is away: a Tuesday, from 14 to 22 h."""

GONE_DOMAIN = "indirizzo-chiuso.example"
"""Addresses there don't exist any more; the sink refuses them for good."""
FULL_DOMAIN = "casella-piena.example"
"""Mailboxes there are full at the first attempt."""
DOMAINS = ("posta.example", "posta.example", "mail.example", "libero.example", "corriere.example")


def scenario(seed: int, days: int) -> list[DriverEvent | SentCall]:
    """Return all that is sent, in order of time, from START over `days` days."""
    lots = random.Random(seed)
    told: list[DriverEvent | SentCall] = [*feed(START), *regulars(lots, START)]
    for day in range(days):
        for place in range(lots.randint(PEOPLE_A_DAY - 3, PEOPLE_A_DAY + 3)):
            told += _Person(lots, f"{day:02d}{place:02d}", START + day * DAY_MS).live()
    end = START + days * DAY_MS
    told = [happened for happened in told if happened.time < end]
    told += _broken_calls(lots, days)
    return sorted(told, key=lambda happened: happened.time)


class _Person:
    """Somebody who comes to the shop, and what they do there."""

    def __init__(self, lots: random.Random, number: str, day: int) -> None:
        self._lots = lots
        self._told: list[SentCall] = []
        self._now = _moment(lots, day)
        self._foreign = lots.random() < 0.04
        self._first, self._last = (
            lots.choice(FOREIGN_NAMES)
            if self._foreign
            else (lots.choice(FIRST_NAMES), lots.choice(LAST_NAMES))
        )
        name = f"{self._first}.{self._last}".lower().replace(" ", "").replace("'", "")
        self._id = f"{name.replace('ò', 'o')}-{number}"
        self._visitor = f"visitor-{number}"
        self._known = False
        domain = lots.choice(DOMAINS)
        if lots.random() < 0.05:
            domain = lots.choice((GONE_DOMAIN, FULL_DOMAIN))
        self._email = f"{self._id}@{domain}"
        self._count = 0
        self._orders = 0

    def live(self) -> list[SentCall]:
        """Return everything this person does."""
        lives: tuple[tuple[int, Callable[[], None]], ...] = (
            (26, self._only_looks),
            (24, self._joins_newsletter),
            (28, self._leaves_a_cart),
            (22, self._buys),
        )
        weights, choices = zip(*lives, strict=True)
        self._lots.choices(choices, weights)[0]()
        if self._known and self._lots.random() < 0.25:
            self._comes_back()
        return self._told

    # Lives.

    def _only_looks(self) -> None:
        for _ in range(self._lots.randint(1, 2)):
            self._looks_around(self._lots.randint(1, 5))
            self._wait(1 * DAY_MS, 6 * DAY_MS)

    def _joins_newsletter(self) -> None:
        self._looks_around(self._lots.randint(1, 3))
        self._identifies()
        self._subscribes()
        draw = self._lots.random()
        if draw < 0.35:
            self._wait(6 * HOUR_MS, 8 * DAY_MS)
            self._looks_around(2)
            self._orders_something()
        elif draw < 0.45:
            self._wait(2 * DAY_MS, 6 * DAY_MS)
            self._happens("list.unsubscribed", {"list": "newsletter", "source": "link in a mail"})
        elif draw < 0.47:
            self._wait(1 * DAY_MS, 4 * DAY_MS)
            self._happens("customer.erasure_requested", {"message": "via modulo privacy"})

    def _leaves_a_cart(self) -> None:
        self._looks_around(self._lots.randint(1, 4))
        self._identifies()
        if self._lots.random() < 0.75:
            self._consents()
        cart = self._fills_cart()
        draw = self._lots.random()
        if draw < 0.15:  # back before anybody could remind
            self._wait(10 * MINUTE_MS, 50 * MINUTE_MS)
            self._checks_out(cart)
        elif draw < 0.40:  # after the first reminder
            self._wait(70 * MINUTE_MS, 6 * HOUR_MS)
            self._checks_out(cart)
        elif draw < 0.55:  # after the second
            self._wait(25 * HOUR_MS, 40 * HOUR_MS)
            self._checks_out(cart)
        elif draw < 0.70:  # changes the cart again, then forgets it
            self._wait(30 * MINUTE_MS, 20 * HOUR_MS)
            self._adds(self._lots.choice(ARTICLES), 1)
        elif draw < 0.78:  # thinks better of it
            self._wait(30 * MINUTE_MS, 30 * HOUR_MS)
            for article, quantity in cart:
                self._happens("cart.product_removed", article.properties(quantity))
                self._wait(SECOND_MS, 20 * SECOND_MS)

    def _buys(self) -> None:
        self._looks_around(self._lots.randint(1, 4))
        self._identifies()
        if self._lots.random() < 0.6:
            self._consents()
        self._orders_something()

    def _comes_back(self) -> None:
        self._wait(3 * DAY_MS, 12 * DAY_MS)
        self._looks_around(self._lots.randint(1, 4))
        if self._lots.random() < 0.5:
            cart = self._fills_cart()
            if self._lots.random() < 0.5:
                self._checks_out(cart)

    # What they are made of.

    def _looks_around(self, count: int) -> None:
        self._happens("page.viewed", {"url": f"{SHOP_URL}/", "title": "Bottega del Colle"})
        for _ in range(count):
            self._wait(10 * SECOND_MS, 3 * MINUTE_MS)
            chance = self._lots.random()
            article = self._lots.choice(ARTICLES)
            if chance < 0.1:
                self._happens("products.searched", {"query": article.name.split()[0].lower()})
            elif chance < 0.25:
                self._happens("product_list.viewed", {"category": article.category})
            elif chance < 0.3:
                self._happens("wishlist.added", article.properties(1))
            else:
                self._happens("product.viewed", article.properties(1))

    def _identifies(self) -> None:
        if self._known:
            return
        self._wait(20 * SECOND_MS, 2 * MINUTE_MS)
        self._known = True
        self._happens(
            "customer.identified",
            {
                "email": self._email,
                "first_name": self._first,
                "last_name": self._last,
                "city": self._lots.choice(CITIES),
                "locale": "en-GB" if self._foreign else "it-IT",
                "birthday": f"1985-{self._lots.randint(3, 12):02d}-{self._lots.randint(1, 28):02d}",
                "zone": "Europe/London" if self._foreign else "Europe/Rome",
            },
        )

    def _subscribes(self) -> None:
        self._wait(10 * SECOND_MS, MINUTE_MS)
        confirmed = self._lots.random() < 0.85
        data = {"list": "newsletter", "source": "site footer", "confirmed": confirmed,
                "email": self._email, "first_name": self._first}  # fmt: skip
        self._happens("list.subscribed", data)

    def _consents(self) -> None:
        self._wait(5 * SECOND_MS, 30 * SECOND_MS)
        self._happens("consent.given", {"purpose": "marketing", "source": "checkout"})

    def _fills_cart(self) -> list[tuple[Article, int]]:
        cart = []
        for article in self._lots.sample(ARTICLES, self._lots.choice((1, 1, 2, 2, 3))):
            quantity = self._lots.choice((1, 1, 1, 2))
            self._adds(article, quantity)
            cart.append((article, quantity))
        return cart

    def _adds(self, article: Article, quantity: int) -> None:
        self._wait(20 * SECOND_MS, 4 * MINUTE_MS)
        basket = {"cart_id": f"cart-{self._id}", "cart_url": f"{SHOP_URL}/carrello"}
        self._happens("cart.product_added", {**article.properties(quantity), **basket})

    def _orders_something(self) -> None:
        cart = self._fills_cart()
        self._wait(MINUTE_MS, 6 * MINUTE_MS)
        self._checks_out(cart)

    def _checks_out(self, cart: list[tuple[Article, int]]) -> None:
        products = [article.properties(quantity) for article, quantity in cart]
        cents = sum(int(a.price.replace(".", "")) * quantity for a, quantity in cart)
        shipping = 0 if cents >= 5_900 else 490
        self._orders += 1
        order_id = f"{self._id.rsplit('-', 1)[1]}-{self._orders}"
        self._happens("checkout.started", {"checkout_id": order_id, "products": products})
        self._wait(MINUTE_MS, 5 * MINUTE_MS)
        self._happens(
            "order.completed",
            {
                "order_id": order_id,
                "subtotal": _euro(cents),
                "shipping": _euro(shipping),
                "total": _euro(cents + shipping),
                "currency": "EUR",
                "products": products,
            },
        )
        self._follows_up(order_id, cart)

    def _follows_up(self, order_id: str, cart: list[tuple[Article, int]]) -> None:
        ordered = self._now
        if self._lots.random() < 0.04:
            self._wait(2 * HOUR_MS, 20 * HOUR_MS)
            self._happens("order.cancelled", {"order_id": order_id, "reason": "ripensamento"})
            return
        self._wait(14 * HOUR_MS, 2 * DAY_MS)
        tracking = {
            "order_id": order_id,
            "tracking_number": f"IT{self._lots.randrange(10**9):09d}",
            "tracking_url": f"{SHOP_URL}/spedizioni/{order_id}",
        }
        self._happens("order.shipped", tracking)
        self._wait(20 * HOUR_MS, 3 * DAY_MS)
        self._happens("order.delivered", tracking)
        draw = self._lots.random()
        if draw < 0.2:
            self._wait(1 * DAY_MS, 8 * DAY_MS)
            review = {"product_id": cart[0][0].sku, "order_id": order_id,
                      "rating": self._lots.choice((3, 4, 5, 5))}  # fmt: skip
            self._happens("product.reviewed", review)
        elif draw < 0.26:
            self._wait(2 * DAY_MS, 7 * DAY_MS)
            self._happens("order.refunded", {"order_id": order_id, "reason": "reso"})
        self._now = max(ordered, self._now - 6 * DAY_MS)  # life goes on while the parcel travels

    # Events.

    def _wait(self, least: int, most: int) -> None:
        self._now += self._lots.randrange(least, most, SECOND_MS)

    def _happens(self, type_: str, data: dict[str, Any]) -> None:
        """A page tells what its visitor does there. Who that is, the server says once, and then
        speaks of the customer."""
        self._count += 1
        is_seen = type_ in IN_PAGES
        names_visitor = is_seen or type_ == "customer.identified" or not self._known
        body = call(
            type_,
            f"{self._id}/{self._count}",
            self._now,
            data,
            user="" if is_seen or not self._known else self._id,
            visitor=self._visitor if names_visitor else "",
        )
        sender = Sender.PAGES if is_seen else Sender.SERVER
        sent = SentCall(self._now, sender, self._visitor, body)
        chance = self._lots.random()
        if chance < 0.01:
            delay = self._lots.randrange(HOUR_MS, 9 * HOUR_MS, SECOND_MS)
            self._told.append(sent._replace(time=self._now + delay))
            return
        self._told.append(sent)
        if chance > 0.99:  # the site didn't get its answer and sends it again
            self._told.append(sent._replace(time=self._now + 2 * MINUTE_MS))


def _broken_calls(lots: random.Random, days: int) -> list[SentCall]:
    """What no reader can understand, as plug-ins do send it."""
    told = {"specversion": "1.0", "source": f"{SHOP_URL}/", "subject": "visitor-broken"}
    wrong = (
        b'{"event": "Product Viewed", ',
        {**told, "id": "1", "type": "cart.exploded", "data": {}},
        {**told, "id": "2", "type": "product.viewed",
         "data": {"name": "Olio nuovo", "price": "16.90"}},
    )  # fmt: skip
    return [
        SentCall(
            _moment(lots, START + lots.randrange(days) * DAY_MS), Sender.PLUGIN, "plug-in", body
        )
        for body in wrong
    ]


def _moment(lots: random.Random, day: int) -> int:
    """Return a moment of a day (given by its midnight) at which people are awake, in Rome."""
    clock = lots.choice(BUSY_HOURS) * HOUR_MS + lots.randrange(0, HOUR_MS, SECOND_MS)
    offset = (UNIX_EPOCH + (day + clock) * MILLISECOND).astimezone(ZONE).utcoffset()
    first = (UNIX_EPOCH + START * MILLISECOND).astimezone(ZONE).utcoffset()
    assert offset is not None
    assert first is not None
    return day + clock - (offset - first) // MILLISECOND


def _euro(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
