"""Real orders: a year of a gift shop, and a year of a grocer's, each as one shape."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zlib import crc32
from zoneinfo import ZoneInfo

from schemas.instant import from_datetime
from tests.tools.order_import.online_retail import FILE as ONLINE_RETAIL
from tests.tools.order_import.online_retail import SETS, rows_of

COMPLETE_JOURNEY = SETS / "completejourney"

COUNTRIES = {"France": "Europe/Paris", "Australia": "Australia/Sydney", "Japan": "Asia/Tokyo",
             "USA": "America/New_York", "EIRE": "Europe/Dublin", "Finland": "Europe/Helsinki",
             "Portugal": "Europe/Lisbon", "Singapore": "Asia/Singapore"}  # fmt: skip
NEW_YORK = "America/New_York"
"""Nobody says where the households live, but for the country."""


class Item(NamedTuple):
    """A line of an order."""

    product: str
    name: str
    category: str
    price: str
    quantity: int


class Order(NamedTuple):
    """What somebody bought at once."""

    time: int
    id: str
    items: list[Item]
    coupon: bool
    """Whether a coupon was redeemed."""


class Shopper(NamedTuple):
    """Somebody's year."""

    id: str
    zone: str
    orders: dict[str, Order]
    refunds: list[tuple[int, str]]
    """(time, order) of what went back, in order of time."""


class History(NamedTuple):
    """A data set."""

    file: Path
    """Without it there is nothing to read."""
    read: Callable[[int], dict[str, Shopper]]
    """Shoppers by id, one of so many."""


def _online_retail(one_in: int) -> dict[str, Shopper]:
    shoppers: dict[str, Shopper] = {}
    for row in rows_of(ONLINE_RETAIL):
        who, invoice = row["CustomerID"], row["InvoiceNo"]
        if not who or crc32(who.encode()) % one_in:
            continue
        zone = COUNTRIES.get(row["Country"], "Europe/London")
        shopper = shoppers.setdefault(who, Shopper(who, zone, {}, []))
        time = _local(row["InvoiceDate"], shopper.zone)
        item = Item(row["StockCode"].strip(), row["Description"].strip(), "Gifts",
                    row["UnitPrice"], int(row["Quantity"]))  # fmt: skip
        if invoice.startswith("C"):
            bought = [order for order in shopper.orders.values()
                      if any(each.product == item.product for each in order.items)]  # fmt: skip
            if bought:
                shopper.refunds.append((time, bought[-1].id))
        elif item.quantity > 0 and float(item.price) > 0:
            order = shopper.orders.setdefault(invoice, Order(time, invoice, [], False))
            order.items.append(item)
    return {who: shopper for who, shopper in shoppers.items() if shopper.orders}


def _complete_journey(one_in: int) -> dict[str, Shopper]:
    products = {row["product_id"]: row for row in rows_of(COMPLETE_JOURNEY / "products.csv.gz")}
    redeemed = {(row["household_id"], row["redemption_date"])
                for row in rows_of(COMPLETE_JOURNEY / "coupon_redemptions.csv.gz")}  # fmt: skip
    shoppers: dict[str, Shopper] = {}
    rows = sorted(rows_of(COMPLETE_JOURNEY / "transactions_sample.csv.gz"),
                  key=lambda row: row["transaction_timestamp"])  # fmt: skip
    for row in rows:
        who, basket, quantity = row["household_id"], row["basket_id"], int(float(row["quantity"]))
        if crc32(who.encode()) % one_in or quantity < 1 or float(row["sales_value"]) <= 0:
            continue
        shopper = shoppers.setdefault(who, Shopper(who, NEW_YORK, {}, []))
        at = row["transaction_timestamp"]
        about = products.get(row["product_id"], {})
        item = Item(row["product_id"], about.get("product_type") or row["product_id"],
                    about.get("product_category") or "Other",
                    f"{float(row['sales_value']) / quantity:.2f}", quantity)  # fmt: skip
        empty = Order(_local(at, NEW_YORK), basket, [], (who, at[:10]) in redeemed)
        shopper.orders.setdefault(basket, empty).items.append(item)
    return shoppers


HISTORIES = {
    "online-retail": History(ONLINE_RETAIL, _online_retail),
    "complete-journey": History(COMPLETE_JOURNEY / "transactions_sample.csv.gz", _complete_journey),
}


def _local(text: str, zone: str) -> int:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))
