"""Makes the frozen copies: what a release leaves behind, for later ones to open.

    cd WORKTREE_OF_THE_RELEASE && PYTHONPATH=. python …/tests/frozen/make.py DIRECTORY

Run it with the code of the release, never with later one; `release-0.1/` was made at 33add6f. It
tells one story to a worker on each log and store, and writes beside the copies what the release
itself knew at the end (`*.known.json`).
"""

from __future__ import annotations

import asyncio
import base64
import json
import lzma
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope
from pydantic import SecretStr

from agents.mail.queue.queued_mail import unpack_entry
from agents.mail.suppression import AddressHashes
from schemas.commands import PauseCommand
from schemas.customer import decode_customer
from schemas.description import describe
from schemas.products import Product
from schemas.records import OutRecord
from schemas.stored import HEAD_SIZE, OWN_PREFIX, PROGRESS_KEY, unpack_progress
from streams.clock import Clock, SystemClock, VirtualClock
from streams.log import Log
from streams.mail.suppressions import Author, suppress
from streams.partitioner import partition_of
from streams.runtime import product_feed
from streams.runtime.factories import log_from, signing_keys
from streams.runtime.state.memory import MemoryStore
from streams.runtime.state.recovery import recover
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.settings.values import Address
from streams.topology import (
    CUSTOMER_EVENTS,
    CUSTOMERS_CHANGELOG,
    MAILER_CHANGELOG,
    SEND_COMMANDS,
    topics,
)
from tests.broker import KafkaBroker, jars

START = 1_772_445_600_000
"""2026-03-02T10:00:00Z."""
PARTITIONS = 2
HOUR = 3_600_000
KEYS = ("k1:a-secret-of-the-frozen-copies",)

COUPONS = """
id: coupons
definition: coupons
campaigns:
  - {id: gift, kind: gift, description: {it: regalo}, pool: [UNO, DUE, TRE, QUATTRO, CINQUE]}
"""
GIVES = """
id: w22-gives
title: {it: Codice}
trigger: order.completed
entry: {once_per: order}
steps:
  - {id: code, coupon: gift}
  - {id: later, wait: 300d, tag: patient}
"""
RECEIVED = """
id: w02-received
title: {it: Ordine ricevuto}
trigger: order.completed
entry: {once_per: order}
steps:
  - {id: received, send: order-received, class: transactional, kind: transactional}
"""
CART = """
id: w06-cart
title: {it: Carrello}
trigger: cart.changed
entry: {once_per: cart}
exit_on: [order.completed]
steps:
  - {id: reminder, wait: {for: 200d, since: cart.changed}, send: cart-reminder, kind: informative}
"""


class Relay:
    """Takes mails as long as it is in the mood."""

    reply = "250 taken"

    async def handle_DATA(self, _server: SMTP, _session: object, _envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        return self.reply


def event(type_: str, id_: str, customer: str, **data: object) -> OutRecord:
    headers = {"ce_id": id_, "ce_source": "/shop", "ce_type": type_, "ce_specversion": "1.0"}
    raw = [(name, text.encode()) for name, text in headers.items()]
    return OutRecord(customer.encode(), json.dumps(data).encode(), raw)


def order(id_: str, customer: str) -> OutRecord:
    line = {"product_id": "moka", "name": "Moka", "price": "34.90", "quantity": 1}
    return event("order.completed", f"order-{id_}", customer, order_id=id_, total="34.90",
                 email=f"{customer}@example.it", products=[line])  # fmt: skip


def signed_up(customer: str) -> list[OutRecord]:
    address = f"{customer}@example.it"
    return [
        event("customer.created", f"{customer}-1", customer, email=address, first_name=customer),
        event("consent.given", f"{customer}-2", customer, purpose="marketing", source="form"),
    ]


CART_LINE = {"product_id": "tazza", "name": "Tazza", "price": "9.90", "cart_id": "c1"}
NAMES = ("anna", "bruno", "carla", "dario", "elena", "fabio")
FIRST = [
    *(
        record
        for name in ("anna", "bruno", "carla", "dario", "elena", "fabio")
        for record in signed_up(name)
    ),
    *(event("product.viewed", f"anna-view-{n}", "anna", product_id=f"p{n % 9}") for n in range(70)),
    event("cart.product_added", "anna-cart", "anna", **CART_LINE),
    event("product.viewed", "visitor-1", "v-1", product_id="moka"),
    event("cart.product_added", "visitor-2", "v-1", **CART_LINE),
    event("customer.identified", "visitor-3", "v-1", customer_id="bruno"),
    order("o-dario", "dario"),
    order("o-elena", "elena"),
    event("cart.product_added", "fabio-cart", "fabio", **CART_LINE),
    event("customer.updated", "carla-3", "carla", phone="+39 333"),
]
THEN = [
    event("customer.erasure_requested", "carla-4", "carla"),
    event("product.viewed", "visitor-4", "v-1", product_id="tazza"),
    order("o-bruno", "bruno"),
]


async def make(directory: Path) -> None:
    for store in ("memory", "rocksdict"):
        with tempfile.TemporaryDirectory() as scratch:
            data = Path(scratch) / "data"
            settings = settings_for(Path(scratch), f"embedded://{data}/log", store=store)
            await tell(settings, VirtualClock(START))
            await note(settings, directory / f"{store}.known.json")
            with tarfile.open(directory / f"{store}.tar.xz", "w:xz", preset=9) as tar:
                tar.add(data, "data", filter=_plain)
    with tempfile.TemporaryDirectory() as scratch:
        broker = KafkaBroker(jars(), Path(scratch))
        broker.start()
        try:
            settings = settings_for(Path(scratch), f"kafka://{broker.bootstrap}", store="memory")
            log = log_from(settings, SystemClock())
            await log.start()
            await log.create_topics(topics(PARTITIONS))
            await log.stop()
            await tell(settings, SystemClock())
            await note(settings, directory / "kafka.known.json")
            await dump(settings, directory / "kafka.json.xz")
        finally:
            broker.kill()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    left_out = member.name.endswith(("worker.lock", "/LOG"))  # of this machine alone
    return None if left_out else member


def settings_for(scratch: Path, broker: str, **more: Any) -> Settings:
    workflows = scratch / "workflows"
    shutil.copytree(Path("workflows") / "templates", workflows / "templates")
    for text in (COUPONS, GIVES, RECEIVED, CART):
        name = text.split()[1]
        (workflows / f"{name}.yaml").write_text(text)
    return Settings(
        broker=broker, data_dir=scratch / "data", workflows_dir=workflows, partitions=PARTITIONS,
        admin_bind=Address("127.0.0.1", 0), public_bind=Address("127.0.0.1", 0), tick_seconds=3600,
        token_keys=",".join(KEYS), worker_id="frozen", mail_provider_lookup=False, **more,
    )  # fmt: skip


async def tell(settings: Settings, clock: Clock) -> None:
    """Tell the story to a worker."""
    relay = Relay()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(relay, hostname="relay", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = settings.model_copy(update={"smtp_url": SecretStr(url)})
    worker = Worker(settings, clock=clock)
    await worker.start()
    try:
        log = worker.log
        moka = Product(sku="moka", name="Moka", price="34.90", url="https://shop.example/moka")
        tazza = Product(sku="tazza", name="Tazza", price="9.90", url="https://shop.example/tazza")
        await product_feed.publish(log, [moka, tazza])
        await append(log, FIRST)
        await settle(worker)
        relay.reply = "451 4.3.0 later"
        await append(log, [order("o-anna", "anna")])
        await settle(worker)
        pause = PauseCommand(time=clock.now(), paused_class="transactional", reason="holidays")
        control = OutRecord(None, pause.model_dump_json(by_alias=True).encode())
        for number in range(PARTITIONS):
            await log.append(SEND_COMMANDS, number, [control])
        await settle(worker)
        author = Author("frozen", clock.now(), "asked on the phone")
        hashes = AddressHashes(signing_keys(settings))
        await suppress(log, hashes, "elena@example.it", "all", author)
        await append(log, THEN)
        await settle(worker)
    finally:
        await worker.stop()
        server.close()


async def append(log: Log, records: list[OutRecord]) -> None:
    for record in records:
        number = partition_of(record.key or b"", PARTITIONS)
        await log.append(CUSTOMER_EVENTS, number, [record])


async def settle(worker: Worker) -> None:
    """Wait until neither an event nor a command is unread, and no mail is on its way."""
    quiet = 0
    while quiet < 20:
        await asyncio.sleep(0.05)  # releases of long ago have no event for it
        await worker.mailer.until_idle()
        ends = [
            (worker.partition_manager.watermark(TopicPartition(topic, number)) or 0) >= span.end
            for topic in (CUSTOMER_EVENTS, SEND_COMMANDS)
            for number, span in (await worker.log.offsets(topic)).items()
        ]
        quiet = quiet + 1 if all(ends) else 0


async def note(settings: Settings, path: Path) -> None:
    """Write down what the release knows."""
    log = log_from(settings, VirtualClock(START))
    await log.start()
    known: dict[str, Any] = {"customers": {}, "erased": [], "products": [], "mails": {},
                             "own": [], "progress": {}}  # fmt: skip
    for topic in (CUSTOMERS_CHANGELOG, MAILER_CHANGELOG):
        for number in range(PARTITIONS):
            store = MemoryStore()
            await recover(log, topic, number, store)
            for key, stored in sorted(store.scan()):
                name = key.decode()
                if key == PROGRESS_KEY:
                    progress = unpack_progress(stored)
                    known["progress"][f"{topic}/{number}"] = progress.next_offset
                elif key.startswith(OWN_PREFIX):
                    known["own"].append(f"{topic}/{number}/{name[1:]}")
                elif topic == MAILER_CHANGELOG:
                    known["mails"][name] = unpack_entry(stored).state
                elif len(stored) == HEAD_SIZE:
                    known["erased"].append(name)
                else:
                    known["customers"][name] = describe(decode_customer(name, stored))
    await log.stop()
    path.write_text(  # noqa: ASYNC240  # nothing else runs
        json.dumps(known, indent=1, sort_keys=True, default=str) + "\n"
    )


async def dump(settings: Settings, path: Path) -> None:
    """Write every record of every topic."""
    log = log_from(settings, SystemClock())
    await log.start()
    content: dict[str, list[list[list[Any]]]] = {}
    for spec in topics(PARTITIONS):
        content[spec.name] = []
        for number, span in sorted((await log.offsets(spec.name)).items()):
            assert span.start == 0
            part: list[list[Any]] = []
            async for chunk in log.read(spec.name, number, 0, span.end):
                for record in chunk:
                    assert record.offset == len(part)
                    headers = [[name, _text(value)] for name, value in record.headers]
                    part.append([record.timestamp, _text(record.key), _text(record.value), headers])
            content[spec.name].append(part)
    await log.stop()
    packed = lzma.compress(json.dumps(content).encode(), preset=9)
    path.write_bytes(packed)  # noqa: ASYNC240  # nothing else runs


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(make(target))
