"""A burst of a shop's webhooks, and a shop's whole history.

    python -m benchmarks.connecting shop ORDERS         a stand-in of the API; prints its address
    python -m benchmarks.connecting burst URL NUMBER    so many webhooks at once; prints ms

Both run in processes of their own on the same cores; log and endpoint are those of a worker on the
embedded log.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from benchmarks.results import Result, result
from benchmarks.say import Say
from schemas.instant import to_rfc3339
from streams.clock import SystemClock
from streams.connect.backfill import backfill
from streams.connect.counts import ShopCounts
from streams.connect.news_sink import NewsSink
from streams.connect.receivers import ShopReceivers
from streams.connect.shopify.connector import Shopify
from streams.connect.shopify.settings import ShopifyConnection
from streams.http.ingest.intake import Intake
from streams.http.ingest.server import IngestServer
from streams.runtime.factories import record_signer
from streams.runtime.logs.embedded import EmbeddedLog
from streams.settings.loading import load_settings
from streams.settings.values import Address
from streams.topology import EMBEDDED_PARTITIONS, topics

WEBHOOKS = 1_000
ORDERS = 100_000
PER_PAGE = 250
SHOP, SECRET = "bottega.myshopify.com", "a-secret-of-a-benchmark"
_SECRET_NAME = "BENCHMARK_SHOP_SECRET"


async def measure(directory: Path, say: Say) -> list[Result]:
    """Measure both."""
    os.environ[_SECRET_NAME] = SECRET
    log = EmbeddedLog(directory / "log", SystemClock())
    await log.start()
    try:
        await log.create_topics(topics(EMBEDDED_PARTITIONS))
        return [*await _burst(log, directory, say), *await _history(log, directory, say)]
    finally:
        await log.stop()


async def _burst(log: EmbeddedLog, directory: Path, say: Say) -> list[Result]:
    say(f"{WEBHOOKS:,} webhooks at once")
    shop, intake = _connector(""), Intake(log)
    receivers = ShopReceivers(
        [shop], _sink(log, intake, directory), clock=SystemClock(), counts=ShopCounts(["bottega"])
    )
    server = IngestServer([receivers.mount])
    address = await server.start(Address("127.0.0.1", 0))
    try:
        used = time.process_time()
        async with _process("burst", f"http://{address}/connect/bottega", str(WEBHOOKS)) as burst:
            printed, _ = await burst.communicate()
        used = time.process_time() - used
    finally:
        await server.stop()
        await intake.stop()
        await shop.close()
    times = sorted(float(line) for line in printed.split())
    if len(times) != WEBHOOKS:
        raise RuntimeError(f"{len(times)} of {WEBHOOKS} webhooks were taken")
    return [
        result("connect.burst_median", times[len(times) // 2], "ms until a webhook is answered"),
        result("connect.burst_p99", times[len(times) * 99 // 100], "ms (p99)"),
        _processor("connect.burst_processor", used / WEBHOOKS, "µs/webhook"),
    ]


async def _history(log: EmbeddedLog, directory: Path, say: Say) -> list[Result]:
    say(f"{ORDERS:,} orders of a shop's history")
    async with _process("shop", str(ORDERS)) as standin:
        assert standin.stdout is not None
        url = (await standin.stdout.readline()).decode().strip()
        shop, intake = _connector(url), Intake(log)
        began, used = time.perf_counter(), time.process_time()
        (done,) = await backfill(
            shop, ["orders"], _sink(log, intake, directory), data_dir=directory
        )
        seconds, used = time.perf_counter() - began, time.process_time() - used
        await shop.close()
    if done.rows != ORDERS:
        raise RuntimeError(f"{done.rows} of {ORDERS} orders were read")
    return [
        result("connect.backfill", seconds, "s for 100,000 orders"),
        result("connect.backfill_orders", done.rows / seconds, "orders/s"),
        _processor("connect.backfill_processor", used / ORDERS, "µs/order"),
    ]


def _processor(name: str, seconds: float, unit: str) -> Result:
    """Return what an order takes of our processor beside `json.loads` of it, which nobody can do
    without: who shares the cores changes that least."""
    body = json.dumps(order(1))
    used = time.process_time()
    for _ in range(WEBHOOKS):
        json.loads(body)
    read = (time.process_time() - used) / WEBHOOKS
    return result(name, seconds * 1e6, unit, "json.loads", read * 1e6)


def _connector(api_url: str) -> Shopify:
    connection = ShopifyConnection(
        name="bottega", kind="shopify", shop=SHOP, secret=f"env:{_SECRET_NAME}",
        token=f"env:{_SECRET_NAME}", api_url=api_url,
    )  # fmt: skip
    return Shopify(connection, SystemClock())


def _sink(log: EmbeddedLog, intake: Intake, directory: Path) -> NewsSink:
    signer = record_signer(load_settings(data_dir=directory))
    return NewsSink(log, intake, clock=SystemClock(), signer=lambda: signer)


@asynccontextmanager
async def _process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.connecting", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def order(number: int) -> dict[str, Any]:
    """Return an order of a moment ago, by shape: a customer has five of them, each two lines. Of an
    old one the shop would be asked when it was paid for."""
    placed = to_rfc3339(SystemClock().now())
    line = {
        "id": 1, "product_id": 9001 + number % 500, "variant_id": 1, "title": "Moka 3 tazze",
        "variant_title": "Rosso", "vendor": "Esempio", "sku": f"S-{number % 500}", "quantity": 1,
        "price": "23.55", "total_discount": "0.00", "requires_shipping": True, "properties": [],
    }  # fmt: skip
    customer = number % 20_000
    address = {"first_name": "Anna", "last_name": "Verdi", "city": "Milano", "country_code": "IT"}
    return {
        "id": 1_000_000 + number, "name": f"#{number}", "email": f"c{customer}@example.it",
        "created_at": placed, "processed_at": placed, "updated_at": placed,
        "cancelled_at": None, "test": False,
        "currency": "EUR", "total_price": "52.00", "subtotal_price": "47.10", "total_tax": "9.38",
        "total_discounts": "0.00", "financial_status": "paid", "fulfillment_status": "fulfilled",
        "total_shipping_price_set": {"shop_money": {"amount": "4.90", "currency_code": "EUR"}},
        "discount_codes": [], "payment_gateway_names": ["paypal"], "cart_token": f"c{number}",
        "checkout_token": f"k{number}", "customer_locale": "it-IT", "note_attributes": [],
        "landing_site": "/products/moka?utm_source=newsletter&utm_campaign=marzo",
        "order_status_url": f"https://bottega.example.it/o/{number}", "refunds": [],
        "customer": {"id": 70_000 + customer, "email": f"c{customer}@example.it",
                     "first_name": "Anna", "last_name": "Verdi", "default_address": address},
        "billing_address": address, "shipping_address": address, "line_items": [line, line],
        "shipping_lines": [{"title": "Corriere", "price": "4.90"}],
        "fulfillments": [{"id": 5_000_000 + number, "status": "success",
                          "created_at": placed, "tracking_number": "IT1",
                          "tracking_company": "BRT", "line_items": [line, line]}],
    }  # fmt: skip


async def _shop(count: int) -> None:
    """Serve orders until the process is killed."""

    async def listed(request: web.Request) -> web.Response:
        first = int(request.query.get("page_info") or request.query["since_id"])
        start = max(0, first - 1_000_000 + 1) if first else 0
        rows = [order(number) for number in range(start, min(start + PER_PAGE, count))]
        headers = {}
        if start + PER_PAGE < count:
            link = f"{url}{request.path}?limit={PER_PAGE}&page_info={rows[-1]['id']}"
            headers["Link"] = f'<{link}>; rel="next"'
        return web.json_response({"orders": rows}, headers=headers)

    async def counted(_request: web.Request) -> web.Response:
        return web.json_response({"count": count})

    application = web.Application()
    application.router.add_get("/admin/api/2025-10/orders.json", listed)
    application.router.add_get("/admin/api/2025-10/orders/count.json", counted)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    url = f"http://{host}:{port}"
    print(url, flush=True)
    await asyncio.Event().wait()


async def _send(url: str, number: int) -> list[float]:
    bodies = [json.dumps(order(n)).encode() for n in range(number)]
    requests = [(body, _headers(body)) for body in bodies]
    async with ClientSession(
        connector=TCPConnector(limit=0), timeout=ClientTimeout(total=30)
    ) as session:

        async def one(body: bytes, headers: dict[str, str]) -> float | None:
            began = time.perf_counter()
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()
                return (time.perf_counter() - began) * 1000 if answer.status == 200 else None

        times = await asyncio.gather(*(one(*each) for each in requests))
    return [each for each in times if each is not None]


def _headers(body: bytes) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Hmac-SHA256": base64.b64encode(digest).decode(),
        "X-Shopify-Shop-Domain": SHOP,
    }


def main(arguments: list[str]) -> None:
    """Run one of the two processes."""
    if arguments[0] == "shop":
        asyncio.run(_shop(int(arguments[1])))
    else:
        for each in asyncio.run(_send(arguments[1], int(arguments[2]))):
            print(f"{each:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
