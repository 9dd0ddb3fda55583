"""What is really broken is really told: two workers on a real Kafka, Prometheus with our rules,
Alertmanager, and a webhook that gets the alerts.

All times in the rules are divided by FACTOR (`shorten.py`); everything else is as it is shipped.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from schemas.pending_work import LAYOUT_KEY
from schemas.records import OutRecord
from schemas.stored import NEVER, pack
from schemas.topics import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG
from streams.log import Log
from streams.partitioner import partition_of
from streams.runtime.definitions import publish, read_files
from streams.runtime.logs.kafka import KafkaLog
from streams.topology import topics
from tests.any_hour import without_policy
from tests.broker import KafkaBroker
from tests.faults.fleet import Fleet, Inbox, Worker, counts_of
from tests.faults.run import SESSION_SECONDS
from tests.keys import SECRET, SIGNER
from tests.operate.metrics.prometheus import (
    alertmanager_server,
    ask,
    needs_prometheus,
    prometheus_server,
)
from tests.operate.metrics.shorten import shortened
from tests.operate.metrics.test_rules_and_dashboard import DEPLOY, RULES
from tests.runtime.test_worker import event, tell
from tests.waiting import poll_pause

pytestmark = [pytest.mark.kafka, pytest.mark.processes]

FACTOR = 60
PARTITIONS = 4
SHOPPERS = [
    next(f"s{n}" for n in itertools.count() if partition_of(b"s%d" % n, PARTITIONS) == number)
    for number in range(PARTITIONS)
]
"""One in each partition."""
DEFECTIVE = "tests.operate.metrics.defective_worker"
MEMORY_DISK = "size=2g"
"""Nothing is taken of it until something is written."""
ROOM = 1 << 20
"""Bytes that are left on a full disk: too few for a store."""

DAMAGED = pack(10**9, NEVER, b"\xc1\xc1")
"""Newer than anything that a worker has written, and no msgpack."""
ORDER = {
    "order_id": "o1", "total": "52.00", "currency": "EUR",
    "products": [{"product_id": "moka", "name": "Moka", "quantity": 1, "price": "52.00"}],
}  # fmt: skip

Labels = dict[str, str]


class Webhook:
    """Takes what Alertmanager sends, and remembers which alerts fire and which are over."""

    def __init__(self) -> None:
        self.firing: list[Labels] = []
        self.resolved: list[Labels] = []
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        return runner

    async def _take(self, request: web.Request) -> web.Response:
        for alert in (await request.json())["alerts"]:
            assert (DEPLOY.parent / alert["annotations"]["runbook_url"]).is_file()
            taken = self.firing if alert["status"] == "firing" else self.resolved
            taken.append(alert["labels"])
        return web.Response()

    def missing(self, *expected: Labels, within: list[Labels] | None = None) -> list[Labels]:
        """Return those that have not come, by some of their labels."""
        come = self.firing if within is None else within
        return [each for each in expected if not any(each.items() <= one.items() for one in come)]

    async def receives(self, *expected: Labels, within: list[Labels] | None = None) -> None:
        """Wait until each of them has come."""
        try:
            async with asyncio.timeout(60):
                while self.missing(*expected, within=within):
                    await poll_pause()
        except TimeoutError:
            missing = self.missing(*expected, within=within)
            names = sorted({each["alertname"] for each in self.firing})
            pytest.fail(f"not received: {missing}; but {names}")


class Disk:
    """A file system in memory that can be made full, where mounting is permitted."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True)
        self._path = path
        mounting = ["mount", "-t", "tmpfs", "-o", MEMORY_DISK, "tmpfs", str(path)]
        self.is_mounted = subprocess.run(mounting, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        """Leave hardly any room."""
        disk = os.statvfs(self._path)
        size = (disk.f_blocks - disk.f_bfree) * disk.f_frsize + ROOM
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self._path)], check=True)

    def unmount(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self._path)], check=True)


def alert(name: str, **labels: str) -> Labels:
    return {"alertname": f"Ritorno{name}", **labels}


@pytest.fixture
async def log(fresh_broker: KafkaBroker) -> AsyncIterator[Log]:
    log = KafkaLog([fresh_broker.bootstrap])
    await log.start()
    yield log
    await log.stop()


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    webhook = Webhook()
    runner = await webhook.start()
    yield webhook
    await runner.cleanup()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    inbox.start()
    yield inbox
    with suppress(Exception):  # the test has stopped it already
        inbox.stop()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """That of the worker `one`."""
    disk = Disk(tmp_path / "one" / "data")
    yield disk
    disk.unmount()


@pytest.fixture
async def fleet(
    fresh_broker: KafkaBroker, log: Log, inbox: Inbox, disk: Disk, tmp_path: Path
) -> AsyncIterator[Fleet]:
    """Two workers that are ready."""
    workflows = without_policy(tmp_path / "workflows")
    await log.create_topics(topics(PARTITIONS))
    await publish(log, read_files(workflows), SIGNER)
    fleet = Fleet(
        tmp_path,
        RITORNO_BROKER=f"kafka://{fresh_broker.bootstrap}",
        RITORNO_SMTP_URL=f"smtp://127.0.0.1:{inbox.port}",
        RITORNO_PARTITIONS=str(PARTITIONS),
        RITORNO_KAFKA_SESSION_SECONDS=str(SESSION_SECONDS),
        RITORNO_TOKEN_KEYS=f"k1:{SECRET}",
        RITORNO_WORKFLOWS_DIR=str(workflows),
        PYTHONPATH=str(DEPLOY.parent),
    )
    for name in ("one", "two"):
        fleet.worker(name).command = (sys.executable, "-m", DEFECTIVE)
    try:
        await fleet.start("one", "two")
        yield fleet
    finally:
        fleet.kill()


@pytest.fixture
def prometheus(fleet: Fleet, webhook: Webhook, tmp_path: Path) -> Iterator[str]:
    """The URL of a Prometheus that scrapes both workers, and tells the webhook what it finds."""
    telling = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    del telling["inhibit_rules"]  # each alert is to be seen by itself
    telling["route"] |= {"group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
    telling["receivers"] = [{"name": "on-call", "webhook_configs": [{"url": webhook.url}]}]

    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(shortened(yaml.safe_load(RULES.read_text()), FACTOR)))
    asking = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    asking["global"] = {
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "evaluation_interval": "500ms",
    }
    asking["rule_files"] = [str(rules)]
    [job, _] = asking["scrape_configs"]  # of workers, and of ingest alone
    asking["scrape_configs"] = [job]
    job["static_configs"][0]["targets"] = [address(fleet, name) for name in ("one", "two")]
    with ExitStack() as running:
        teller = running.enter_context(alertmanager_server(tmp_path, telling))
        [manager] = asking["alerting"]["alertmanagers"]
        manager["static_configs"][0]["targets"] = [teller.removeprefix("http://")]
        patience = ["--query.lookback-delta=5s", "--rules.alert.resend-delay=1s"]
        yield running.enter_context(prometheus_server(tmp_path, asking, *patience))


def address(fleet: Fleet, name: str) -> str:
    return f"127.0.0.1:{fleet.worker(name).admin_port}"


async def shopping(log: Log) -> None:
    """Somebody does something in each partition all the time: a quiet one ticks every five
    minutes, and five seconds are those here."""
    for number in itertools.count():
        await tell(log, *(event("page.viewed", f"v{number}", each) for each in SHOPPERS))
        await poll_pause()


async def partitions_of(worker: Worker) -> set[int]:
    metrics = await worker.metrics()
    named = (
        number
        for number in range(PARTITIONS)
        if any(
            name.startswith("ritorno_partition_open{")
            and f'topic="{CUSTOMER_EVENTS}"' in name
            and f'partition="{number}"' in name
            for name in metrics
        )
    )
    return set(named)


async def until_all_is_well(url: str) -> None:
    """Wait until both workers are seen with all their partitions, and no alert fires or is about
    to."""
    query = (
        "count(up == 1) == 2 and on () "
        f'count(ritorno_partition_open{{topic="{CUSTOMER_EVENTS}"}} == 1) == {PARTITIONS}'
    )
    async with asyncio.timeout(30), aiohttp.ClientSession() as http:
        while True:
            seen = await ask(http, url, "query", query=query)
            alerts = await ask(http, url, "alerts")
            if seen and seen["result"] and alerts is not None and not alerts["alerts"]:
                return
            await poll_pause()


async def firing(url: str) -> set[str]:
    async with aiohttp.ClientSession() as http:
        alerts: dict[str, Any] = await ask(http, url, "alerts")
    return {each["labels"]["alertname"] for each in alerts["alerts"] if each["state"] == "firing"}


@needs_prometheus
async def test_what_is_broken_is_told(
    fleet: Fleet, disk: Disk, inbox: Inbox, log: Log, webhook: Webhook, prometheus: str
) -> None:
    one, two = fleet.worker("one"), fleet.worker("two")
    traffic = asyncio.create_task(shopping(log))
    try:
        await until_all_is_well(prometheus)
        webhook.firing.clear()  # what fired before the first scrape

        # Three at once: the relay, one of two workers, and the state of one of its partitions.
        stuck = min(await partitions_of(two))
        going = min(await partitions_of(one))
        rebalances = counts_of(await one.metrics(), "ritorno_rebalance_seconds_count")
        await log.append(CUSTOMERS_CHANGELOG, stuck, [OutRecord(LAYOUT_KEY, DAMAGED)])
        inbox.stop()
        two.kill()
        shopper = SHOPPERS[going]
        await tell(
            log,
            event("customer.created", "c1", shopper, email="anna@posta.example"),
            event("order.completed", "o1", shopper, **ORDER),
            event("product.reviewed", "r1", shopper, product_id="moka", rating=5),
            *(OutRecord(shopper.encode(), b"no event") for _ in range(15)),
        )
        partition = {"topic": CUSTOMER_EVENTS, "partition": str(stuck)}
        await webhook.receives(
            alert("WorkerDown", instance=address(fleet, "two")),
            alert("PartitionClosed", **partition),
            alert("PartitionLags", **partition),
            alert("PartitionStandsStill", partition=str(stuck)),
            alert("RelayDown", relay=f"127.0.0.1:{inbox.port}"),
            alert("SetAside"),
            alert("DeadLetters"),
        )
        # What one sees then on the dashboard: who has taken the partitions over, and how fast.
        metrics = await one.metrics()
        assert counts_of(metrics, "ritorno_rebalance_seconds_count") > rebalances
        assert await partitions_of(one) == set(range(PARTITIONS))
        assert (
            metrics[f'ritorno_partition_lag{{partition="{stuck}",topic="{CUSTOMER_EVENTS}"}}'] > 0
        )
        if disk.is_mounted:
            disk.fill()
            await webhook.receives(alert("DiskFull", instance=address(fleet, "one")))
        one.kill()
        await webhook.receives(alert("AllWorkersDown"), alert("MetricsGone"), alert("NotReading"))
        # Nobody is left who could tell of them; they are no better for that.
        left = {"RitornoRelayDown", *(["RitornoDiskFull"] if disk.is_mounted else [])}
        assert left <= await firing(prometheus)
        assert not left & {each["alertname"] for each in webhook.resolved}

        two.start()  # never ready: one partition is still damaged
        await webhook.receives(
            alert("AllWorkersDown"), alert("MetricsGone"), within=webhook.resolved
        )
    finally:
        traffic.cancel()
