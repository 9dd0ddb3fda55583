"""What really happened to a made-up customer, event by event, in order of time; the same for the
same seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from schemas.instant import to_rfc3339

START = 1_772_445_600_000
"""2026-03-02T10:00:00Z."""
MINUTE = 60_000

IDENTITY, TRAITS, CONSENT, CART, ORDERS, LOOKING = KINDS = (
    "identity",
    "traits",
    "consent",
    "cart",
    "orders",
    "looking",
)
"""What an event is about."""

PRODUCTS = ("moka", "tazza", "maglia")
SIZES = ("S", "L")
TRAITS_SAID: dict[str, tuple[Any, ...]] = {
    "first_name": ("Rosa", "Rosanna", "R.", None),
    "city": ("Roma", "Lucca", ""),
    "phone": ("+39055123", "+39055124", None),
    "birthday": ("1990-06-15", "1991-06-15", ""),
    "locale": ("it", "en"),
    "email": ("rosa@example.com", "rosa.nuova@example.com"),
}


class Told(NamedTuple):
    """One event of a history."""

    time: int
    """When it happened, ms since the epoch."""
    kind: str
    """One of KINDS."""
    id: str
    who: str
    """The customer's id, or empty: it is about the visitor."""
    visitor: str
    """The visitor's id, or empty."""
    type: str
    data: dict[str, Any]

    def line(self) -> bytes:
        """Return it as a line of a file, in CloudEvents structured mode."""
        body: dict[str, Any] = {
            "specversion": "1.0", "id": self.id, "source": "/shop", "type": self.type,
            "time": to_rfc3339(self.time), "data": self.data,
        }  # fmt: skip
        if self.who:
            body["subject"] = self.who
        if self.visitor:
            body["anonymousid"] = self.visitor
        return json.dumps(body).encode()

    def __str__(self) -> str:
        when = (self.time - START) / MINUTE
        return f"{when:7.1f} {self.who or self.visitor:7} {self.type} {json.dumps(self.data)}"


class Life:
    """Somebody's history while it is made up."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.told: list[Told] = []
        self.now = START
        self.visitor = f"v{seed}"
        self.known = self.chance.random() < 0.3
        self.cart: dict[tuple[str, str], int] = {}
        self.carts = 0
        self.orders = 0

    def history(self, length: int = 24) -> list[Told]:
        """Return it: events with rising times, of which a few are the same."""
        if self.known:
            self._tell(TRAITS, "customer.created", {"email": "rosa@example.com"})
        while len(self.told) < length:
            deed = self.chance.choice(
                (self._look, self._put, self._put, self._take_out, self._check_out, self._buy,
                 self._say_yes_or_no, self._join_or_leave, self._describe, self._describe)
            )  # fmt: skip
            deed()
            if not self.known and len(self.told) > length // 3:
                self._become_known()
        return self.told

    def _tell(self, kind: str, type_: str, data: dict[str, Any]) -> None:
        if self.chance.random() < 0.93:
            self.now += self.chance.randint(1, 90 * MINUTE)
        number = len(self.told) + 1
        who = "rosa" if self.known else ""
        visitor = "" if self.known and type_ != "customer.identified" else self.visitor
        self.told.append(Told(self.now, kind, f"e{number}", who, visitor, type_, data))

    def _become_known(self) -> None:
        self.known = True
        self._tell(IDENTITY, "customer.identified", {"email": "rosa@example.com"})

    def _look(self) -> None:
        self._tell(LOOKING, "product.viewed", {"product_id": self.chance.choice(PRODUCTS)})

    def _line(self, product: str, size: str, quantity: int) -> dict[str, Any]:
        price = f"{5 + 3 * PRODUCTS.index(product) + SIZES.index(size)}.50"
        return {"product_id": product, "variant": size, "name": f"{product} {size}",
                "price": price, "quantity": quantity}  # fmt: skip

    def _named(self) -> dict[str, Any]:
        return {"cart_id": f"c{self.carts}"}

    def _put(self) -> None:
        each = self.chance.choice(PRODUCTS), self.chance.choice(SIZES)
        quantity = self.chance.randint(1, 3)
        self.cart[each] = self.cart.get(each, 0) + quantity
        self._tell(CART, "cart.product_added", self._line(*each, quantity) | self._named())

    def _take_out(self) -> None:
        if not self.cart:
            return
        each = self.chance.choice(sorted(self.cart))
        if self.chance.random() < 0.5 and self.cart[each] > 1:
            self.cart[each] -= 1
            said = self._line(*each, 1)
        else:
            del self.cart[each]
            said = {"product_id": each[0], "variant": each[1]}
        self._tell(CART, "cart.product_removed", said | self._named())
        if not self.cart:
            self.carts += 1

    def _lines(self) -> list[dict[str, Any]]:
        return [self._line(*each, quantity) for each, quantity in sorted(self.cart.items())]

    def _check_out(self) -> None:
        if not self.cart:
            return
        said: dict[str, Any] = self._named()
        if self.chance.random() < 0.5:
            said["products"] = self._lines()
        self._tell(CART, "checkout.started", said)

    def _buy(self) -> None:
        if not self.cart or not self.known:
            return
        self.orders += 1
        lines, id_ = self._lines(), f"o{self.orders}"
        order = {"order_id": id_, "total": _total(lines), "products": lines} | self._named()
        self._tell(ORDERS, "order.completed", order)
        if self.chance.random() < 0.1:  # it comes another way too, under another id
            told = self.told[-1]
            self.told.append(told._replace(id=f"{told.id}-again"))
        self.cart = {}
        self.carts += 1
        for step in self._afterwards(id_, lines):
            if self.chance.random() < 0.4:
                self.chance.choice((self._look, self._put, self._describe))()
            self._tell(ORDERS, *step)

    def _afterwards(
        self, id_: str, lines: list[dict[str, Any]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what becomes of an order."""
        chance = self.chance
        if chance.random() < 0.3:
            lines = lines[:-1] or [{**lines[0], "quantity": 1}]
            yield "order.updated", {"order_id": id_, "total": _total(lines), "products": lines}
        if chance.random() < 0.1:
            yield "order.updated", {"order_id": id_, "status": "cancelled"}
            return
        if chance.random() < 0.5:
            parcel = {"order_id": id_, "tracking_number": f"T-{id_}"}
            yield chance.choice(("order.shipped", "order.updated")), parcel
        if chance.random() < 0.5:
            yield "order.delivered", {"order_id": id_}
        if chance.random() < 0.2:
            yield "order.cancelled", {"order_id": id_}
        elif chance.random() < 0.4:
            yield from self._refunds(id_, lines)
        if chance.random() < 0.3:
            review = {"product_id": lines[0]["product_id"], "order_id": id_, "rating": 4}
            yield "product.reviewed", review

    def _refunds(
        self, id_: str, lines: list[dict[str, Any]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        how = self.chance.choice(("whole", "by sums", "by lines"))
        if how == "whole":
            yield "order.refunded", {"order_id": id_}
        elif how == "by sums":
            for number in range(self.chance.randint(1, 2)):
                said = {"order_id": id_, "total": f"{number + 1}.00"}
                said |= {"refund_id": f"{id_}-{number}"} if number else {}
                yield "order.refunded", said
                if number:
                    yield "order.refunded", said
        else:
            yield "order.refunded", {"order_id": id_, "products": lines[:1]}

    def _say_yes_or_no(self) -> None:
        type_ = self.chance.choice(("consent.given", "consent.withdrawn"))
        purpose = self.chance.choice(("marketing", "profiling"))
        self._tell(CONSENT, type_, {"purpose": purpose})

    def _join_or_leave(self) -> None:
        type_ = self.chance.choice(("list.subscribed", "list.subscribed", "list.unsubscribed"))
        said = {"list": self.chance.choice(("newsletter", "saldi"))}
        if type_ == "list.subscribed" and self.chance.random() < 0.3:
            said["confirmed"] = True  # type: ignore[assignment]  # JSON
        self._tell(CONSENT, type_, said)

    def _describe(self) -> None:
        if not self.known:
            return
        names = self.chance.sample(sorted(TRAITS_SAID), self.chance.randint(1, 2))
        said = {name: self.chance.choice(TRAITS_SAID[name]) for name in names}
        self._tell(TRAITS, "customer.updated", said)


def _total(lines: list[dict[str, Any]]) -> str:
    return f"{sum(float(each['price']) * each['quantity'] for each in lines):.2f}"
