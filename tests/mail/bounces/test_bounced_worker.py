"""A whole worker: a mail goes out with a return address, bounces by SMTP, and nobody writes there
again, under whatever customer, until a person releases the address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiosmtplib import SMTP

from agents.mail.suppression import AddressHashes
from schemas.records import Record
from streams.clock import VirtualClock
from streams.mail.suppressions import Author, release
from streams.runtime.factories import record_signer, signing_keys
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.topology import CUSTOMER_EVENTS, SUPPRESSIONS
from tests.mail.bounces.harness import bounce
from tests.runtime.doubles import START
from tests.runtime.test_worker import (
    LOOPBACK,
    Inbox,
    all_done,
    event,
    everything,
    inbox,
    tell,
)

__all__ = ["inbox"]

DOMAIN = "rimbalzi.negozio.example"
ADDRESS = "anna.verdi@cliente.example"


@pytest.fixture
def settings(tmp_path: Path, inbox: tuple[Inbox, str]) -> Settings:
    return Settings(
        broker=f"embedded://{tmp_path}/log",
        data_dir=tmp_path / "data",
        admin_bind=LOOPBACK,
        public_bind=LOOPBACK,
        smtp_url=inbox[1],
        partitions=2,
        tick_seconds=60,
        mail_bounce_domain=DOMAIN,
        inbound_smtp_bind=LOOPBACK,
    )


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Callable[[], Awaitable[Worker]]]:
    async with AsyncExitStack() as stack:

        async def start() -> Worker:
            worker = Worker(settings, clock=VirtualClock(START))
            stack.push_async_callback(worker.stop)
            await worker.start()
            return worker

        yield start


async def order(worker: Worker, customer: str, order_id: str) -> None:
    lines = [{"product_id": "p1", "price": "9.90"}]
    await tell(
        worker.log,
        event("customer.updated", f"u-{order_id}", customer, email=ADDRESS),
        event("order.completed", f"e-{order_id}", customer, order_id=order_id, products=lines),
    )


async def told(worker: Worker, customer: str, type_: str) -> None:
    """Wait until the customer's actor is told this."""
    wanted = (customer.encode(), type_.encode())
    await until(
        worker, CUSTOMER_EVENTS, lambda record: (record.key, record.header("ce_type")) == wanted
    )


async def until(worker: Worker, topic: str, wanted: Callable[[Record], bool]) -> None:
    """Wait until a record of a topic is there, and all that is there is applied."""
    assert isinstance(worker.log, EmbeddedLog)
    async with asyncio.timeout(20):
        while True:
            version = worker.log.version
            if any(map(wanted, await everything(worker.log, topic))):
                break
            await worker.log.wait_beyond(version)
    await all_done(worker)


async def test_from_the_bounce_to_the_release(
    start: Callable[[], Awaitable[Worker]], inbox: tuple[Inbox, str], settings: Settings
) -> None:
    worker = await start()
    await order(worker, "anna", "o1")
    envelope = await inbox[0].mails.get()
    assert envelope.mail_from is not None
    assert envelope.mail_from.endswith(f"@{DOMAIN}")
    assert "anna" not in envelope.mail_from

    await told(worker, "anna", "mail.sent")

    async with SMTP(hostname="127.0.0.1", port=worker.inbound.smtp_port, start_tls=False) as back:
        await back.sendmail("", [envelope.mail_from], bounce("x@relay.example"))
    await told(worker, "anna", "mail.bounced")
    await until(worker, SUPPRESSIONS, lambda record: record.key is not None)
    assert worker.metrics.registry.get_sample_value("ritorno_bounces_total", {"kind": "hard"}) == 1

    # Somebody else with the same address, in whatever partition, also after a restart.
    await order(worker, "bruno", "o2")
    await told(worker, "bruno", "mail.skipped")
    await worker.stop()
    worker = await start()
    await order(worker, "carla", "o3")
    await told(worker, "carla", "mail.skipped")
    assert inbox[0].mails.empty()

    author = Author("lia", START + 1, "the mailbox works again")
    hashes = AddressHashes(signing_keys(settings))
    released = await release(worker.log, hashes, ADDRESS, author, record_signer(settings))
    # The address's other holders have been told of the bounce, each when it came to the address.
    assert released.customers == ["anna", "bruno", "carla"]
    await worker.suppressions.refresh()
    for number, customer in enumerate(("anna", "dora")):
        await order(worker, customer, f"o{4 + number}")
        await inbox[0].next()
    await told(worker, "dora", "mail.sent")
