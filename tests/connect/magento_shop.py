"""A Magento to ask: its REST interface as connectors.md describes it.

Searches by `searchCriteria`, bearer tokens, times in UTC without `Z`, numbers as JSON numbers.
Asked for a page past the end it gives the last page again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.clock import VirtualClock

TOKEN = "integration-token-of-a-test"
TABLES = {
    "customers/search": "customers",
    "orders": "orders",
    "shipments": "shipments",
    "creditmemos": "creditmemos",
    "carts/search": "carts",
    "products": "products",
    "categories/list": "categories",
}
_FILTER = re.compile(r"searchCriteria\[filterGroups\]\[(\d+)\]\[filters\]\[(\d+)\]\[(\w+)\]")
_SORT = re.compile(r"searchCriteria\[sortOrders\]\[(\d+)\]\[(\w+)\]")


class MagentoShop:
    """One shop, in memory. `start` it."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES.values()}
        self.configs = [
            {"id": 1, "code": "default", "locale": "it_IT", "base_currency_code": "EUR",
             "secure_base_media_url": "https://cdn.example.it/media/"},
            {"id": 2, "code": "en", "locale": "en_GB", "base_currency_code": "EUR"},
        ]  # fmt: skip
        self.forbidden: set[str] = set()
        self.throttled = 0
        self.says = ""
        """What it answers in the place of everything, as one in maintenance does."""
        self.asked: Counter[str] = Counter()
        self.most_pages = 10_000
        """After which somebody is paging for ever."""
        self.on_page: Callable[[str], None] | None = None
        application = web.Application()
        application.router.add_get("/rest/V1/store/storeConfigs", self._store_configs)
        application.router.add_get("/rest/V1/{path:.+}", self._answer)
        self._server = TestServer(application)

    async def start(self) -> str:
        """Return the shop's address."""
        await self._server.start_server()
        return str(self._server.make_url("")).rstrip("/")

    async def stop(self) -> None:
        """Close it."""
        await self._server.close()

    def now(self) -> str:
        """Return what it writes for now."""
        return datetime.fromtimestamp(self.clock.now() // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")

    def add_customer(self, id_: int, email: str, **fields: Any) -> dict[str, Any]:
        """Add somebody."""
        row = {
            "id": id_, "email": email, "firstname": "Anna", "lastname": "Verdi", "store_id": 1,
            "created_at": self.now(), "updated_at": self.now(), "addresses": [],
            "extension_attributes": {"is_subscribed": False}, **fields,
        }  # fmt: skip
        self.tables["customers"].append(row)
        return row

    def add_order(self, id_: int, state: str = "processing", **fields: Any) -> dict[str, Any]:
        """Add an order of one Moka."""
        row = order(id_, state, self.now(), **fields)
        self.tables["orders"].append(row)
        return row

    def touch(self, row: dict[str, Any], **fields: Any) -> None:
        """Change a row."""
        row.update(fields, updated_at=self.now())

    def _date(self) -> dict[str, str]:
        return {"Date": formatdate(self.clock.now() // 1000, usegmt=True)}

    def _refusal(self, request: web.Request, what: str) -> web.Response | None:
        if self.throttled:
            self.throttled -= 1
            return web.Response(status=429, headers={**self._date(), "Retry-After": "1"})
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            said = {"message": "The consumer isn't authorized to access %resources."}
            return web.json_response(said, status=401, headers=self._date())
        if what in self.forbidden:
            return web.json_response({"message": "not allowed"}, status=403, headers=self._date())
        return None

    async def _store_configs(self, request: web.Request) -> web.Response:
        refusal = self._refusal(request, "storeConfigs")
        return refusal or web.json_response(self.configs, headers=self._date())

    async def _answer(self, request: web.Request) -> web.Response:
        table = TABLES[request.match_info["path"]]
        self.asked[table] += 1
        assert self.asked[table] < self.most_pages, "somebody is paging for ever"
        if (refusal := self._refusal(request, table)) is not None:
            return refusal
        if self.says:
            return web.Response(text=self.says, content_type="text/html", headers=self._date())
        query = dict(request.query)
        found = _sorted(_filtered(self.tables[table], query), query)
        size = int(query["searchCriteria[pageSize]"])
        last = max(1, -(-len(found) // size))
        page = min(int(query["searchCriteria[currentPage]"]), last)
        body = {
            "items": found[(page - 1) * size : page * size],
            "search_criteria": {},
            "total_count": len(found),
        }
        content = json.dumps(body)
        if self.on_page is not None:
            self.on_page(table)
        return web.Response(text=content, content_type="application/json", headers=self._date())


def order(id_: int, state: str, now: str, **fields: Any) -> dict[str, Any]:
    """A row of `orders`."""
    return {
        "entity_id": id_, "increment_id": f"{id_:09}", "state": state, "status": state,
        "customer_email": "anna@example.it", "customer_id": 12, "customer_is_guest": 0,
        "order_currency_code": "EUR", "base_currency_code": "EUR",
        "grand_total": 52.0, "base_grand_total": 52.0, "subtotal": 38.6, "subtotal_incl_tax": 47.1,
        "shipping_amount": 4.02, "shipping_incl_tax": 4.9, "discount_amount": 0, "tax_amount": 9.38,
        "created_at": now, "updated_at": now, "quote_id": id_ + 1000,
        "payment": {"method": "paypal_express"}, "items": [item(501)], **fields,
    }  # fmt: skip


def item(id_: int, **fields: Any) -> dict[str, Any]:
    """A row of an order's `items`."""
    return {
        "item_id": id_, "sku": "MOKA-3", "name": "Moka 3 tazze", "product_id": 9,
        "product_type": "simple", "qty_ordered": 1, "price_incl_tax": 47.1,
        "row_total_incl_tax": 47.1, **fields,
    }  # fmt: skip


def product(id_: int, sku: str, price: float, **attributes: Any) -> dict[str, Any]:
    """A row of `products`."""
    return {
        "id": id_, "sku": sku, "name": sku.title(), "price": price, "status": 1, "visibility": 4,
        "type_id": "simple", "updated_at": "2026-03-01 08:00:00", "product_links": [],
        "extension_attributes": {"category_links": [{"position": 0, "category_id": "3"}]},
        "custom_attributes": [
            {"attribute_code": name, "value": value}
            for name, value in {"url_key": sku.lower(), "image": "/m/o/x.jpg", **attributes}.items()
        ],
    }  # fmt: skip


def _filtered(rows: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    groups: dict[str, dict[str, dict[str, str]]] = {}
    for name, value in query.items():
        if match := _FILTER.fullmatch(name):
            groups.setdefault(match[1], {}).setdefault(match[2], {})[match[3]] = value
    for filters in groups.values():
        rows = [row for row in rows if any(_fits(row, each) for each in filters.values())]
    return rows


def _fits(row: dict[str, Any], condition: dict[str, str]) -> bool:
    field, wanted = condition["field"], condition["value"]
    value = str(row.get(field, row.get("id")) if field == "entity_id" else row.get(field))
    match condition["conditionType"]:
        case "eq":
            return value == wanted
        case "in":
            return value in wanted.split(",")
        case "gt":
            return _key(value) > _key(wanted)
        case "gteq":
            return _key(value) >= _key(wanted)
        case "lteq":
            return _key(value) <= _key(wanted)
    raise AssertionError(condition)


def _sorted(rows: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    fields = {match[1]: value for name, value in query.items()
              if (match := _SORT.fullmatch(name)) and match[2] == "field"}  # fmt: skip
    for number in sorted(fields, reverse=True):
        name = fields[number]
        rows = sorted(rows, key=lambda row: _key(str(row.get(name, row.get("id")))))
    return rows


def _key(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdigit() else (0, text)
