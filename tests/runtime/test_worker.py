"""A whole worker in this process, on the embedded log and on virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import aiohttp
import pytest
import structlog
from aiosmtpd.smtp import SMTP, Envelope

from schemas.records import OutRecord, Record
from streams.clock import VirtualClock
from streams.log import Log
from streams.partitioner import partition_of
from streams.runtime import definitions
from streams.runtime.bootstrap import prepare_topics, prepare_workflows
from streams.runtime.data_directory import TOPICS_FILE
from streams.runtime.factories import KEY_FILE, record_signer
from streams.runtime.failures import WorkerFailed
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.state.rocks import RocksStores
from streams.runtime.state.store import StateError
from streams.runtime.transports.batch import TopicPartition
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.settings.values import Address
from streams.topology import (
    CUSTOMER_EVENTS,
    CUSTOMERS_CHANGELOG,
    DEAD_LETTERS,
    SEND_COMMANDS,
    topics,
)
from tests.runtime.doubles import START, MemoryLog, memory_log

HOUR = 3_600_000
LOOPBACK = Address("127.0.0.1", 0)


class Inbox:
    """What a relay has taken."""

    def __init__(self) -> None:
        self.mails: asyncio.Queue[Envelope] = asyncio.Queue()

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        self.mails.put_nowait(envelope)
        return "250 taken"

    async def next(self) -> Message:
        envelope = await asyncio.wait_for(self.mails.get(), 20)
        assert isinstance(envelope.content, bytes)
        return message_from_bytes(envelope.content)


@pytest.fixture
async def inbox() -> AsyncIterator[tuple[Inbox, str]]:
    inbox = Inbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(inbox, hostname="relay", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    yield inbox, f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


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
        store="rocksdict",
    )


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


Start = Callable[[], Awaitable[Worker]]


@pytest.fixture
async def start(settings: Settings, clock: VirtualClock) -> AsyncIterator[Start]:
    """Starts workers one after the other, and stops them in the end whatever happens."""
    async with AsyncExitStack() as stack:

        async def start() -> Worker:
            worker = Worker(settings, clock=clock)
            stack.push_async_callback(worker.stop)
            async with asyncio.timeout(20):
                await worker.start()
            return worker

        yield start


@pytest.fixture
async def worker(start: Start) -> Worker:
    return await start()


def event(type_: str, id_: str, customer: str, **data: object) -> OutRecord:
    headers = [
        ("ce_id", id_),
        ("ce_source", "/shop"),
        ("ce_type", type_),
        ("ce_specversion", "1.0"),
    ]
    encoded = [(name, text.encode()) for name, text in headers]
    return OutRecord(customer.encode(), json.dumps(data).encode(), encoded)


async def tell(log: Log, *records: OutRecord) -> None:
    for record in records:
        partition = partition_of(record.key or b"", await log.partitions(CUSTOMER_EVENTS))
        await log.append(CUSTOMER_EVENTS, partition, [record])


async def everything(log: Log, topic: str) -> list[Record]:
    records: list[Record] = []
    for partition, span in (await log.offsets(topic)).items():
        async for chunk in log.read(topic, partition, span.start, span.end):
            records += chunk
    return records


async def all_done(worker: Worker) -> None:
    """Wait until everything in the log has been through the commit protocol, with what the actors
    have told each other meanwhile."""
    ends: dict[int, int] = {}

    def done() -> bool:
        wanted = worker.partition_manager.wanted()
        for n, end in ends.items():
            tp = TopicPartition(CUSTOMER_EVENTS, n)
            # Also the first batch of a partition: until it is through there is no mark.
            mark = worker.partition_manager.watermark(tp) or 0
            if tp not in wanted or wanted[tp].offset < end or mark < end:
                return False
        return True

    async with asyncio.timeout(20):
        while ends != (ends := await _ends(worker)):
            await worker.partition_manager.until(done)


async def _ends(worker: Worker) -> dict[int, int]:
    return {n: span.end for n, span in (await worker.log.offsets(CUSTOMER_EVENTS)).items()}


async def pass_time(worker: Worker, clock: VirtualClock, until: int) -> None:
    """Move the clock, wait for the ticks it causes and for what follows from them."""
    ends = await _ends(worker)
    clock.advance(until)
    assert isinstance(worker.log, EmbeddedLog)
    async with asyncio.timeout(20):
        while True:
            version = worker.log.version
            spans = await worker.log.offsets(CUSTOMER_EVENTS)
            if all(spans[n].end > end for n, end in ends.items()):
                break
            await worker.log.wait_beyond(version)
    await all_done(worker)


async def commands(worker: Worker) -> list[dict[str, object]]:
    records = await everything(worker.log, SEND_COMMANDS)
    return [json.loads(record.value or b"{}") for record in records]


SIGNED_UP = (
    event("customer.created", "e1", "anna", email="anna@example.it", first_name="Anna"),
    event("list.subscribed", "e2", "anna", list="newsletter", source="form", confirmed=True),
)


async def test_an_event_becomes_a_command_and_a_mail(
    worker: Worker, inbox: tuple[Inbox, str]
) -> None:
    await tell(worker.log, *SIGNED_UP)
    await all_done(worker)
    mail = await inbox[0].next()
    assert mail["To"] == "Anna <anna@example.it>"
    assert inbox[0].mails.empty()
    (command,) = await commands(worker)
    assert (command["customer"], command["email"]) == ("anna", "anna@example.it")
    assert str(command["workflow"]).startswith("w11")
    assert worker.metrics.registry.get_sample_value(
        "ritorno_events_total",
        {"topic": CUSTOMER_EVENTS, "type": "list.subscribed", "result": "applied"},
    ) == 1  # fmt: skip


async def test_a_trace_goes_on_to_the_mail_and_to_what_became_of_it(
    worker: Worker, inbox: tuple[Inbox, str]
) -> None:
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    joined = SIGNED_UP[1]
    traced = joined._replace(headers=(*joined.headers, ("traceparent", trace)))
    await tell(worker.log, SIGNED_UP[0], traced)
    mail = await inbox[0].next()
    assert mail["Traceparent"] == trace.decode()
    (command,) = await everything(worker.log, SEND_COMMANDS)
    assert command.header("traceparent") == trace
    assert isinstance(worker.log, EmbeddedLog)
    async with asyncio.timeout(20):
        version = worker.log.version
        while not (sent := await outcomes(worker)):
            await worker.log.wait_beyond(version)
            version = worker.log.version
    assert [each.header("traceparent") for each in sent] == [trace]


async def outcomes(worker: Worker) -> list[Record]:
    found = await everything(worker.log, CUSTOMER_EVENTS)
    return [each for each in found if each.header("ce_type") == b"mail.sent"]


async def test_time_passes_by_ticks_alone(worker: Worker, clock: VirtualClock) -> None:
    product = {"product_id": "p1", "name": "Olio", "price": "12.00", "quantity": 1}
    await tell(
        worker.log,
        *SIGNED_UP,
        event("cart.product_added", "e3", "anna", cart_id="c1", currency="EUR", **product),
    )
    await all_done(worker)
    before = len(await commands(worker))
    for hour in range(1, 30):
        await pass_time(worker, clock, START + hour * HOUR)
    mails = (await commands(worker))[before:]
    assert any(str(mail.get("workflow", "")).startswith("w06") for mail in mails)


async def test_a_restart_goes_on_where_it_was(start: Start) -> None:
    first = await start()
    await tell(first.log, *SIGNED_UP)
    await all_done(first)
    await first.stop()
    await first.stop()

    second = await start()
    await tell(second.log, SIGNED_UP[1])  # repeated: it changes nothing
    await all_done(second)
    assert len(await commands(second)) == 1
    read = second.metrics.registry.get_sample_value("ritorno_recovery_records_total")
    assert read == 0  # the store was kept and had nothing to catch up with


async def test_a_rebalance_catches_up_instead_of_recovering(worker: Worker) -> None:
    await tell(worker.log, *SIGNED_UP)
    await all_done(worker)
    app = worker._app  # who else could cause a rebalance here
    assert app is not None
    async with asyncio.timeout(20):
        await app.consumer.rebalance()
        await worker.partition_manager.until(
            lambda: worker.partition_manager.open() == worker.partition_manager.owned() != set()
        )
    await tell(worker.log, SIGNED_UP[1])
    await all_done(worker)
    assert len(await commands(worker)) == 1
    assert worker.metrics.registry.get_sample_value("ritorno_recovery_records_total") == 0


async def test_ready_once_its_partitions_are_open(worker: Worker) -> None:
    await all_done(worker)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{worker.admin.address}/readyz") as answer,
    ):
        body = await answer.json()
    assert answer.status == 200, body
    assert body["checks"].keys() == {"log", "disk", "group", "partitions"}
    assert body["checks"]["partitions"]["ready"]


async def test_each_role_is_asked_by_itself(worker: Worker) -> None:
    await all_done(worker)
    url = f"http://{worker.admin.address}/readyz"
    async with aiohttp.ClientSession() as session:
        for role in ("public", "customers", "mailer"):
            async with session.get(f"{url}/{role}") as answer:
                assert answer.status == 200, await answer.text()
        async with session.get(f"{url}/nobody") as answer:
            assert answer.status == 404
            assert await answer.json() == {
                "status": "no such role",
                "roles": "customers, mailer, public",
            }


async def test_the_data_directory_belongs_to_one_worker(
    worker: Worker, settings: Settings, tmp_path: Path
) -> None:
    other = Worker(settings.model_copy(update={"broker": f"embedded://{tmp_path}/other"}))
    with pytest.raises(WorkerFailed, match="RITORNO_DATA_DIR"):
        await other.start()


@pytest.mark.parametrize("name", ["worker.address", "faust"])
async def test_what_can_not_be_written_at_the_start_is_named(settings: Settings, name: str) -> None:
    """A full disk, or a directory of somebody else: here something is in the way."""
    obstacle = settings.data_dir / name
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    if name == "faust":
        obstacle.write_text("")
    else:
        obstacle.mkdir()
    with pytest.raises(WorkerFailed, match=rf"{name} can't be written: .*RITORNO_DATA_DIR"):
        await Worker(settings).start()


def test_state_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match=r"state/t-0 can't be opened: .*RITORNO_DATA_DIR"):
        RocksStores(tmp_path)(TopicPartition("t", 0))


async def test_what_is_of_other_topics_is_read_anew(start: Start, settings: Settings) -> None:
    """A store that stopped before others did must not read on in a copy of its changelog, in which
    other records have these offsets."""
    worker = await start()
    await tell(worker.log, event("product.viewed", "v1", "anna", product_id="moka"))
    await all_done(worker)
    partition = partition_of(b"anna", 2)
    kept = worker.customers.read_customer(b"anna", 2)
    assert kept is not None
    await worker.stop()
    known = settings.data_dir / TOPICS_FILE
    ids = json.loads(known.read_text())
    for of_another in (False, True):
        store = RocksStores(settings.data_dir)(TopicPartition(CUSTOMERS_CHANGELOG, partition))
        store.write([(b"anna", None)], store.position())
        store.close()
        if of_another:
            known.write_text(json.dumps({**ids, CUSTOMERS_CHANGELOG: "another"}))
        worker = await start()
        await all_done(worker)
        found = worker.customers.read_customer(b"anna", 2)
        assert found == (kept if of_another else None)
        await worker.stop()
    assert json.loads(known.read_text()) == ids


FORGED = (
    OutRecord(None, b'{"live":{}}', (("ce_type", b"ritorno.workflows"),)),
    event("visitor.linked", "f1", "anna", customer_id="mallory"),
    event("mail.unsubscribed", "f2", "anna", command_id="c1"),
    event("order.completed", "f3", "ritorno/coupons/gift", order_id="o", total="1.00"),
)
"""What somebody writes who may publish events."""


async def forge(worker: Worker) -> list[bytes | None]:
    """Let somebody publish these in every partition; return why each was refused."""
    published = await definitions.read(worker.log)
    for partition in range(await worker.log.partitions(CUSTOMER_EVENTS)):
        await worker.log.append(CUSTOMER_EVENTS, partition, FORGED)
    await all_done(worker)
    for tp, open_ in worker.customers._open.items():
        assert open_.actors._state.versions == published.live, tp  # type: ignore[attr-defined]  # no door
    letters = await everything(worker.log, DEAD_LETTERS)
    return [letter.header("dl_reason") for letter in letters]


async def test_who_may_publish_events_may_not_speak_for_ritorno(
    worker: Worker, inbox: tuple[Inbox, str]
) -> None:
    reasons = await forge(worker)
    assert sorted(reasons) == [b"reserved"] * 2 + [b"unsigned"] * 6  # type: ignore[type-var]
    await tell(worker.log, *SIGNED_UP)
    assert (await inbox[0].next())["To"] == "Anna <anna@example.it>"


async def test_a_defect_of_the_app_ends_the_worker(worker: Worker) -> None:
    assert worker._app is not None  # there is no other way to break it
    await worker._app.crash(RuntimeError("boom"))  # as above
    with pytest.raises(WorkerFailed, match="boom"):
        await asyncio.wait_for(worker.wait_stopped(), 10)


async def test_wrong_topics_on_kafka_say_what_to_do(tmp_path: Path) -> None:
    settings = Settings(broker="kafka://kafka-1:9092", data_dir=tmp_path)
    with pytest.raises(WorkerFailed, match="ritorno topics create"):
        await prepare_topics(MemoryLog(), settings)
    log = MemoryLog()
    specs = [spec for spec in topics(2) if spec.name != SEND_COMMANDS]
    await log.create_topics([*specs, topics(3)[1]])
    with pytest.raises(WorkerFailed, match="send-commands has 3"):
        await prepare_topics(log, settings)


async def test_workflows_are_published_only_the_first_time(
    settings: Settings, tmp_path: Path
) -> None:
    log = await memory_log()
    await prepare_workflows(log, settings)
    first = len(log.records(CUSTOMER_EVENTS))
    assert first == 2  # one control record per partition
    (tmp_path / "empty").mkdir()
    other = settings.model_copy(update={"workflows_dir": tmp_path / "empty"})
    await prepare_workflows(log, other)
    assert len(log.records(CUSTOMER_EVENTS)) == first


async def test_a_signing_key_that_was_deleted_is_told_of_and_what_to_do(settings: Settings) -> None:
    log = await memory_log()

    async def warnings() -> list[str]:
        with structlog.testing.capture_logs() as lines:
            await prepare_workflows(log, settings)
        return [line["event"] for line in lines if line["log_level"] == "warning"]

    assert await warnings() == []
    assert await warnings() == []
    (settings.data_dir / KEY_FILE).unlink()
    (warning,) = await warnings()
    assert "data_dir/signing-key was deleted" in warning
    files = definitions.read_files(settings.workflows_dir)
    await definitions.publish(log, files, record_signer(settings))
    assert await warnings() == []
