"""The page of the topology is true: each agent and door appends to what it says, and no more."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiosmtplib import SMTP

from schemas.records import OutRecord
from schemas.topics import CUSTOMER_EVENTS, DEAD_LETTERS, FACTS, SEND_COMMANDS, SUPPRESSIONS
from streams import topology
from streams.clock import VirtualClock
from streams.connect.cursors import CursorFile
from streams.log import Log
from streams.operate.privacy.eraser import BACKOFF
from streams.outbound.letters import failed_letters
from streams.runtime import worker as worker_module
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.logs.embedded.redaction import Redaction
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.topology import (
    AGENTS,
    COMMANDS,
    CUSTOMERS,
    DOORS,
    ERASER,
    FOREIGN_STREAMS,
    INBOUND_MAIL,
    INGEST,
    MAILER,
    OUTBOUND,
    PUBLIC_PAGES,
    SHOPS,
)
from tests.http.public.test_site_and_actor import links
from tests.mail.bounces.harness import bounce
from tests.outbound.crm_stand_in import TOKEN, deal, described, stand_in
from tests.outbound.doubles import receiver, webhook, write
from tests.runtime.doubles import START
from tests.runtime.test_worker import LOOPBACK, Inbox, all_done, event, everything, inbox, tell
from tests.waiting import eventually

__all__ = ["inbox"]

ROOT = Path(__file__).parents[2]
LIMIT = 30
DOMAIN = "rimbalzi.negozio.example"

SECRET_KEY = "rs_of_the_tests_here"
KEY_HASH = hashlib.sha256(SECRET_KEY.encode()).hexdigest()
KEY = f'- {{id: shop, kind: secret, source: /shop, hashes: ["sha256:{KEY_HASH}"]}}\n'

BOOTSTRAP = "at the first start"
UNLISTED = "another part"
"""What else has the worker's log, and so has to append nothing."""

PARTS = {
    "CustomersRuntime": CUSTOMERS.name,
    "Ticks": CUSTOMERS.name,
    "MailerRuntime": MAILER.name,
    "SuppressionList": MAILER.name,
    "PublicSite": PUBLIC_PAGES.name,
    "IngestPort": INGEST.name,
    "Inbound": INBOUND_MAIL.name,
    "Eraser": ERASER.name,
    "Outbound": OUTBOUND.name,
    "prepare_workflows": BOOTSTRAP,
}
"""What a worker gives its log to so that it may append, and whose part that is."""


class Noted:
    """An embedded log that notes by whom it is appended to."""

    __class__ = EmbeddedLog  # type: ignore[assignment]  # the eraser looks at it

    def __init__(self, log: Log, topics: set[str]) -> None:
        self.inner = log.inner if isinstance(log, Noted) else log
        self._topics = topics

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def append(self, topic: str, partition: int, records: Any) -> int:
        self._topics.add(topic)
        return await self.inner.append(topic, partition, records)


Appended = defaultdict[str, set[str]]


@pytest.fixture
def appended(monkeypatch: pytest.MonkeyPatch) -> Appended:
    """The topics to which each agent and door has appended, and what is neither."""
    found: Appended = defaultdict(set)
    log_from = worker_module.log_from

    def built(part: Any, name: str, *positional: Any, **named: Any) -> Any:
        def noted(given: Any) -> Any:
            return Noted(given, found[name]) if isinstance(given, EmbeddedLog) else given

        return part(
            *(noted(each) for each in positional),
            **{key: noted(each) for key, each in named.items()},
        )

    for part, name in PARTS.items():
        monkeypatch.setattr(worker_module, part, partial(built, getattr(worker_module, part), name))
    monkeypatch.setattr(
        worker_module, "log_from", lambda *given: Noted(log_from(*given), found[UNLISTED])
    )
    return found


def log_of(worker: Worker) -> Log:
    """The log for the tests' own records, of which nothing is noted."""
    assert isinstance(worker.log, Noted)
    return worker.log.inner


@pytest.fixture
async def worker(
    appended: Appended,
    tmp_path: Path,
    inbox: tuple[Inbox, str],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Worker]:
    monkeypatch.setenv("SHOP_SECRET", "uno")
    monkeypatch.setenv("CRM_TOKEN", TOKEN)
    async with receiver() as refusing, stand_in() as crm:
        refusing.always = 422
        crm.deals = [deal("1", "won", START)]
        (tmp_path / "crm.yaml").write_text(json.dumps({"crm": [described(crm.url)]}))
        CursorFile(tmp_path / "data", "crm-hub", "deals").write({"since": START})
        write(tmp_path / "webhooks.yaml", webhook("refusing", refusing.url, types=["mail.sent"]))
        async with started(tmp_path, inbox[1]) as worker:
            yield worker


@asynccontextmanager
async def started(tmp_path: Path, relay: str) -> AsyncIterator[Worker]:
    settings = Settings(
        broker=f"embedded://{tmp_path}/log", data_dir=tmp_path / "data", smtp_url=relay,
        admin_bind=LOOPBACK, public_bind=LOOPBACK, partitions=2, tick_seconds=60,
        webhooks=tmp_path / "webhooks.yaml", crm=tmp_path / "crm.yaml",
        mail_public_url="https://mail.shop.example", tracking_mode="identified",
        mail_bounce_domain=DOMAIN, inbound_smtp_bind=LOOPBACK, ingest_bind=LOOPBACK,
        ingest_keys=tmp_path / "keys.yaml",
    )  # fmt: skip
    (tmp_path / "keys.yaml").write_text(f"keys:\n{KEY}")
    worker = Worker(settings, clock=VirtualClock(START))
    async with asyncio.timeout(LIMIT):
        await worker.start()
        assert isinstance(worker.log, Noted)
        committed = worker.log.inner.committed

        async def follows() -> bool:  # a commit is no news
            return len(await committed("ritorno-webhook-refusing")) == 2

        await eventually(follows, "the webhook follows")
    yield worker
    await worker.stop()


async def come(worker: Worker, topic: str, type_: str = "") -> None:
    """Wait until there is a record of a topic, of that type if one is named, and all is done."""
    assert isinstance(worker.log, EmbeddedLog)
    async with asyncio.timeout(LIMIT):
        while True:
            version = worker.log.version
            types = {record.header("ce_type") for record in await everything(worker.log, topic)}
            if type_.encode() in types or (types and not type_):
                break
            await worker.log.wait_beyond(version)
    await all_done(worker)


async def test_each_agent_and_door_appends_to_what_the_page_says(
    worker: Worker, appended: Appended, inbox: tuple[Inbox, str]
) -> None:
    """Somebody signs up, follows a link, unsubscribes by mail and bounces; two records are
    garbage."""
    clock = worker.clock
    assert isinstance(clock, VirtualClock)
    await tell(
        log_of(worker),
        event("customer.created", "e1", "anna", email="anna@example.it", first_name="Anna"),
        event("consent.given", "e2", "anna", purpose="tracking", source="checkout"),
        event("list.subscribed", "e3", "anna", list="newsletter", source="form", confirmed=True),
        event("product.viewed", "e4", "v", product_id="p1"),
        event("customer.identified", "e5", "v", customer_id="anna"),
        event("product.viewed", "e6", "v", product_id="p1"),
        OutRecord(b"anna", b"{broken"),
    )
    envelope = await asyncio.wait_for(inbox[0].mails.get(), LIMIT)
    assert isinstance(envelope.content, bytes)
    path = links(message_from_bytes(envelope.content))["c"][0]
    async with ClientSession() as session:
        url = f"http://127.0.0.1:{worker.public_port}{path}"
        async with session.get(url, allow_redirects=False) as answer:
            assert answer.status == 302
        seen = {"type": "page", "anonymousId": "v", "messageId": "1"}
        body = {"writeKey": SECRET_KEY, "batch": [seen, {"type": "page", "messageId": "2"}]}
        ingest = f"http://{worker.ingest_address}/v1/batch"
        async with session.post(ingest, json=body, headers={"User-Agent": "Mozilla/5.0"}) as answer:
            assert answer.status == 200
    clock.advance(clock.now() + 60_000)
    await come(worker, FACTS)
    await come(worker, CUSTOMER_EVENTS, "mail.clicked")
    await come(worker, CUSTOMER_EVENTS, "deal.stage_changed")

    await log_of(worker).append(SEND_COMMANDS, 0, [OutRecord(b"anna", b"{broken")])
    await come(worker, DEAD_LETTERS)
    assert envelope.mail_from is not None
    port = worker.inbound.smtp_port
    async with SMTP(hostname="127.0.0.1", port=port, start_tls=False) as back:
        await back.sendmail("", [envelope.mail_from], bounce("x@relay.example"))
    await come(worker, CUSTOMER_EVENTS, "mail.bounced")
    await come(worker, SUPPRESSIONS)

    async def has_failed() -> bool:  # of whichever topic
        return bool([each async for each in failed_letters(log_of(worker))])

    await eventually(has_failed, "the refused message is a dead letter", seconds=LIMIT)

    says = {agent.name: {*agent.writes, agent.keeps} for agent in AGENTS}
    # Commands are no part of a worker, and this one is connected to no shop (tests/connect), and
    # has no Kafka that others write to.
    doors = set(DOORS) - {COMMANDS, SHOPS, FOREIGN_STREAMS}
    says |= {door.name: set(door.writes) for door in doors if door.writes}
    says[BOOTSTRAP] = {topology.WORKFLOWS, CUSTOMER_EVENTS}
    assert {name: topics for name, topics in appended.items() if topics} == says


async def test_the_eraser_changes_what_is_personal_and_appends_nothing(
    worker: Worker, appended: Appended, monkeypatch: pytest.MonkeyPatch, inbox: tuple[Inbox, str]
) -> None:
    changed: set[str] = set()
    change = Redaction.change

    async def noted(self: Redaction, topic: str, partition: int, changes: Any) -> Any:
        if changes:
            changed.add(topic)
        return await change(self, topic, partition, changes)

    monkeypatch.setattr(Redaction, "change", noted)
    await tell(
        log_of(worker),
        event("customer.created", "e1", "anna", email="anna@example.it", first_name="Anna"),
        event("list.subscribed", "e2", "anna", list="newsletter", confirmed=True),
        OutRecord(b"anna", b"{broken"),
    )
    await asyncio.wait_for(inbox[0].mails.get(), LIMIT)
    await come(worker, CUSTOMER_EVENTS, "mail.sent")
    await tell(log_of(worker), event("customer.erasure_requested", "e3", "anna"))
    await all_done(worker)
    clock = worker.clock
    assert isinstance(clock, VirtualClock)
    async with asyncio.timeout(LIMIT):
        while not worker.eraser.idle:
            passed = asyncio.ensure_future(worker.eraser.passed())
            clock.advance(clock.now() + round(BACKOFF.longest * 1_000))
            await passed
    assert changed == set(topology.PERSONAL)
    assert not appended[ERASER.name] | appended[UNLISTED]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_door_is_where_the_page_says(door: topology.DoorSpec) -> None:
    assert (ROOT / door.at).is_file()


def test_everything_that_an_agent_touches_is_a_topic() -> None:
    there_are = {spec.name for spec in topology.topics(1)}
    for agent in AGENTS:
        assert {agent.reads, agent.keeps, *agent.writes} <= there_are
    for door in DOORS:
        assert {*door.reads, *door.writes} <= there_are
    written = {topic for spec in (*AGENTS, *DOORS) for topic in spec.writes}
    assert there_are - written == {agent.keeps for agent in AGENTS}


RUN_BY_COMMANDS = (
    *(ROOT / "streams/tools").rglob("*.py"),
    *(ROOT / "streams/operate").rglob("*.py"),
    *(ROOT / "streams/mail" / name for name in ("inspection.py", "suppressions.py")),
    *(ROOT / "streams/runtime" / name for name in ("definitions.py", "product_feed.py")),
)


def test_commands_append_to_what_the_page_says() -> None:
    """As their source names it: `log.append(TOPIC, partition, records)`."""
    appended = set()
    for path in RUN_BY_COMMANDS:
        for topic in re.findall(r"log\.append\(\s*([A-Z_]+),", path.read_text()):
            appended.add(getattr(topology, topic))
    assert appended == set(COMMANDS.writes)
