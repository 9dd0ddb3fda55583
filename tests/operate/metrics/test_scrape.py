"""A real Prometheus scrapes a real worker: no panel of the dashboard is empty, all rules evaluate.

Grafana can't be run here, so its part (putting a query's answer into a picture) stays unproven.
"""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from email import message_from_bytes
from importlib.metadata import version
from pathlib import Path
from typing import cast

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.any_hour import without_policy
from tests.faults.fleet import Inbox, Worker
from tests.http.public.visits import BROWSER
from tests.operate.metrics.prometheus import ask, needs_prometheus, prometheus_server
from tests.operate.metrics.test_rules_and_dashboard import DASHBOARD, DEPLOY, GROUPS, PANELS, RULES
from tests.ports import free_port
from tests.waiting import poll_pause

# What Grafana would put in their place; a minute of scrapes every second.
VARIABLES = {"$job": "ritorno", "$instance": ".*", "$__rate_interval": "1m"}

EVENTS = [
    ("list.subscribed", {"list": "newsletter"}),
    ("consent.given", {"purpose": "marketing", "source": "checkout"}),
    ("product.viewed", {"product_id": "p1"}),
    ("cart.product_added", {"product_id": "p1", "quantity": 1, "price": "52.00"}),
    ("order.completed", {
        "order_id": "o1", "total": "1052.00", "currency": "EUR",
        "products": [{"product_id": "p1", "name": "Olio", "quantity": 1, "price": "52.00"}],
    }),
]  # fmt: skip


def ndjson() -> bytes:
    """Return a customer's first visit, and a line that is no event; a custom field is no date."""
    traits = {"email": "zoe@posta.example", "first_purchase": "soon"}
    customer = {"type": "customer.created", "data": traits}
    rest = [{"type": type_, "data": data} for type_, data in EVENTS]
    lines = [
        json.dumps({"specversion": "1.0", "id": f"e{n}", "source": "/t", "subject": "c-1", **each})
        for n, each in enumerate([customer, *rest])
    ]
    return ("\n".join([*lines, "not json"]) + "\n").encode()


class Mailbox(Inbox):
    """Remembers the picture of each mail that tells of its opening."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd calls it by this name
        mail = message_from_bytes(cast(bytes, envelope.content))
        html = cast(bytes, mail.get_payload(1).get_payload(decode=True)).decode()  # type: ignore[union-attr]
        self.pixels += re.findall(r'http://[^"]+/o/[^"]+', html)
        return await super().handle_DATA(server, session, envelope)


MAPPINGS = """
mappings:
  - name: gestionale
    topic: ordini
    broker: kafka://127.0.0.1:9
    envelope: cloudevents
"""
"""Of a broker that nobody answers at: it is waited for, and that is shown."""


@pytest.fixture
def inbox() -> Iterator[Mailbox]:
    inbox = Mailbox()
    inbox.start()
    yield inbox
    inbox.stop()


CONNECTIONS = """
connections:
  - name: negozio
    kind: prestashop
    url: http://127.0.0.1:9
    key: env:SHOP_KEY
"""
"""A shop that doesn't answer either."""

WEBHOOKS = """
webhooks:
  - name: till
    url: https://till.example.it/hook
    types: [tier.changed]
    secrets: ["env:TILL_SECRET"]
"""
"""Of a type that does not occur here."""


@pytest.fixture
async def feed() -> AsyncIterator[str]:
    """The URL of a shop's product feed."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="sku,name,price,currency\np1,Olio,52.00,EUR\n")

    application = web.Application()
    application.router.add_get("/feed.csv", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/feed.csv"
    await runner.cleanup()


@pytest.fixture
async def worker(tmp_path: Path, inbox: Mailbox, feed: str) -> AsyncIterator[Worker]:
    workflows = without_policy(tmp_path / "workflows")
    (workflows / "webhooks.yaml").write_text(WEBHOOKS)
    mappings = tmp_path / "mappings.yaml"
    mappings.write_text(MAPPINGS)
    connections = tmp_path / "connections.yaml"
    connections.write_text(CONNECTIONS)
    environment = {
        "RITORNO_CONNECTIONS": str(connections),
        "SHOP_KEY": "chiave",
        "RITORNO_MAPPINGS": str(mappings),
        "RITORNO_FEEDS": json.dumps([{"name": "negozio", "url": feed}]),
        "RITORNO_FETCH_LOOPBACK": "true",
        "RITORNO_BROKER": f"embedded://{tmp_path / 'log'}",
        "RITORNO_SMTP_URL": f"smtp://127.0.0.1:{inbox.port}",
        "RITORNO_TICK_SECONDS": "0.2",
        "RITORNO_INSIGHTS_BIND": f"127.0.0.1:{free_port()}",
        "RITORNO_WORKFLOWS_DIR": str(workflows),
    }
    worker = Worker("worker-1", tmp_path / "worker-1", environment)
    worker.start()
    try:
        await worker.ready()
        yield worker
    finally:
        if worker.running:
            worker.kill()


@pytest.fixture
def prometheus(worker: Worker, tmp_path: Path) -> Iterator[str]:
    """Start a Prometheus with our own configuration, scraping every second; its URL."""
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    del config["alerting"]
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    [job, _] = config["scrape_configs"]  # of workers, and of ingest alone
    job["static_configs"][0]["targets"] = [f"127.0.0.1:{worker.admin_port}"]
    config["scrape_configs"] = [job]
    with prometheus_server(tmp_path, config) as url:
        yield url


def filled(expression: str) -> str:
    """Return a query with the dashboard's variables in it."""
    for name, text in VARIABLES.items():
        expression = expression.replace(name, text)
    return expression


async def empty_panels(http: aiohttp.ClientSession, url: str) -> list[str]:
    """Return the titles of the panels without any sample."""
    empty = []
    for panel in PANELS:
        for target in panel["targets"]:
            data = await ask(http, url, "query", query=filled(target["expr"]))
            if not data or not data["result"]:
                empty.append(panel["title"])
    return empty


@needs_prometheus
@pytest.mark.processes
async def test_no_panel_is_empty(worker: Worker, prometheus: str, inbox: Mailbox) -> None:
    ritorno = Path(sys.executable).parent / "ritorno"
    published = await asyncio.create_subprocess_exec(
        ritorno, "--broker", worker.environment["RITORNO_BROKER"], "publish", "-",
        stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await published.communicate(ndjson())
    assert published.returncode == 1  # the line that is no event
    async with aiohttp.ClientSession() as http:
        empty = ["not asked yet"]
        try:
            async with asyncio.timeout(40):
                while empty := await empty_panels(http, prometheus):
                    for pixel in inbox.pixels:
                        await (await http.get(pixel, headers=BROWSER)).read()
                    await poll_pause()
        except TimeoutError:
            pytest.fail(f"empty panels: {empty}\n{worker.last_words()}")
        marks = {each["name"]: each["expr"] for each in DASHBOARD["annotations"]["list"]}
        started, published = [
            await ask(http, prometheus, "query", query=filled(marks[name]))
            for name in ("Deployments", "Publications")
        ]
        [start] = started["result"]
        assert start["metric"]["version"] == version("ritorno")
        assert 0 < float(start["value"][0]) * 1000 - float(start["value"][1]) < 300_000
        assert published["result"] == []  # nothing has been since the worker started
        groups = (await ask(http, prometheus, "rules"))["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) == sum(len(group["rules"]) for group in GROUPS)
        assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
        exposed = await worker.metrics()
    assert not any(re.search(r"zoe|posta|c-1", name) for name in exposed)
