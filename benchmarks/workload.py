"""A seeded shop: what its customers do, as records of `customer-events`.

Customers are drawn evenly, which is the hard case for a worker: hardly any two events of a batch
change the same customer, so hardly any two share a kept record.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

from schemas.instant import to_rfc3339
from schemas.records import OutRecord
from streams.log import Log
from streams.partitioner import partition_of
from streams.topology import CUSTOMER_EVENTS

CUSTOMERS = 5_000
SPREAD_MS = 600_000
"""The events happened within the ten minutes before `now`: none is late, no timer is due."""

NOON = 1_772_449_200_000
"""2026-03-02T11:00:00Z, noon in Rome: a replay's figures must not depend on the hour at which it is
measured, and at night marketing mails are held."""

CHUNK = 20_000
"""Events generated and appended together."""

_CATEGORIES = ("calzature", "borse", "camicie", "maglieria", "accessori")
_PRODUCTS = [
    {
        "product_id": f"SKU-{number:04}",
        "name": f"Prodotto d'autunno numero {number}",
        "category": _CATEGORIES[number % len(_CATEGORIES)],
        "brand": f"Marca {number % 17}",
        "price": f"{9 + number % 140}.90",
        "currency": "EUR",
        "url": f"https://shop.example/prodotti/{number:04}",
    }
    for number in range(400)
]


class Workload:
    """Generates events: 60 % product and 25 % page views, 12 % cart changes, 3 % orders."""

    def __init__(self, *, seed: int, now: int, customers: int = CUSTOMERS, first: int = 0) -> None:
        """`now`: ms since the epoch, when the last events happened; `first`: lowest customer."""
        self._random = random.Random(seed)
        self._prefix = f"bench-{seed}"
        self._began = now - SPREAD_MS
        self._customers = range(first, first + customers)
        self._carts: defaultdict[int, list[int]] = defaultdict(list)
        self._number = 0

    def signups(self) -> Iterator[OutRecord]:
        """Yield two events for each customer: an address, and a confirmed subscription."""
        for customer in self._customers:
            yield self._address(customer)
            yield self._record(customer, "list.subscribed", {"confirmed": True})

    def addresses(self) -> Iterator[OutRecord]:
        """Yield one event for each customer: an address."""
        return map(self._address, self._customers)

    def views(self) -> Iterator[OutRecord]:
        """Yield one event for each customer: a product that is looked at."""
        for customer in self._customers:
            product = self._random.choice(_PRODUCTS)
            yield self._record(customer, "product.viewed", product)

    def order(self, customer: int) -> OutRecord:
        """Return an order of what the customer has in the cart."""
        return self._order(customer, self._random.randrange(len(_PRODUCTS)))

    def events(self, count: int) -> Iterator[OutRecord]:
        """Yield the next `count` events."""
        for _ in range(count):
            yield self._event(self._random.choice(self._customers))

    def round(self, count: int) -> Iterator[OutRecord]:
        """Yield the next `count` events, each of the next customer."""
        for _ in range(count):
            yield self._event(self._customers[self._number % len(self._customers)])

    def _address(self, customer: int) -> OutRecord:
        traits = {"email": f"c{customer}@example.com", "first_name": f"Nome{customer}"}
        return self._record(customer, "customer.updated", traits)

    def _event(self, customer: int) -> OutRecord:
        kind = self._random.random()
        product = self._random.randrange(len(_PRODUCTS))
        if kind < 0.60:
            return self._record(customer, "product.viewed", _PRODUCTS[product])
        if kind < 0.85:
            page = {
                "url": f"https://shop.example/collezioni/{product}?ref=newsletter",
                "path": f"/collezioni/{product}",
                "title": f"Collezione numero {product} | Il negozio",
                "referrer": "https://search.example/",
            }
            return self._record(customer, "page.viewed", page)
        if kind < 0.97:
            return self._cart_change(customer, product, remove=kind > 0.94)
        return self._order(customer, product)

    def _cart_change(self, customer: int, product: int, *, remove: bool) -> OutRecord:
        cart = self._carts[customer]
        if remove and cart:
            line = {"product_id": _PRODUCTS[cart.pop()]["product_id"]}
            return self._record(customer, "cart.product_removed", line)
        cart.append(product)
        return self._record(customer, "cart.product_added", {**_PRODUCTS[product], "quantity": 1})

    def _order(self, customer: int, product: int) -> OutRecord:
        lines = [_PRODUCTS[each] for each in self._carts.pop(customer, [])[-3:] or [product]]
        total = sum(float(line["price"]) for line in lines)
        order = {
            "order_id": f"{self._prefix}-{self._number}",
            "total": f"{total:.2f}",
            "currency": "EUR",
            "products": [{**line, "quantity": 1} for line in lines],
        }
        return self._record(customer, "order.completed", order)

    def _record(self, customer: int, type_: str, body: object) -> OutRecord:
        self._number += 1
        # All in order, and never beyond `now`, however many there are.
        time = self._began + min(self._number, SPREAD_MS)
        headers = (
            ("ce_id", f"{self._prefix}-{self._number}".encode()),
            ("ce_source", b"/shop"),
            ("ce_type", type_.encode()),
            ("ce_specversion", b"1.0"),
            ("ce_time", to_rfc3339(time).encode()),
            ("content-type", b"application/json"),
        )
        value = json.dumps(body, separators=(",", ":")).encode()
        return OutRecord(f"c{customer:06}".encode(), value, headers)


def as_line(record: OutRecord) -> bytes:
    """Return a record as a line of NDJSON (CloudEvents structured)."""
    headers = {name: value.decode() for name, value in record.headers}
    event = {
        "specversion": headers["ce_specversion"],
        "id": headers["ce_id"],
        "source": headers["ce_source"],
        "type": headers["ce_type"],
        "time": headers["ce_time"],
        "subject": (record.key or b"").decode(),
        "data": json.loads(record.value or b"{}"),
    }
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


async def fill(log: Log, records: Iterator[OutRecord], topic: str = CUSTOMER_EVENTS) -> int:
    """Append `records` to their partitions of `topic` and return how many there were."""
    partitions, count = await log.partitions(topic), 0
    while chunk := list(islice(records, CHUNK)):
        count += len(chunk)
        for partition, portion in _by_partition(chunk, partitions).items():
            await log.append(topic, partition, portion)
    return count


def _by_partition(records: Sequence[OutRecord], partitions: int) -> dict[int, list[OutRecord]]:
    portions: defaultdict[int, list[OutRecord]] = defaultdict(list)
    for record in records:
        portions[partition_of(record.key or b"", partitions)].append(record)
    return portions
