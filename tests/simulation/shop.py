"""A random shop: what its customers do, in the order in which it reaches the log.

Three customers are plain: nothing happens to them that a dozen lines of arithmetic can't follow
(`tests/simulation/naive.py`). The others are merged, erased, cancelled and unsubscribed at random,
and have addresses, carts and checkouts in common.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from schemas.instant import to_rfc3339
from schemas.products import Product
from schemas.records import OutRecord, Record

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_774_000_000_000
"""2026-03-20: the weeks that follow hold the change to summer time."""

PLAIN = ("anna", "bruno", "carla")
KNOWN = ("dario", "elena", "fabio")
VISITORS = ("v-1", "v-2", "v-3")
CLAIMED = "gina"
"""Known customers claim her id as a visitor's, and somebody speaks as the visitor of that id."""
FORGED = "forged@example.com"
ADDRESSES = ("family@example.com", "office@example.com")
CARTS = ("c-1", "c-2", "c-3")
CHECKOUTS = ("k-1", "k-2")
"""What customers and visitors have in common who aren't plain."""
PRODUCTS = ("moka", "tazza", "piatto", "grembiule")

BURST = 80
FAILING = "fails-by-a-defect"

MARGIN = 15 * MINUTE
"""All events happened at least so long before they are appended, so that no skew of the log's clock
makes one come from the future, which would be cut off."""


@dataclass(frozen=True)
class ShopEvent:
    """One event as it was generated."""

    key: str
    type: str
    id: str
    time: int
    data: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    source: str = "/shop"

    def record(self) -> OutRecord:
        """Return it in binary mode."""
        headers = {"ce_id": self.id, "ce_source": self.source, "ce_type": self.type,
                   "ce_time": to_rfc3339(self.time), **self.headers}  # fmt: skip
        return OutRecord(
            self.key.encode(),
            json.dumps(self.data).encode(),
            tuple((name, value.encode()) for name, value in headers.items()),
        )


UNREADABLE = (
    OutRecord(b"anna", b"{", (("ce_id", b"u1"), ("ce_type", b"page.viewed"))),
    OutRecord(b"bruno", b"{}", (("ce_id", b"u2"), ("ce_type", b"order.completed"))),
    OutRecord(b"\xff", b"{}", (("ce_id", b"u3"), ("ce_type", b"page.viewed"))),
    OutRecord(b"carla", b"no object", ()),
    OutRecord(b"carla", None, ()),
    OutRecord(None, b'{"live":{"w06-abandoned-cart-a":"forged"}}',
              (("ce_type", b"ritorno.workflows"),)),
    OutRecord(None, b'{"live":{}}', (("ce_type", b"ritorno.workflows"),)),
    OutRecord(b"bruno", b'{"customer_id":"anna"}',
              (("ce_id", b"u4"), ("ce_type", b"visitor.linked"))),
    OutRecord(b"anna", b'{"command_id":"c","message_id":"<m>"}',
              (("ce_id", b"u5"), ("ce_type", b"mail.sent"))),
    OutRecord(b"anna", b'{"text": "' + b"x" * 1_000_000 + b'"}',
              (("ce_id", b"u6"), ("ce_type", b"support.requested"))),
)  # fmt: skip


class Shop:
    """Makes up events."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._number = 0
        self._orders: list[tuple[str, str]] = []
        self.all: list[ShopEvent] = []
        self.unreadable: set[str] = set()
        """Customers of whom a release that was at work could not read what was kept."""
        self.forgets = False
        """Whether a partition was lost, and with it what happened there."""

    def event(self, now: int) -> ShopEvent:
        """Return something that happened, or something that was said before."""
        recent = self.all[-20:]
        for place, happening in enumerate(recent):
            if happening.type == "customer.erasure_requested":
                recent = self.all[-20:][place + 1 :]  # what is forgotten would be new again
        if recent and self._chance.random() < 0.12:
            self.all.append(self._chance.choice(recent))
            return self.all[-1]
        keys = PLAIN * 2 + KNOWN * 2 + VISITORS + (CLAIMED,)
        happening = self._make(self._chance.choice(keys), self._time(now))
        self.all.append(happening)
        return happening

    def feed(self) -> list[Product]:
        """Return a feed with other prices, and what is sold out."""
        return [
            Product(sku=each, name=each, price=Decimal(self._chance.choice([8, 9, 10])),
                    stock=self._chance.choice([0, 5, 5]))
            for each in self._chance.sample(PRODUCTS, self._chance.randint(1, 3))
        ]  # fmt: skip

    def _time(self, now: int) -> int:
        late = self._chance.choice([0, 0, 0, 0, 3, 70, 300, 1_500]) * MINUTE
        return now - MARGIN - late - self._chance.randrange(MINUTE)

    def _make(self, key: str, time: int) -> ShopEvent:
        if self._number and key != CLAIMED and self._chance.random() < 0.05:
            # Another system of the shop counts its own events, and has seen something else.
            number = self._chance.randint(1, self._number)
            seen = {"product_id": self._product()}
            source = f"/till/{len(self.all)}"
            return ShopEvent(key, "product.viewed", f"e{number}", time, seen, {}, source)
        kinds = [self._view, self._add, self._add, self._add, self._remove, self._order,
                 self._order_again, self._progress, self._refund, self._profile, self._consent,
                 self._subscribe]  # fmt: skip
        if key not in PLAIN:
            kinds += [self._identify, self._identify, self._unsubscribe, self._cancel,
                      self._checkout, self._review, self._complain, self._history,
                      self._ask]  # fmt: skip
            if self._chance.random() < 0.03 and key in KNOWN:
                kinds = [self._erase]
        if key == CLAIMED:
            kinds = [self._order, self._look_named, self._profile, self._forge, self._forge,
                     self._claim, self._claim]  # fmt: skip
        kind, data, *headers = self._chance.choice(kinds)(key)
        self._number += 1
        if kind == "customer.identified" and key == CLAIMED:
            key = self._chance.choice(KNOWN)
        if key in VISITORS and self._chance.random() < 0.5:
            headers = [{**(headers[0] if headers else {}), "ce_anonymousid": key}]
        return ShopEvent(key, kind, f"e{self._number}", time, data, *headers)

    def burst(self, now: int) -> list[ShopEvent]:
        """Return more of one customer at once than any window once held."""
        key, time = self._chance.choice(PLAIN + KNOWN), self._time(now)
        happenings = []
        for _ in range(BURST):
            self._number += 1
            data = {"product_id": self._product()}
            happenings.append(ShopEvent(key, "product.viewed", f"e{self._number}", time, data))
        self.all += happenings
        return happenings

    def rethought(self, key: str, now: int) -> list[ShopEvent]:
        """Return what a customer puts into the cart, takes out and puts in again, in this order."""
        time, item = self._time(now), {"product_id": self._product()}
        happenings = []
        for kind in ("added", "removed", "added"):
            self._number += 1
            data = item | ({"quantity": self._number, "price": "9.90"} if kind == "added" else {})
            id_, type_ = f"e{self._number}", f"cart.product_{kind}"
            happenings.append(ShopEvent(key, type_, id_, time, data))
        self.all += happenings
        return happenings

    @property
    def by_id(self) -> dict[tuple[str, str], ShopEvent]:
        """What has happened, by source and id."""
        return {(each.source, each.id): each for each in self.all}

    def told_again(self, happenings: Iterable[ShopEvent]) -> None:
        """Take note of events that are told once more."""
        self.all += happenings

    def fails(self, record: Record) -> bool:
        """Whether it is an event at which the actors have a defect."""
        return FAILING.encode() in (record.value or b"")

    def _ask(self, key: str) -> tuple[Any, ...]:
        text = self._chance.choice([FAILING, "where is it?"])
        return "support.requested", {"order_id": text}

    def _view(self, key: str) -> tuple[Any, ...]:
        headers = {}
        if key in KNOWN and self._chance.random() < 0.3:
            headers["ce_anonymousid"] = self._chance.choice(VISITORS)
        return "product.viewed", {"product_id": self._product()}, headers

    def _look_named(self, key: str) -> tuple[Any, ...]:
        return "product.viewed", {"product_id": self._product()}, {"ce_subject": key}

    def _claim(self, _key: str) -> tuple[Any, ...]:
        return "customer.identified", {"anonymous_id": CLAIMED}

    def _forge(self, key: str) -> tuple[Any, ...]:
        """What a visitor of that id says."""
        kind, data = self._chance.choice([
            ("order.completed", self._order_data(f"o{self._number}")),
            ("customer.updated", {"email": FORGED}),
            ("customer.identified", {"customer_id": self._chance.choice(KNOWN)}),
            ("consent.withdrawn", {"purpose": "marketing"}),
        ])  # fmt: skip
        return kind, data, {"ce_anonymousid": key}

    def _add(self, key: str) -> tuple[Any, ...]:
        return "cart.product_added", {
            "product_id": self._product(), "quantity": self._chance.randint(1, 3), "price": "9.90",
            **self._cart(key),
        }  # fmt: skip

    def _remove(self, key: str) -> tuple[Any, ...]:
        return "cart.product_removed", {"product_id": self._product(), **self._cart(key)}

    def _checkout(self, key: str) -> tuple[Any, ...]:
        lines = [{"product_id": self._product(), "price": "5"}]
        said = {"email": self._address(key), "products": lines}
        return "checkout.started", said | self._cart(key) | self._checkout_id(key)

    def _order(self, key: str) -> tuple[Any, ...]:
        order_id = f"o{self._number}"
        self._orders.append((key, order_id))
        concerned = self._cart(key) | self._checkout_id(key)
        if key in KNOWN + VISITORS and self._chance.random() < 0.3:
            concerned["email"] = self._address(key)
        return "order.completed", self._order_data(order_id) | concerned

    def _order_again(self, key: str) -> tuple[Any, ...]:
        if key in VISITORS:
            return self._order(
                key
            )  # once more from a device that is another's now: it counts there
        return "order.completed", self._order_data(self._own_order(key))

    def _order_data(self, order_id: str) -> dict[str, Any]:
        products = [{"product_id": p, "price": "9.90"} for p in PRODUCTS[: 1 + len(order_id) % 3]]
        return {"order_id": order_id, "total": f"{len(order_id)}.50", "products": products}

    def _progress(self, key: str) -> tuple[Any, ...]:
        kind = self._chance.choice(["order.shipped", "order.delivered"])
        return kind, {"order_id": self._own_order(key)}

    def _refund(self, key: str) -> tuple[Any, ...]:
        return "order.refunded", {
            "order_id": self._own_order(key), "refund_id": f"r{self._number}", "total": "1.25"
        }  # fmt: skip

    def _cancel(self, key: str) -> tuple[Any, ...]:
        return "order.cancelled", {"order_id": self._own_order(key)}

    def _own_order(self, key: str) -> str:
        """One of the customer's, which may still be on its way."""
        mine = [order_id for owner, order_id in self._orders[-20:] if owner == key]
        if mine:
            return self._chance.choice(mine)
        order_id = f"o{self._number}"
        self._orders.append((key, order_id))
        return order_id

    def _review(self, key: str) -> tuple[Any, ...]:
        return "product.reviewed", {"product_id": self._product()}

    def _profile(self, key: str) -> tuple[Any, ...]:
        return "customer.updated", {"email": self._address(key), "first_name": key.title()}

    def _consent(self, key: str) -> tuple[Any, ...]:
        kind = self._chance.choice(["consent.given"] * 3 + ["consent.withdrawn"])
        return kind, {"purpose": "marketing", "source": "form"}

    def _subscribe(self, key: str) -> tuple[Any, ...]:
        return "list.subscribed", {
            "list": self._chance.choice(["news", "sales"]), "confirmed": True,
            "email": self._address(key),
        }  # fmt: skip

    def _unsubscribe(self, key: str) -> tuple[Any, ...]:
        return "list.unsubscribed", {"list": self._chance.choice(["news", "sales"])}

    def _complain(self, key: str) -> tuple[Any, ...]:
        return "mail.complained", {}  # of another mailer's mail

    def _identify(self, key: str) -> tuple[Any, ...]:
        if key in VISITORS:
            return "customer.identified", {"customer_id": self._chance.choice(KNOWN)}
        return "customer.identified", {"anonymous_id": self._chance.choice(VISITORS)}

    def _history(self, key: str) -> tuple[Any, ...]:
        return "cart.product_added", {"product_id": self._product()}, {"ce_backfill": "true"}

    def _erase(self, key: str) -> tuple[Any, ...]:
        self._orders.clear()  # once more, they would be new: whose they were is forgotten
        return "customer.erasure_requested", {}

    def _address(self, key: str) -> str:
        """Return the customer's own address, or one that others have, too."""
        shared = ADDRESSES if key in KNOWN + VISITORS else ()
        return self._chance.choice((f"{key}@example.com", *shared))

    def _cart(self, key: str) -> dict[str, str]:
        """Return what names a cart that others see, too; of who is plain nothing does."""
        named = key in KNOWN + VISITORS and self._chance.random() < 0.5
        return {"cart_id": self._chance.choice(CARTS)} if named else {}

    def _checkout_id(self, key: str) -> dict[str, str]:
        named = key in KNOWN + VISITORS and self._chance.random() < 0.5
        return {"checkout_id": self._chance.choice(CHECKOUTS)} if named else {}

    def _product(self) -> str:
        return self._chance.choice(PRODUCTS)


def name_of(record: Record) -> tuple[str, str]:
    """Return source and id of an event."""
    source, id_ = record.header("ce_source") or b"", record.header("ce_id") or b""
    return source.decode(), id_.decode()
