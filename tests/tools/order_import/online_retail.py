"""The Online Retail data set, and what plain csv code counts in it."""

from __future__ import annotations

import csv
import gzip
import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

from agents.links.names import PREFIX
from schemas.customer import decode_customer

SETS = Path(os.environ.get("RITORNO_DATA_SETS", Path(__file__).parents[4] / "shared" / "data"))
FILE = SETS / "onlineretail" / "onlineretail.csv.gz"


class Tally:
    """What plain csv code counts."""

    def __init__(self) -> None:
        self.lines = Counter[str]()
        self.orders: defaultdict[str, set[str]] = defaultdict(set)
        self.refunds: defaultdict[str, set[str]] = defaultdict(set)
        self.spent: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.refunded: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.items: Counter[str] = Counter()


def tally(rows: Iterator[dict[str, str]]) -> Tally:
    found = Tally()
    for row in rows:
        invoice, customer = row["InvoiceNo"], row["CustomerID"]
        quantity, price = int(row["Quantity"]), Decimal(row["UnitPrice"])
        if price < 0 or (quantity <= 0 and not invoice.startswith("C")):
            found.lines["dead"] += 1
        elif not customer:
            found.lines["anonymous"] += 1
        elif invoice.startswith("C"):
            found.lines["cancelled"] += 1
            found.refunds[customer].add(invoice)
            found.refunded[customer] -= quantity * price
        else:
            found.lines["applied"] += 1
            found.orders[customer].add(invoice)
            found.spent[customer] += quantity * price
            found.items[customer] += quantity
    return found


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def first_lines(count: int, path: Path) -> Path:
    """Write the first lines of the file, behind its header, into a file of their own."""
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as whole:
        path.write_bytes(gzip.compress("".join(itertools.islice(whole, count + 1)).encode(), 1))
    return path


def of_customers(states: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the states of customers among those of all actors."""
    return {key: stored for key, stored in states.items() if not key.startswith(PREFIX)}


def check_states(states: Mapping[str, bytes], expected: Tally) -> None:
    assert states.keys() == expected.orders.keys() | expected.refunds.keys()
    for key, stored in states.items():
        numbers = decode_customer(key, stored).statistics
        assert numbers.count == len(expected.orders[key]), key
        assert numbers.refunds == len(expected.refunds[key]), key
        assert numbers.items == expected.items[key], key
        assert numbers.spent.get("GBP", 0) == expected.spent[key], key
        assert numbers.refunded.get("GBP", 0) == expected.refunded[key], key
