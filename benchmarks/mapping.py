"""Foreign records a second: a topic that an ERP owns, mapped into `customer-events`, and the worker
on the events that come of it."""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import islice
from pathlib import Path

from aiohttp import ClientError

from benchmarks import machine
from benchmarks.machine import DRAIN_SECONDS, POLL_SECONDS, Machine, Worker
from benchmarks.pace import Measured, Pace
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.throughput import SILENT
from benchmarks.workload import CHUNK, Workload
from schemas.records import OutRecord
from streams.clock import SystemClock
from streams.log import TopicSpec

EVENTS = 100_000
PARTITIONS = 8
TOPIC = "movimenti"
SEED = 7

FILE = """
mappings:
  - name: gestionale
    topic: movimenti
    source: gestionale:negozio.example.it
    customer: value.cliente
    time: value.quando
    drop: [value.prova]
    events:
      - type: product.viewed
        when: value.tipo == "VISTO"
        id: value.numero
        properties: &prodotto
          product_id: value.dati.product_id
          name: value.dati.name
          category: value.dati.category
          brand: value.dati.brand
          price: value.dati.price
          currency: value.dati.currency
          url: value.dati.url
      - type: page.viewed
        when: value.tipo == "PAGINA"
        id: value.numero
        properties: {url: value.dati.url, path: value.dati.path, title: value.dati.title}
      - type: cart.product_added
        when: value.tipo == "NEL CARRELLO"
        id: value.numero
        properties: {<<: *prodotto, quantity: value.dati.quantity}
      - type: cart.product_removed
        when: value.tipo == "TOLTO"
        id: value.numero
        properties: {product_id: value.dati.product_id}
      - type: order.completed
        when: value.tipo == "ORDINE"
        id: '"order:" + value.dati.order_id + ":completed"'
        properties:
          order_id: value.dati.order_id
          total: value.dati.total
          currency: {constant: EUR}
          products:
            each: value.dati.products
            fields: {product_id: item.product_id, name: item.name, price: item.price,
                     quantity: item.quantity, category: item.category}
"""

_KINDS = {
    "product.viewed": "VISTO",
    "page.viewed": "PAGINA",
    "cart.product_added": "NEL CARRELLO",
    "cart.product_removed": "TOLTO",
    "order.completed": "ORDINE",
}


async def measure(here: Machine, say: Say) -> list[Result]:
    """Measure the mapping alone, then the worker on what it has written."""
    say(f"filling {TOPIC} with {EVENTS:,} records of an ERP")
    await here.log.create_topics([TopicSpec(name=TOPIC, partitions=PARTITIONS)])
    await _fill(here)
    file = here.directory / "mappings.yaml"
    file.write_text(FILE)
    with here.worker("mapping", RITORNO_MAPPINGS=str(file)) as process:
        process.command = (str(Path(sys.executable).parent / "ritorno"), "mappings", "run")
        process.start()
        say("the mapping, alone")
        mapped = await _follow(process)
    with here.worker("mapped", **SILENT) as worker:
        worker.start()
        say("the worker, on the events that have come of it")
        worked = await machine.follow(worker, EVENTS)
    return [
        result("mappings.records", mapped.per_second, "records/s", "the worker on the same events",
               worked.per_second)
    ]  # fmt: skip


async def _fill(here: Machine) -> None:
    workload = Workload(seed=SEED, now=SystemClock().now())
    records = (_foreign(number, each) for number, each in enumerate(workload.events(EVENTS)))
    while chunk := list(islice(records, CHUNK)):
        for partition in range(PARTITIONS):
            await here.log.append(TOPIC, partition, chunk[partition::PARTITIONS])


def _foreign(number: int, event: OutRecord) -> OutRecord:
    headers = dict(event.headers)
    body = {
        "numero": f"M-{number}",
        "tipo": _KINDS[headers["ce_type"].decode()],
        "prova": False,
        "quando": headers["ce_time"].decode(),
        "cliente": (event.key or b"").decode(),
        "dati": json.loads(event.value or b"{}"),
    }
    return OutRecord(event.key, json.dumps(body).encode())


async def _follow(process: Worker) -> Measured:
    pace = Pace(EVENTS, DRAIN_SECONDS)
    async with asyncio.timeout(DRAIN_SECONDS + 60):
        while not pace.over:
            if done := await _mapped(process):
                pace.reached(done)
            await asyncio.sleep(POLL_SECONDS)
    return pace.measured()


async def _mapped(process: Worker) -> int:
    try:
        metrics = await process.metrics()
    except (OSError, ClientError):  # it doesn't listen yet
        if not process.running:
            raise RuntimeError(f"the mapping has ended:\n{process.last_words()}") from None
        return 0
    return int(machine.total(metrics, "ritorno_mapping_records_total", 'outcome="mapped"'))
