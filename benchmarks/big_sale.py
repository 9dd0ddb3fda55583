"""All at once: a sale, held mails that may go, and another version that runs follow.

A worker with 200,000 customers (RocksDB, on Kafka) while 1,000 events a second come in. At one
instant 20,000 held mails may go, 1,000 prices fall that concern 100,000 customers, and a workflow
is published whose 50,000 runs go by the live version. Measured: the longest wait for an answer of
/healthz meanwhile, when all of it is done, and the longest time between two heartbeats of the
group. Nobody answers at the relay: it is the decisions that are seen.

What has kept the loop is told besides, by its stacks. `python -m benchmarks.big_sale 0.2` does the
same with a fifth of everything, on which a machine that others use can be told from a slow worker.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rich.console import Console

from agents.definitions.published import Definitions
from agents.partition.partition import PartitionActors
from benchmarks import machine, results
from benchmarks.machine import SIGNER, Machine, Worker
from benchmarks.recovery import as_read
from benchmarks.results import Result, result
from benchmarks.say import Say, progress_output
from benchmarks.throughput import SEED, SILENT
from benchmarks.workload import Workload, fill
from schemas.customer import Customer, decode_customer, encode_customer
from schemas.customer.shopping import LineItem
from schemas.definitions import DEFINITION, canonical
from schemas.instant import to_rfc3339
from schemas.products import Product
from schemas.records import OutRecord
from schemas.stored import PROGRESS_KEY, Progress, pack_progress, unpack_progress
from schemas.topics import CUSTOMER_EVENTS, CUSTOMERS_CHANGELOG, SEND_COMMANDS
from schemas.yaml_text import Document
from streams.clock import SystemClock
from streams.partitioner import partition_of
from streams.runtime import product_feed
from streams.runtime.definitions import publish
from streams.runtime.transports.kafka import SESSION_TIMEOUT
from streams.tools.replay import prepared


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    customers: int = 200_000
    in_sale: int = 100_000
    held: int = 20_000
    following: int = 50_000

    def share(self, share: float) -> Size:
        """Return so much of it."""
        numbers = (self.customers, self.in_sale, self.held, self.following)
        return Size(*(int(number * share) for number in numbers))


PRICES = 1_000
EVENTS_A_SECOND = 1_000
VIEWS = 12
"""Products that everybody has looked at before."""

AHEAD = 60
"""Seconds from the beginning to the instant: to start the worker."""
AHEAD_FOR_ALL = 120
"""Seconds more for all customers: to write the state, and to recover it."""
DONE_SECONDS = 600
"""Within which it is done even on a machine that others use too."""
TOLD = 8
"""Stalls and searches for cycles that are shown, the longest first."""
APPENDED = 2_000
CHUNK = 100
"""Events appended together, ten times a second."""

SALE = """
id: w1-sale
title: {en: Sale}
trigger: {product: price_drop, of: in_cart}
entry: {once_per: product}
steps: [{id: tag, tag: "cheaper:{run.product}"}, {id: later, wait: 30d, tag: reminded}]
"""
MAIL = """
id: w2-mail
title: {en: Mail}
trigger: product.reviewed
entry: {once_per: event}
steps: [{id: mail, send: browse-interest, kind: informative, expires: 2d}]
"""
FOLLOWED = """
id: w3-followed
title: {en: Followed}
versions: live
trigger: support.requested
entry: {once_per: event}
steps: [{id: wait, wait: WAIT, tag: followed}]
"""
POLICY = """
id: policy
definition: policy
quiet: {from: "FROM", to: "TO"}
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """What is live, and when."""

    instant: float
    """Seconds since the epoch: when the held mails may go."""
    first: Mapping[str, bytes]
    then: Mapping[str, bytes]
    """Definitions with another version of the workflow that runs follow."""


class Span(NamedTuple):
    """From when to when it went on, by `time.monotonic`."""

    began: float
    ended: float


async def measure(here: Machine, say: Say, size: Size | None = None) -> list[Result]:
    """Measure once."""
    size = size or Size()
    shop = _shop(AHEAD + AHEAD_FOR_ALL * size.customers // Size().customers)
    await publish(here.log, shop.first, SIGNER)
    say(f"the state of {size.customers:,} customers")
    await _write_state(here, shop, size)
    prices = [_product(number, "100.00") for number in range(PRICES)]
    await product_feed.publish(here.log, prices, SIGNER)
    seen = here.directory / "stalls.json"
    with here.worker("sale", **SILENT) as worker:
        worker.command = [sys.executable, "-m", "benchmarks.stalls", str(seen)]
        worker.environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
        worker.start()
        await worker.ready()
        say("1,000 events a second, and all at once")
        events = asyncio.create_task(_keep_sending(here, size))
        try:
            began, found = await _at_once(here, worker, shop, size, say)
            worker.signal(signal.SIGTERM)
            await asyncio.to_thread(worker.wait)
            return [*found, *_what_was_seen(seen, began, say)]
        finally:
            events.cancel()
            with suppress(asyncio.CancelledError):
                await events


def _what_was_seen(path: Path, during: Span, say: Say) -> list[Result]:
    """Say what has kept the worker's loop, and return its figures; see `benchmarks/stalls.py`."""
    seen = json.loads(path.read_text())
    stalls = [each for each in seen["stalls"] if during.began <= each["at"] <= during.ended]
    searches = [each for each in seen["searches"] if during.began <= each["at"] <= during.ended]
    for stall in stalls[:TOLD]:
        say(
            f"loop stalled {stall['ms']} ms ({stall['worked']} of processor) after "
            f"{stall['at'] - during.began:.1f} s, {stall['samples']} samples"
        )
        for place, times in stall["places"]:
            say(f"  {times} × {place}")
    told = [
        f"{each['ms']} ms ({each['worked']} of processor, generation {each['generation']}, "
        f"{each['found']} found)"
        for each in searches[:TOLD]
    ]
    say("searches for cycles: " + "; ".join(told))
    longest = max((each["ms"] for each in stalls), default=0)
    return [
        result("big_sale.longest_stall", longest, "ms"),
        result("big_sale.longest_search", max(each["ms"] for each in searches), "ms"),
        result(
            "big_sale.between_heartbeats", seen["heartbeat"], "s",
            "session timeout", SESSION_TIMEOUT,
        ),
    ]  # fmt: skip


async def _at_once(
    here: Machine, worker: Worker, shop: Shop, size: Size, say: Say
) -> tuple[Span, list[Result]]:
    await asyncio.sleep(max(5.0, shop.instant - time.time()))
    asked = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.pulse", f"http://127.0.0.1:{worker.admin_port}/healthz",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    began = time.monotonic()
    cheaper = [_product(number, "80.00") for number in range(PRICES)]
    await product_feed.publish(here.log, cheaper, SIGNER)
    await publish(here.log, shop.then, SIGNER)
    ends = await here.log.offsets(CUSTOMER_EVENTS)
    async with asyncio.timeout(DONE_SECONDS):
        while not await _is_done(here, size, {number: span.end for number, span in ends.items()}):  # noqa: ASYNC110  # another process sets no event of ours
            await asyncio.sleep(0.5)
    during = Span(began, time.monotonic())
    asked.send_signal(signal.SIGTERM)
    printed, _ = await asked.communicate()
    pulse = json.loads(printed)
    metrics = await worker.metrics()
    say("longest waits: " + ", ".join(f"{wait * 1000:.0f} ms" for wait in pulse["longest"]))
    reopened = machine.total(metrics, "ritorno_partition_incidents_total", 'what="reopened"')
    memory = metrics["process_resident_memory_bytes"]
    return during, [
        result("big_sale.longest_answer", pulse["longest"][0] * 1000, "ms"),
        result("big_sale.done", during.ended - during.began, "s"),
        result("big_sale.partitions_reopened", reopened, "partitions"),
        result("big_sale.memory", memory / 2**20, "MB"),
    ]


async def _is_done(here: Machine, size: Size, ends: Mapping[int, int]) -> bool:
    """Whether everybody is told and has followed, and all mails that were held are commanded."""
    commanded = sum(span.end for span in (await here.log.offsets(SEND_COMMANDS)).values())
    if commanded < size.held:
        return False
    for number, span in (await here.log.offsets(CUSTOMERS_CHANGELOG)).items():
        progress = None
        async for chunk in here.log.read(CUSTOMERS_CHANGELOG, number, span.end - 1, span.end):
            for record in chunk:
                if record.key == PROGRESS_KEY and record.value is not None:
                    progress = unpack_progress(record.value)
        if progress is None or progress.next_offset < ends[number] or progress.broadcasts:
            return False
    return True


async def _keep_sending(here: Machine, size: Size) -> None:
    workload = Workload(seed=SEED, now=SystemClock().now(), customers=size.customers)
    due = time.monotonic()
    while True:
        await fill(here.log, workload.events(CHUNK))
        due += CHUNK / EVENTS_A_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def _shop(ahead: int) -> Shop:
    instant = datetime.now(ZoneInfo("Europe/Rome")) + timedelta(seconds=ahead + 60)
    instant = instant.replace(second=0, microsecond=0)
    began = instant - timedelta(hours=12)
    quiet = POLICY.replace("FROM", f"{began:%H:%M}").replace("TO", f"{instant:%H:%M}")
    first = _files(SALE, MAIL, quiet, FOLLOWED.replace("WAIT", "30d"))
    then = first | _files(FOLLOWED.replace("WAIT", "40d"))
    return Shop(instant.timestamp(), first, then)


def _files(*texts: str) -> dict[str, bytes]:
    definitions = [DEFINITION.validate_python(Document(text).content) for text in texts]
    return {each.id: canonical(each) for each in definitions}


def _product(number: int, price: str) -> Product:
    return Product(sku=f"S{number:04}", name=f"Prodotto {number}", price=Decimal(price))


async def _write_state(here: Machine, shop: Shop, size: Size) -> None:
    """Write the changelog directly, as a worker would have."""
    definitions, live = prepared(shop.first)
    models = _models(definitions, live)
    ends = {number: span.end for number, span in (await here.log.offsets(CUSTOMER_EVENTS)).items()}
    waiting: defaultdict[int, list[OutRecord]] = defaultdict(list)
    for number in range(size.customers):
        key = f"c{number:06}"
        stored = _customer(models, size, number, key)
        partition = partition_of(key.encode(), len(ends))
        waiting[partition].append(OutRecord(key.encode(), stored))
        if len(waiting[partition]) == APPENDED:
            await here.log.append(CUSTOMERS_CHANGELOG, partition, waiting.pop(partition))
    now = SystemClock().now()
    for partition, end in ends.items():
        progress = Progress(next_offset=end, log_time=now, live=live, log_epoch=now)
        last = OutRecord(PROGRESS_KEY, pack_progress(progress))
        await here.log.append(CUSTOMERS_CHANGELOG, partition, [*waiting[partition], last])


def _customer(models: Mapping[str, Customer], size: Size, number: int, key: str) -> bytes:
    if number < size.in_sale:
        model = models["sale"]
        model.cart.lines = [LineItem(f"S{number % PRICES:04}", 1, Decimal("100.00"))]
    elif number < size.in_sale + size.held:
        model = models["held"]
    elif number < size.in_sale + size.held + size.following:
        model = models["followed"]
    else:
        model = models["plain"]
    model.key = key
    return encode_customer(model)


def _models(definitions: Definitions, live: dict[str, str]) -> dict[str, Customer]:
    """Return one customer of each kind, who has come to be what it is by events."""
    actors = PartitionActors(
        partition=0, load=lambda _: None, definitions=definitions, progress=Progress(live=live)
    )
    changes = actors.receive(list(as_read(_histories())))
    kept = {key.decode(): stored for key, stored in changes.states if stored}
    models = {kind: decode_customer(kind, kept[kind]) for kind in KINDS}
    for model in models.values():
        model.applied = -1
    assert models["held"].runs[0].held
    assert models["followed"].runs
    return models


KINDS = ("sale", "held", "followed", "plain")


def _histories() -> Iterator[OutRecord]:
    for kind in KINDS:
        yield _event(kind, "customer.updated", email=f"{kind}@example.com", first_name="Anna")
        yield _event(kind, "consent.given", purpose="marketing", source="form")
        for view in range(VIEWS):
            yield _event(kind, "product.viewed", product_id=f"V{view}", category=f"C{view % 5}")
    yield _event("sale", "cart.product_added", product_id="S0000", price="100.00")
    yield _event("held", "product.reviewed", product_id="V1")
    yield _event("followed", "support.requested")


def _event(customer: str, type_: str, **data: str) -> OutRecord:
    time_ = to_rfc3339(round(datetime.now(UTC).timestamp() * 1000) - 1_000)
    id_ = f"{customer}-{type_}-{data.get('product_id', '')}"
    headers = (
        ("ce_id", id_.encode()),
        ("ce_source", b"/shop"),
        ("ce_type", type_.encode()),
        ("ce_time", time_.encode()),
    )
    return OutRecord(customer.encode(), json.dumps(data).encode(), headers)


async def _alone(share: float) -> None:
    console = Console(width=200)
    with progress_output(console) as say, machine.scratch() as directory:
        async with machine.broker(directory) as here:
            found = await measure(here, say, Size().share(share))
    results.show(found, console)


if __name__ == "__main__":
    asyncio.run(_alone(float(sys.argv[1])))
