"""`ritorno connect`: each task against a stand-in and a real endpoint, and what it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from streams.clock import SystemClock
from streams.connect.self_test import try_endpoint
from streams.operate.check import CheckStatus
from streams.tools.cli import run_arguments
from tests.connect.shapes import SHOP, shopify_customer, shopify_order, shopify_product
from tests.connect.standins import ShopifyStandin
from tests.connect.world import World
from tests.ports import free_port

Ritorno = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def ritorno(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ritorno:
    """Run a command in a thread, so that the stand-in answers meanwhile."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RITORNO_LOG_LEVEL", "error")
    monkeypatch.setenv("RITORNO_CONNECTIONS", str(tmp_path / "connections.yaml"))
    monkeypatch.setenv("RITORNO_DATA_DIR", str(tmp_path / "commands"))

    async def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(run_arguments, ["connect", *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def connected(tmp_path: Path, shop: ShopifyStandin, callback: str = "", **fields: Any) -> None:
    connection = {
        "name": "negozio", "kind": "shopify", "shop": SHOP, "secret": "env:SHOP_SECRET",
        "token": "env:SHOP_TOKEN", "api_url": shop.url, "callback": callback, **fields,
    }  # fmt: skip
    given = {name: value for name, value in connection.items() if value is not None}
    (tmp_path / "connections.yaml").write_text(json.dumps({"connections": [given]}))


async def test_a_shop_is_set_up_checked_and_read(
    world: World, shopify: ShopifyStandin, tmp_path: Path, ritorno: Ritorno
) -> None:
    shopify.now = SystemClock().now()
    url = await world.endpoint(world.shopify(shopify))
    connected(tmp_path, shopify, url)
    shopify.rows["orders"] = [shopify_order(n) for n in range(1, 4)]
    shopify.rows |= {"customers": [shopify_customer()], "products": [shopify_product()]}
    code, out, err = await ritorno("shopify", "setup")
    assert (code, err) == (0, "")
    assert "ok    orders/create: subscribed, made just now" in out
    async with ClientSession() as session:
        await shopify.send(session, url, "orders/create", shopify_order())
    code, out, err = await ritorno("negozio", "check")
    assert code == 0, out
    for said in (
        "scope read_orders: orders", "orders/create: subscribed", f"endpoint: {url} takes what is",
        "signatures: what is changed on its way is refused", "last webhook: orders/create at 2026",
        "clock: ",
    ):  # fmt: skip
        assert said in out
    assert len(await world.records()) == 2  # a self-test leaves nothing
    code, out, err = await ritorno("negozio", "backfill")
    assert code == 0, err
    assert [line.split() for line in out.splitlines()] == [
        ["products", "1", "read,", "0", "events"], ["customers", "1", "read,", "1", "event"],
        ["orders", "3", "read,", "6", "events"],
    ]  # fmt: skip
    code, out, _ = await ritorno("negozio", "status", "--json")
    said = json.loads(out)
    assert said["history"]["orders"] == {"rows": 3, "done": True}
    code, out, _ = await ritorno("negozio", "status")
    assert f"negozio: shopify {SHOP}" in out
    assert "orders: 3 read, read to its end" in out


async def test_mistakes_are_said(shopify: ShopifyStandin, tmp_path: Path, ritorno: Ritorno) -> None:
    code, _, err = await ritorno("negozio", "status")
    assert code == 2
    assert "RITORNO_CONNECTIONS: there is no file" in err
    connected(tmp_path, shopify)
    for arguments, problem in (
        (("altro", "check"), "altro: no such connection in"),
        (("negozio", "backfill", "--only", "carts"), "--only carts: expected some of products"),
        (("negozio", "check", "--again"), "--only and --again are for backfill"),
        (("negozio", "paint"), "TASK"),
    ):
        code, _, err = await ritorno(*arguments)
        assert code == 2
        assert problem in err
    connected(tmp_path, shopify, token=None)
    for task in ("setup", "backfill"):
        code, _, err = await ritorno("negozio", task)
        assert (code, "has no key" in err) == (2, True)
    connected(tmp_path, shopify, secret="env:NOWHERE")
    code, _, err = await ritorno("negozio", "check")
    assert code == 2
    assert "env:NOWHERE: the environment variable NOWHERE is not set" in err


async def test_check_fails_where_nobody_listens(
    shopify: ShopifyStandin, tmp_path: Path, ritorno: Ritorno
) -> None:
    connected(tmp_path, shopify, "http://127.0.0.1:9/connect/negozio")
    code, out, err = await ritorno("negozio", "check")
    assert code == 1
    assert "endpoint: http://127.0.0.1:9/connect/negozio doesn't answer" in out
    assert "not as it should be: " in err


@pytest.mark.parametrize("kind", ["rewrites", "another", "takes all"])
async def test_what_a_self_test_finds(world: World, shopify: ShopifyStandin, kind: str) -> None:
    """A proxy that writes JSON anew, another server, and one that checks nothing."""
    real = await world.endpoint(world.shopify(shopify))

    async def proxy(request: web.Request) -> web.Response:
        body = await request.read()
        if kind == "another":
            return web.Response(text="<html>benvenuti</html>")
        if kind == "takes all":
            return web.json_response({"ritorno_test": json.loads(body)["ritorno_test"]})
        async with ClientSession() as session:
            anew = json.dumps(json.loads(body)).encode()
            headers = {name: request.headers[name] for name in request.headers if "Shopify" in name}
            async with session.post(real, data=anew, headers=headers) as answer:
                return web.Response(status=answer.status, body=await answer.read())

    application = web.Application()
    application.router.add_post("/connect/negozio", proxy)
    server = TestServer(application)
    await server.start_server()
    try:
        connector = world.shopify(shopify, callback=str(server.make_url("/connect/negozio")))
        test = await try_endpoint(connector, "n-1", SystemClock())
    finally:
        await server.close()
    failed = {each.name for each in test.checks if each.status is CheckStatus.FAIL}
    found = {"rewrites": {"endpoint"}, "takes all": {"signatures"}}
    assert failed == found.get(kind, {"endpoint", "signatures"})


async def test_a_host_that_nobody_knows_is_told_with_where_it_stands(
    tmp_path: Path, shopify: ShopifyStandin, ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_: float) -> None:
        pass

    monkeypatch.setattr("streams.connect.shop_api.asyncio.sleep", at_once)
    connected(tmp_path, shopify, api_url=f"http://localhost:{free_port()}")
    code, out, err = await ritorno("negozio", "check")
    assert code == 1 and "not as it should be: shop" in err
    said = " ".join(out.split())
    assert "is refused: nothing listens there, 5 times" in said
    assert f"is the address right? It stands in {tmp_path}/connections.yaml:1: " in said
    assert "connections.0.api_url" in said
    callback = "http://127.0.0.1:9/connect/negozio"
    connected(tmp_path, shopify, callback, api_url=f"http://localhost:{free_port()}")
    code, _, err = await ritorno("negozio", "setup")
    assert code == 1 and "The address stands in" in err and "connections.0.api_url" in err
