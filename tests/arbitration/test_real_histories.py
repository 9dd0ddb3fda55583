"""A year of a real shop under the shipped policy, with many workflows live: what its customers
bought is real, that they looked at it and left carts behind is made up around it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from agents.definitions import Definitions
from schemas.instant import from_datetime, parse_instant, to_rfc3339
from streams.definitions import versions_of
from streams.replay import replay_file
from tests.arbitration.crowd import FILES
from tests.arbitration.mails import DAY, HOUR, clock, most_in_any, worst_share
from tests.importer.online_retail import FILE, rows_of

pytestmark = pytest.mark.data

ZONES = {"France": "Europe/Paris", "Australia": "Australia/Sydney", "Japan": "Asia/Tokyo",
         "USA": "America/New_York", "EIRE": "Europe/Dublin", "Finland": "Europe/Helsinki",
         "Portugal": "Europe/Lisbon", "Singapore": "Asia/Singapore"}  # fmt: skip
UK, ABROAD = 30, 2
"""One of so many customers, or it would take minutes."""


class Order(NamedTuple):
    """An invoice."""

    time: int
    id: str
    products: list[tuple[str, str]]


@pytest.fixture(scope="module")
def histories() -> dict[tuple[str, str], dict[str, Order]]:
    """Orders by customer and zone, that of the first one for who orders from two countries."""
    if not FILE.exists():
        pytest.skip(f"there is no {FILE}; RITORNO_DATA_SETS names the directory of the data sets")
    found: defaultdict[tuple[str, str], dict[str, Order]] = defaultdict(dict)
    zones: dict[str, str] = {}
    for row in rows_of(FILE):
        who, country, invoice = row["CustomerID"], row["Country"], row["InvoiceNo"]
        if not who or invoice.startswith("C"):
            continue
        if int(who) % (UK if country == "United Kingdom" else ABROAD):
            continue
        zone = zones.setdefault(who, ZONES.get(country, "Europe/London"))
        moment = datetime.fromisoformat(row["InvoiceDate"]).replace(tzinfo=ZoneInfo(zone))
        order = Order(from_datetime(moment), invoice, [])
        order = found[who, zone].setdefault(invoice, order)
        if float(row["UnitPrice"]) > 0 and len(order.products) < 3:
            order.products.append((row["StockCode"].strip(), row["UnitPrice"]))
    return found


def events(histories: dict[tuple[str, str], dict[str, Order]]) -> Iterator[bytes]:
    told: list[tuple[int, str, str, dict[str, Any]]] = []
    for (who, zone), orders in histories.items():
        first = min(order.time for order in orders.values())
        traits = {"email": f"c{who}@posta.example", "zone": zone}
        told.append((first - 9 * DAY, who, "customer.created", traits))
        told.append((first - 9 * DAY, who, "list.subscribed", {"list": "a", "confirmed": True}))
        for number, order in enumerate(orders.values()):
            if not order.products:
                continue
            products = [{"product_id": code, "price": price} for code, price in order.products]
            left = order.time - (4 * DAY + 5 * HOUR)  # and this cart was left behind
            told.append((left, who, "product.viewed", products[0]))
            told.append((left + HOUR // 2, who, "cart.product_added", products[0]))
            told.append((order.time - HOUR, who, "page.viewed", {}))
            if number % 2:
                told.append((order.time - 2 * DAY, who, "products.searched", {"query": "x"}))
            told += [(order.time - 600_000, who, "cart.product_added", each) for each in products]
            told.append((order.time, who, "order.completed",
                         {"order_id": order.id, "products": products}))  # fmt: skip
    for number, (time, who, type_, data) in enumerate(sorted(told, key=lambda each: each[0])):
        event = {"specversion": "1.0", "id": f"e{number}", "type": type_, "subject": who,
                 "time": to_rfc3339(time), "data": data}  # fmt: skip
        yield json.dumps(event).encode()


def test_the_policy_holds_for_real_customers(
    histories: dict[tuple[str, str], dict[str, Order]],
) -> None:
    live, definitions = versions_of(FILES), Definitions()
    for name, content in FILES.items():
        definitions.add(live[name], content)
    until = parse_instant("2012-03-01T00:00:00Z")
    outcome = replay_file(events(histories), until=until, definitions=definitions, live=live)
    assert outcome.refusals == []
    mails: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for *_, line in sorted(outcome.commands):
        command = json.loads(line)
        mails[command["customer"]].append(command)
    kinds: Counter[str] = Counter()
    for who, zone in histories:
        marketing = [mail for mail in mails[who] if mail["class"] == "marketing"]
        kinds.update(mail["kind"] for mail in mails[who])
        sent = [(parse_instant(mail["time"]), mail["kind"] == "promotional") for mail in marketing]
        times = [time for time, _ in sent]
        assert most_in_any(7 * DAY, times) <= 3, who
        days = [clock(time, zone)[:10] for time in times]
        assert len(days) == len(set(days)), who
        assert all("09:00" <= clock(time, zone)[11:16] < "21:00" for time in times), who
        assert worst_share(30 * DAY, 10, sent) <= 0.3, who
    orders = sum(len(each) for each in histories.values())
    assert kinds["transactional"] >= 0.9 * orders
    assert min(kinds.values()) > 1_000  # there was something to hold back
    decided = Counter(json.loads(line)["reason"] for *_, line in outcome.decisions
                      if json.loads(line)["decision"] == "held")  # fmt: skip
    assert decided.keys() >= {"quiet_hours", "frequency_cap", "mix", "outranked"}
    print(f"\n{len(histories)} customers, {orders} orders: {dict(kinds)}; held: {dict(decided)}")
