"""A hundred thousand orders are read as history: they start no workflow."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from schemas.records import OutRecord
from schemas.topics import CUSTOMER_EVENTS
from streams.clock import VirtualClock
from streams.connect.backfill import backfill
from streams.connect.connector import ShopConnector
from streams.connect.magento.connector import MagentoConnector
from streams.connect.news_sink import NewsSink
from streams.connect.prestashop.connector import PrestaShopConnector
from streams.http.ingest.intake import Intake
from streams.topology import topics
from tests.connect import test_magento_polling as magento
from tests.connect import test_prestashop_polling as presta
from tests.connect.magento_shop import order
from tests.connect.prestashop_shop import PrestaShop, order_row
from tests.harness import Harness
from tests.keys import SIGNER
from tests.runtime.doubles import MemoryLog

ORDERS = 100_000
CUSTOMERS = 20_000
PLACED = "2025-03-02 10:15:00"

pytestmark = pytest.mark.slow


class ManyOrders:
    """A shop that makes its rows when it is asked: a stand-in that looks through all of them for
    each page would be what is measured."""

    def __init__(self) -> None:
        application = web.Application()
        application.router.add_get("/api/{resource}", self._prestashop)
        application.router.add_get("/rest/V1/{path:.+}", self._magento)
        self.server = TestServer(application)
        self._tables = PrestaShop(VirtualClock(0)).tables

    async def _prestashop(self, request: web.Request) -> web.Response:
        resource, query = request.match_info["resource"], request.query
        rows: list[dict[str, Any]] = []
        if resource == "orders":
            first = int(re.findall(r"\d+", query["filter[id]"])[0])
            size = int(query["limit"].split(",")[1])
            rows = [_presta_order(id_) for id_ in range(first, min(first + size, ORDERS + 1))]
        elif resource == "customers":
            rows = [_presta_customer(each) for each in _listed(query["filter[id]"])]
        elif resource == "order_histories":
            rows = [{"id": each, "id_order": each, "id_order_state": "2", "date_add": PLACED}
                    for each in _listed(query["filter[id_order]"])]  # fmt: skip
        elif "filter[id_order]" not in query:
            rows = self._tables[resource]
        return web.Response(text=json.dumps({resource: rows} if rows else []),
                            content_type="application/json")  # fmt: skip

    async def _magento(self, request: web.Request) -> web.Response:
        if request.match_info["path"] == "store/storeConfigs":
            return web.json_response([])
        query = request.query
        above = int(query["searchCriteria[filterGroups][0][filters][0][value]"])
        last = min(above + int(query["searchCriteria[pageSize]"]), ORDERS)
        rows = [order(id_, "complete", PLACED, customer_id=id_ % CUSTOMERS + 1)
                for id_ in range(above + 1, last + 1)]  # fmt: skip
        return web.json_response({"items": rows, "total_count": ORDERS - above})


@pytest.fixture(params=["prestashop", "magento"])
async def connector(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ShopConnector]:
    monkeypatch.setenv("PRESTA_KEY", "key")
    monkeypatch.setenv("MAGENTO_TOKEN", "token")
    shop = ManyOrders()
    await shop.server.start_server()
    url, clock = str(shop.server.make_url("")).rstrip("/"), VirtualClock(presta.MARCH)
    made: ShopConnector
    if request.param == "prestashop":
        made = PrestaShopConnector(presta.connection(url), clock)
    else:
        made = MagentoConnector(magento.connection(url), clock)
    yield made
    await made.close()
    await shop.server.close()


async def test_a_hundred_thousand_orders_start_no_workflow(
    connector: ShopConnector, tmp_path: Path
) -> None:
    clock = VirtualClock(presta.MARCH)
    log = MemoryLog(clock)
    await log.create_topics(topics(partitions=1, replication=1))
    sink = NewsSink(log, Intake(log), clock=clock, signer=lambda: SIGNER)
    (done,) = await backfill(connector, ["orders"], sink, data_dir=tmp_path)
    assert done.rows == ORDERS and done.unread == 0
    records = log.topics[CUSTOMER_EVENTS][0]
    assert len(records) == ORDERS
    harness = Harness()
    for record in records:
        harness.append(OutRecord(record.key, record.value, record.headers))
    harness.at(30 * 86_400)
    assert harness.commands == []
    assert harness.customer("12").statistics.count == ORDERS // CUSTOMERS


def _listed(condition: str) -> list[str]:
    return condition.strip("[]").split("|")


def _presta_order(id_: int) -> dict[str, Any]:
    return {
        "id": str(id_), "reference": f"REF{id_}", "id_cart": str(id_), "id_currency": "1",
        "id_customer": str(id_ % CUSTOMERS + 1), "current_state": "2", "payment": "Bonifico",
        "date_add": PLACED, "date_upd": PLACED, "total_paid_tax_incl": "52.000000",
        "total_products_wt": "47.100000", "total_shipping_tax_incl": "4.900000",
        "total_discounts_tax_incl": "0.000000",
        "associations": {"order_rows": [order_row(id_), order_row(id_, product_id="10")]},
    }  # fmt: skip


def _presta_customer(id_: str) -> dict[str, str]:
    return {"id": id_, "email": f"cliente{id_}@example.it", "is_guest": "0", "deleted": "0"}
