"""A worker with a connection: its endpoint on the ingest port, its polls, its actors."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import ClientSession
from prometheus_client import generate_latest

from schemas.wire import parse_record
from streams.clock import VirtualClock
from streams.log import scan
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.settings.operator_file import OperatorFileError
from streams.settings.values import Address
from streams.topology import CUSTOMER_EVENTS
from tests.connect.shapes import SHOP, shopify_order
from tests.connect.standins import ShopifyStandin
from tests.connect.world import HOUR_MS
from tests.harness import START

LOOPBACK = Address("127.0.0.1", 0)


def settings(tmp_path: Path, shop: ShopifyStandin) -> Settings:
    connection = {
        "name": "negozio", "kind": "shopify", "shop": SHOP, "secret": "env:SHOP_SECRET",
        "token": "env:SHOP_TOKEN", "api_url": shop.url,
    }  # fmt: skip
    path = tmp_path / "connections.yaml"
    path.write_text(json.dumps({"connections": [connection]}))
    return Settings(
        broker=f"embedded://{tmp_path}/worker-log", data_dir=tmp_path / "worker", connections=path,
        admin_bind=LOOPBACK, public_bind=LOOPBACK, ingest_bind=LOOPBACK, partitions=2,
        tick_seconds=3600, store="memory",
    )  # fmt: skip


async def test_it_receives_and_polls(shopify: ShopifyStandin, tmp_path: Path) -> None:
    clock = VirtualClock(START + HOUR_MS)
    shopify.rows["orders"] = [shopify_order(820002)]
    worker = Worker(settings(tmp_path, shopify), clock=clock)
    try:
        async with asyncio.timeout(30):
            await worker.start()
            url = f"http://{worker.ingest_address}/connect/negozio"
            async with ClientSession() as session:
                assert await shopify.send(session, url, "orders/create", shopify_order()) == 200
            while not any("orders.json" in each for each in shopify.asked):
                clock.advance(clock.now() + 10_000)  # until it is this worker's business
                await asyncio.sleep(0)
            ids: set[str] = set()
            while not {"order:820001:completed", "order:820002:completed"} <= ids:
                found = [each async for each in scan(worker.log, CUSTOMER_EVENTS) if each.key]
                ids = {parse_record(each).id for each in found}
            scraped = generate_latest(worker.metrics.registry).decode()
    finally:
        await worker.stop()
    assert 'ritorno_shop_webhooks_total{connection="negozio",outcome="taken"} 1.0' in scraped
    assert 'ritorno_shop_resources_read_total{connection="negozio",resource="orders"}' in scraped


async def test_a_file_with_a_mistake_is_said_at_the_start(
    shopify: ShopifyStandin, tmp_path: Path
) -> None:
    broken = settings(tmp_path, shopify)
    assert broken.connections is not None
    broken.connections.write_text("connections: [{name: negozio, kind: shopify}]")
    worker = Worker(broken, clock=VirtualClock(START))
    with pytest.raises(OperatorFileError, match=r"connections\.0\.shop: missing"):
        await worker.start()
    await worker.stop()
