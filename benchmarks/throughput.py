"""Events a second: the whole worker on a topic that is already full, beside its peers."""

from __future__ import annotations

import asyncio
from itertools import chain

from benchmarks import machine
from benchmarks.machine import Inbox, Machine
from benchmarks.pace import Measured
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.workload import CUSTOMERS, Workload, fill
from streams.clock import SystemClock
from streams.topology import CUSTOMER_EVENTS

EVENTS = 200_000
MAIL_EVENTS = 50_000
"""Of the run with mails: 1,500 orders with a confirmation each, and 2,500 welcomes."""

SEED = 1
SILENT = {"RITORNO_SMTP_URL": "smtp://127.0.0.1:9"}
"""A relay that nobody answers at; without addresses no mail is decided."""

PEERS = {"stock Faust with a Table": "stock_faust", "bare aiokafka loop": "bare_aiokafka"}


async def kafka(here: Machine, say: Say) -> tuple[list[Result], dict[str, Measured]]:
    """Measure worker and peers on Kafka; also return the peers' paces by name."""
    await _fill(here, say)
    name = "kafka.worker_events"
    worker = await _worker(here, "kafka", say)
    peers = {}
    for peer, module in PEERS.items():
        say(f"{peer} on the same topic")
        peers[peer] = await here.peer(module, CUSTOMER_EVENTS, EVENTS)
    return beside(name, worker, peers), peers


async def embedded(here: Machine, say: Say, peers: dict[str, Measured]) -> list[Result]:
    """Measure the worker on the embedded log, beside the `peers` measured on Kafka."""
    await _fill(here, say)
    return beside("embedded.worker_events", await _worker(here, "embedded", say), peers)


async def mails(here: Machine, say: Say) -> list[Result]:
    """Measure the worker with customers who get mail: it renders and delivers what it decides."""
    workload = Workload(seed=SEED + 1, now=SystemClock().now())
    say(f"filling customer-events with {MAIL_EVENTS:,} events of customers with an address")
    events = await fill(here.log, chain(workload.signups(), workload.events(MAIL_EVENTS)))
    inbox = Inbox()
    inbox.start()
    try:
        with here.worker("mails", RITORNO_SMTP_URL=f"smtp://127.0.0.1:{inbox.port}") as worker:
            worker.start()
            say("the worker, its mails going to an SMTP server on the same cores")
            measured, delivered = await asyncio.gather(
                machine.follow(worker, events), machine.mailed(inbox, worker, events)
            )
    finally:
        inbox.stop()
    return [
        result("mails.worker_events", measured.per_second, "events/s"),
        result("mails.delivered", delivered.per_second, "mails/s"),
    ]


def beside(name: str, worker: Measured, peers: dict[str, Measured]) -> list[Result]:
    """Return one row per peer, one row without any."""
    if not peers:
        return [result(name, worker.per_second, "events/s")]
    return [
        result(name, worker.per_second, "events/s", peer, measured.per_second)
        for peer, measured in peers.items()
    ]


async def _fill(here: Machine, say: Say) -> None:
    say(f"filling customer-events with {EVENTS:,} events of {CUSTOMERS:,} customers")
    workload = Workload(seed=SEED, now=SystemClock().now())
    await fill(here.log, workload.events(EVENTS))


async def _worker(here: Machine, name: str, say: Say) -> Measured:
    with here.worker(name, **SILENT) as worker:
        worker.start()
        say(f"the worker ({name})")
        return await machine.follow(worker, EVENTS)
