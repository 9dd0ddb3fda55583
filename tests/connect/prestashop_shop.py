"""A PrestaShop to ask: its web service as connectors.md and PrestaShop's docs describe it.

All values are texts, an empty answer is `[]`, filters by dates need `date=1`, a key has rights
resource by resource. Rows are written by shape, with invented people.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from email.utils import formatdate
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.clock import VirtualClock

KEY = "ABCDEFGHIJKLMNOPQRSTUVWXYZ123456"
ROME = ZoneInfo("Europe/Rome")
RESOURCES = frozenset(
    {"orders", "order_slip", "order_histories", "order_states", "order_carriers", "carriers",
     "customers", "carts", "products", "categories", "stock_availables", "currencies", "languages",
     "configurations", "order_cart_rules", "cart_rules", "customer_threads"}
)  # fmt: skip

_SINGLE = re.compile(r"\[(.*)\]")


def state(id_: int, name: str, *flags: str, template: str = "") -> dict[str, Any]:
    """A row of `order_states`."""
    said = {each: str(int(each in flags)) for each in ("paid", "shipped", "delivery", "logable",
                                                       "invoice", "deleted")}  # fmt: skip
    names = [{"id": "1", "value": name}]
    return {"id": str(id_), **said, "name": names, "template": [{"id": "1", "value": template}]}


STATES = [
    state(1, "In attesa di assegno", template="cheque"),
    state(2, "Pagamento accettato", "paid", "logable", "invoice", template="payment"),
    state(3, "Preparazione in corso", "paid", "logable", "invoice", "delivery"),
    state(4, "Spedito", "paid", "logable", "invoice", "delivery", "shipped", template="shipped"),
    state(5, "Consegnato", "paid", "logable", "invoice", "delivery", "shipped"),
    state(6, "Annullato", template="order_canceled"),
    state(7, "Rimborsato", "invoice", template="refund"),
    state(8, "Errore di pagamento", template="payment_error"),
    state(10, "In attesa di bonifico", template="bankwire"),
    state(23, "Annullata dal negozio"),
]
"""As a fresh shop has them, with one of its own."""


class PrestaShop:
    """One shop, in memory. `start` it."""

    def __init__(self, clock: VirtualClock, zone: ZoneInfo = ROME) -> None:
        self.clock = clock
        self.zone = zone
        self.tables: dict[str, list[dict[str, Any]]] = {name: [] for name in RESOURCES}
        self.tables["order_states"] = list(STATES)
        self.tables["currencies"] = [
            {"id": "1", "iso_code": "EUR", "conversion_rate": "1.000000"},
            {"id": "2", "iso_code": "CHF", "conversion_rate": "0.950000"},
        ]
        self.tables["languages"] = [
            {"id": "1", "iso_code": "it", "language_code": "it", "locale": "it-IT"},
            {"id": "2", "iso_code": "en", "language_code": "en-us", "locale": "en-US"},
        ]
        self.tables["configurations"] = [
            {"id": "1", "name": "PS_TIMEZONE", "value": "Europe/Rome"},
            {"id": "2", "name": "PS_CURRENCY_DEFAULT", "value": "1"},
            {"id": "3", "name": "PS_LANG_DEFAULT", "value": "1"},
            {"id": "4", "name": "PS_OS_DELIVERED", "value": "5"},
            {"id": "5", "name": "PS_OS_CANCELED", "value": "6"},
            {"id": "6", "name": "PS_OS_REFUND", "value": "7"},
        ]
        self.forbidden: set[str] = set()
        self.throttled = 0
        """Requests that are answered by 429 first."""
        self.broken = 0
        """Requests that are answered by 500 first."""
        self.says = ""
        """What it answers in the place of everything, as one in maintenance does."""
        self.skew = 0
        """By how much its clock is ahead, ms."""
        self.asked: Counter[str] = Counter()
        self.on_page: Callable[[str], None] | None = None
        """Called behind each answer with what was asked for: life goes on meanwhile."""
        application = web.Application()
        application.router.add_get("/api/{resource}", self._answer)
        self._server = TestServer(application)

    async def start(self) -> str:
        """Return the shop's address."""
        await self._server.start_server()
        return str(self._server.make_url("")).rstrip("/")

    async def stop(self) -> None:
        """Close it."""
        await self._server.close()

    def local(self, instant: int | None = None) -> str:
        """Return what its clock shows, by default now."""
        moment = (self.clock.now() + self.skew if instant is None else instant) // 1000
        return datetime.fromtimestamp(moment, self.zone).strftime("%Y-%m-%d %H:%M:%S")

    def add_customer(self, id_: int, email: str, **fields: str) -> dict[str, Any]:
        """Add somebody."""
        now = self.local()
        row = {
            "id": str(id_), "email": email, "firstname": "Anna", "lastname": "Verdi",
            "birthday": "0000-00-00", "newsletter": "0",
            "newsletter_date_add": "0000-00-00 00:00:00",
            "ip_registration_newsletter": "", "optin": "0", "id_lang": "1", "is_guest": "0",
            "active": "1", "deleted": "0", "date_add": now, "date_upd": now, **fields,
        }  # fmt: skip
        self.tables["customers"].append(row)
        return row

    def add_order(self, id_: int, customer: int, state_: int = 2, **fields: Any) -> dict[str, Any]:
        """Add an order of one Moka, in a state."""
        now = self.local()
        row = {
            "id": str(id_), "reference": f"REF{id_:06}", "id_cart": str(id_ + 1000),
            "id_customer": str(customer), "id_currency": "1", "id_lang": "1",
            "current_state": str(state_), "module": "ps_wirepayment", "payment": "Bonifico",
            "valid": "1", "date_add": now, "date_upd": now,
            "total_paid_tax_incl": "52.000000", "total_paid_tax_excl": "42.620000",
            "total_products_wt": "47.100000", "total_shipping_tax_incl": "4.900000",
            "total_discounts_tax_incl": "0.000000",
            "associations": {"order_rows": [order_row(id_ + 500)]}, **fields,
        }  # fmt: skip
        self.tables["orders"].append(row)
        self.add_history(id_, state_)
        return row

    def add_history(self, order: int, state_: int) -> None:
        """An order comes into a state."""
        number = len(self.tables["order_histories"]) + 1
        self.tables["order_histories"].append(
            {"id": str(number), "id_order": str(order), "id_order_state": str(state_),
             "id_employee": "0", "date_add": self.local()}
        )  # fmt: skip

    def move(self, order: int, state_: int) -> None:
        """The shopkeeper moves an order on."""
        row = next(each for each in self.tables["orders"] if each["id"] == str(order))
        row["current_state"], row["date_upd"] = str(state_), self.local()
        self.add_history(order, state_)

    async def _answer(self, request: web.Request) -> web.Response:
        resource = request.match_info["resource"]
        self.asked[resource] += 1
        date = formatdate((self.clock.now() + self.skew) // 1000, usegmt=True)
        headers = {"Date": date}
        if self.throttled:
            self.throttled -= 1
            return web.Response(status=429, headers={**headers, "Retry-After": "1"})
        if self.broken:
            self.broken -= 1
            return web.Response(status=500, headers=headers)
        expected = "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()
        if request.headers.get("Authorization") != expected or resource in self.forbidden:
            errors = {"errors": [{"code": 26, "message": "not allowed with this key"}]}
            return web.json_response(errors, status=401, headers=headers)
        if self.says:
            return web.Response(text=self.says, content_type="text/html", headers=headers)
        query = dict(request.query)
        assert query["output_format"] == "JSON"
        found = self._found(resource, query)
        body: Any = {resource: found} if found else []
        content = json.dumps(body).encode()
        if self.on_page is not None:
            self.on_page(resource)
        return web.Response(body=content, content_type="application/json", headers=headers)

    def _found(self, resource: str, query: dict[str, str]) -> list[dict[str, Any]]:
        found = self.tables[resource]
        for name, value in query.items():
            if match := re.fullmatch(r"filter\[(\w+)\]", name):
                field = match[1]
                if field.startswith("date_"):
                    assert query.get("date") == "1", "dates are filtered only with date=1"
                found = [row for row in found if _fits(str(row.get(field, "")), value)]
        for field, direction in reversed(re.findall(r"(\w+)_(ASC|DESC)", query.get("sort", ""))):
            found = sorted(found, key=lambda row: _key(row[field]), reverse=direction == "DESC")
        if limit := query.get("limit"):
            offset, _, count = limit.rpartition(",")
            start = int(offset or 0)
            found = found[start : start + int(count)]
        found = [dict(row) for row in found]
        for name in query:
            if match := re.fullmatch(r"price\[(\w+)\]\[use_tax\]", name):
                reduced = query.get(f"price[{match[1]}][use_reduction]") == "1"
                for row in found:
                    row[match[1]] = row["_gross"] if reduced else row.get("_list", row["_gross"])
        if (display := query["display"]) != "full":
            wanted = display.strip("[]").split(",")
            return [{name: row.get(name, "") for name in wanted} for row in found]
        return [{k: v for k, v in row.items() if not k.startswith("_")} for row in found]


def order_row(id_: int, **fields: str) -> dict[str, str]:
    """A line of an order."""
    return {
        "id": str(id_), "product_id": "9", "product_attribute_id": "0", "product_quantity": "1",
        "product_name": "Moka 3 tazze", "product_reference": "MOKA-3",
        "unit_price_tax_incl": "47.100000", **fields,
    }  # fmt: skip


def product(id_: int, name: str, **fields: Any) -> dict[str, Any]:
    """A row of `products`; `_gross` and `_list` are its prices with tax."""
    return {
        "id": str(id_), "reference": f"R-{id_}", "name": [{"id": "1", "value": name},
                                                           {"id": "2", "value": f"{name} (en)"}],
        "price": "38.606557", "_gross": "47.100000", "id_category_default": "3",
        "id_default_image": "125", "manufacturer_name": "Esempio", "active": "1",
        "available_for_order": "1", "associations": {}, **fields,
    }  # fmt: skip


def _fits(value: str, condition: str) -> bool:
    inside = _SINGLE.fullmatch(condition)
    assert inside is not None
    if "|" in inside[1]:
        return value in inside[1].split("|")
    if "," in inside[1]:
        first, last = inside[1].split(",")
        return _key(first) <= _key(value) <= _key(last)
    return value == inside[1]


def _key(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdigit() else (0, text)
