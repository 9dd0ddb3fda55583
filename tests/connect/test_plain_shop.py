"""A shop of somebody's own making, asked as `docs/connect-plain.md` says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from schemas.instant import parse_instant
from streams.clock import VirtualClock
from streams.connect.connections import read_file_of_connections
from streams.connect.connector import ShopNews, ShopRefuses, ShopUnavailable
from streams.connect.kinds import connector_of
from streams.connect.plain_shop import PlainShop, PlainShopConnection
from streams.operate.check import CheckStatus
from streams.settings.operator_file import OperatorFileError
from tests.connect.heard import hear, order_kept
from tests.harness import Harness

NOW = parse_instant("2026-03-02T09:15:00Z")
SINCE = NOW - 60_000
ORDER = {
    "id": 71, "placed": "2026-03-02T09:14:30Z", "customer": "12", "total": "52.00",
    "products": [{"product_id": "MOKA-3", "name": "Moka 3 tazze", "price": "26.00", "quantity": 2}],
}  # fmt: skip


class Shop:
    """Lists, of which each page has two rows; its cursor is a row's number."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {"customers": [], "orders": [], "products": []}
        self.asked: list[str] = []
        self.stuck = False
        application = web.Application()
        application.router.add_get("/ritorno/{list}", self._answer)
        self.server = TestServer(application)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if request.headers["Authorization"] != "Bearer chiave":
            return web.json_response({"error": "who are you?"}, status=401)
        rows = self.rows[request.match_info["list"]]
        begin = int(request.query.get("after", 0))
        end = begin if self.stuck else min(begin + 2, len(rows))
        return web.json_response(
            {"rows": rows[begin:end], "cursor": str(end), "more": end < len(rows) or self.stuck}
        )


@pytest.fixture
async def shop(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    monkeypatch.setenv("PLAIN_KEY", "chiave")
    shop = Shop()
    await shop.server.start_server()
    yield shop
    await shop.server.close()


@pytest.fixture
async def connector(shop: Shop) -> AsyncIterator[PlainShop]:
    url = str(shop.server.make_url("/ritorno"))
    connection = PlainShopConnection.model_validate(
        {"name": "negozio", "kind": "plain", "url": url, "key": "env:PLAIN_KEY"}
    )
    made = connector_of(connection, VirtualClock(NOW))
    assert isinstance(made, PlainShop)
    yield made
    await made.close()


async def polled(connector: PlainShop, resource: str, cursor: str = "") -> tuple[ShopNews, str]:
    news = ShopNews()
    async for page in connector.changed(resource, cursor, since=SINCE, now=NOW):
        news.add(page.news)
        cursor = page.cursor
    return news, cursor


async def test_pages_are_read_to_their_end_and_on_from_there(
    shop: Shop, connector: PlainShop
) -> None:
    shop.rows["orders"] = [{**ORDER, "id": n} for n in range(1, 6)]
    news, cursor = await polled(connector, "orders")
    assert [each.id for each in news.events] == [f"order:{n}:completed" for n in range(1, 6)]
    assert {each.source for each in news.events} == {"plain:127.0.0.1"}
    shop.rows["orders"].append({**ORDER, "id": 6, "shipped": "2026-03-03T08:00:00Z"})
    news, _ = await polled(connector, "orders", cursor)
    assert [each.id for each in news.events] == ["order:6:completed", "order:6:shipped"]
    assert shop.asked[0] == "/ritorno/orders?since=2026-03-02T09:14:00Z"
    assert shop.asked[-1] == "/ritorno/orders?after=5"
    history = [page.rows async for page in connector.history("orders", "")]
    assert sum(history) == 6


async def test_an_orders_life_is_told_each_once(shop: Shop, connector: PlainShop) -> None:
    refund = {"id": 9, "time": "2026-03-06T10:00:00Z", "amount": "26.00"}
    shop.rows["customers"] = [
        {"id": "12", "joined": "2026-03-01T10:00:00Z", "email": "anna@example.it",
         "first_name": "Anna", "consented": "2026-03-01T10:00:05Z"}
    ]  # fmt: skip
    shop.rows["orders"] = [
        ORDER,
        {**ORDER, "shipped": "2026-03-03T08:00:00Z", "delivered": "2026-03-04T12:00:00Z",
         "carrier": "Corriere", "refunds": [refund]},
    ]  # fmt: skip
    harness = Harness()
    for resource in ("customers", "orders"):
        news, _ = await polled(connector, resource)
        assert news.unread == []
        hear(harness, news.events)
    kept = order_kept(harness, "12", "71")
    assert kept is not None
    assert (kept.status, kept.total, kept.lines) == ("delivered", Decimal("52.00"), [("MOKA-3", 2)])
    assert [each.type for each in news.events if each.type != "order.completed"] == [
        "order.shipped", "order.delivered", "order.refunded"
    ]  # fmt: skip
    anna = harness.customer("12")
    assert anna.profile.email == "anna@example.it"
    assert anna.consented("marketing")


async def test_a_row_that_cant_be_read_costs_no_other(shop: Shop, connector: PlainShop) -> None:
    shop.rows["orders"] = [{**ORDER, "placed": "boh"}, ORDER, {**ORDER, "customer": None}]
    news, _ = await polled(connector, "orders")
    assert [each.id for each in news.events] == ["order:71:completed"]
    assert [each.why.detail.partition(":")[0] for each in news.unread] == ["placed"]
    assert news.passed_over == 1
    shop.rows["products"] = [{"sku": "MOKA-3", "name": "Moka", "price": "26.00"}, {"sku": ""}]
    news, _ = await polled(connector, "products")
    assert ([each.sku for each in news.products], len(news.unread)) == (["MOKA-3"], 1)


async def test_a_shop_that_turns_in_a_circle_is_left(shop: Shop, connector: PlainShop) -> None:
    shop.stuck = True
    with pytest.raises(ShopUnavailable, match="behind the same cursor"):
        await polled(connector, "orders", "0")


async def test_a_key_that_is_none(
    shop: Shop, connector: PlainShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {each.status for each in await connector.check()} == {CheckStatus.OK}
    monkeypatch.setattr(connector, "_headers", dict)
    monkeypatch.setattr(connector._api, "_headers", lambda: {"Authorization": "Bearer altra"})
    with pytest.raises(ShopRefuses, match="401"):
        await polled(connector, "orders")
    assert {each.status for each in await connector.check()} == {CheckStatus.FAIL}


def test_what_is_wrong_in_its_connection_is_named(tmp_path: Path) -> None:
    path = tmp_path / "connections.yaml"
    path.write_text("connections:\n  - {name: negozio, kind: plain, url: 'http://a.example'}\n")
    with pytest.raises(OperatorFileError) as wrong:
        read_file_of_connections(path)
    assert "connections.0.url: must be https" in str(wrong.value)
    assert "connections.0.key" in str(wrong.value)
