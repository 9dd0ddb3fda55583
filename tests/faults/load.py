"""The load of a fault run: a seeded stream of events, some of them produced twice, a file of events
that is published twice, and a naive fold of the unique ones that shares no code with the actors."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from schemas.records import OutRecord

PRODUCTS = [
    (f"p{number}", f"Prodotto {number}", Decimal(500 + 37 * number) / 100) for number in range(40)
]
REPEATED = 0.03
"""Share of the events that their producer sends a second time, a few events later."""

FILED_CUSTOMERS = 3
"""Customers whom the file is about; the first was a visitor and is one in the file."""
FILED_EVENTS = 600
"""Events in it: some 200 of each, three times what release 0.1 remembered."""


@dataclass
class Expected:
    """What must be known of a customer in the end, whatever happened on the way."""

    orders: int = 0
    spent: Decimal = Decimal(0)
    views: int = 0
    marketing: bool = False


@dataclass
class Load:
    """Generates keyed records; `expected` grows with them."""

    seed: int
    customers: int
    expected: defaultdict[str, Expected] = field(default_factory=lambda: defaultdict(Expected))
    unique: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._again: list[OutRecord] = []

    def signups(self) -> list[OutRecord]:
        """Every customer tells an address; half of them subscribe, a third was a visitor before."""
        records = []
        for number in range(self.customers):
            customer = f"c{number}"
            if number % 3 == 0:
                records.append(self._view(f"v{number}", customer, PRODUCTS[0][0]))
                identity = {"anonymous_id": f"v{number}"}
                records.append(self._record(customer, "customer.identified", identity))
            traits = {"email": f"{customer}@example.com", "first_name": f"Nome{number}"}
            records.append(self._record(customer, "customer.updated", traits))
            if number % 2:
                self.expected[customer].marketing = True
                body = {"list": "newsletter", "confirmed": True}
                records.append(self._record(customer, "list.subscribed", body))
        return records

    def events(self, count: int) -> list[OutRecord]:
        """Return the next `count` unique events, with repetitions in between."""
        records = []
        for _ in range(count):
            record = self._one()
            records.append(record)
            if self._random.random() < REPEATED:
                self._again.append(record)
            if self._again and self._random.random() < REPEATED:
                records.append(self._again.pop(0))
        return records

    def file(self) -> str:
        """Return the events of a file, one a line, as `ritorno publish` takes them."""
        lines = []
        for number in range(FILED_EVENTS):
            who = number % FILED_CUSTOMERS
            product, _, price = self._random.choice(PRODUCTS)
            if self._random.random() < 0.9:
                record = self._view(f"v{who}" if who == 0 else f"c{who}", f"c{who}", product)
            else:
                record = self._order(f"c{who}", product, price)
            lines.append(json.dumps({
                "key": (record.key or b"").decode(),
                "headers": {name: value.decode() for name, value in record.headers},
                "value": json.loads(record.value or b"{}"),
            }))  # fmt: skip
        return "\n".join(lines) + "\n"

    def _one(self) -> OutRecord:
        number = self._random.randrange(self.customers)
        customer = f"c{number}"
        product, name, price = self._random.choice(PRODUCTS)
        item = {"product_id": product, "name": name, "price": str(price), "quantity": 1}
        kind = self._random.random()
        if kind < 0.80:
            # Some devices still send the visitor's id, so their events take the way by its actor.
            device = f"v{number}" if number % 3 == 0 and kind < 0.10 else customer
            return self._view(device, customer, product)
        if kind < 0.97:
            return self._record(customer, "cart.product_added", item)
        return self._order(customer, product, price)

    def _order(self, customer: str, product: str, price: Decimal) -> OutRecord:
        self.expected[customer].orders += 1
        self.expected[customer].spent += price
        item = {"product_id": product, "price": str(price), "quantity": 1}
        order = {"order_id": f"o{self.unique}", "total": str(price), "products": [item]}
        return self._record(customer, "order.completed", order | {"currency": "EUR"})

    def _view(self, key: str, customer: str, product: str) -> OutRecord:
        self.expected[customer].views += 1
        return self._record(key, "product.viewed", {"product_id": product})

    def _record(self, customer: str, type_: str, body: dict[str, object]) -> OutRecord:
        self.unique += 1
        headers = (
            ("ce_id", f"{self.seed}-{self.unique}".encode()),
            ("ce_source", b"/load"),
            ("ce_type", type_.encode()),
            ("ce_specversion", b"1.0"),
            ("content-type", b"application/json"),
        )
        return OutRecord(customer.encode(), json.dumps(body).encode(), headers)
