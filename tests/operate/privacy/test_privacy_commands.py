"""`ritorno privacy`: evidence, requests, a copy, erasure; as commands beside a running worker."""

from __future__ import annotations

import asyncio
import io
import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from schemas.customer import Customer, encode_customer
from schemas.instant import parse_instant
from schemas.records import OutRecord
from schemas.reference import of_visitor
from schemas.stored import NEVER, pack
from schemas.time_units import DAY_MS
from streams.partitioner import partition_of
from streams.runtime.factories import log_from
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.settings.loading import load_settings
from streams.settings.values import Address
from streams.tools.cli.privacy import ANSWER_MS, _what_stays
from tests.insights.stated import Stated, opened, outgoing, rows
from tests.runtime.doubles import START, memory_log
from tests.tools.cli.conftest import Done, Ritorno, ritorno
from tests.tools.cli.test_commands import stored

__all__ = ["ritorno"]

LOOPBACK = Address("127.0.0.1", 0)
LIMIT = 30


@pytest.fixture
def working(tmp_path: Path, ritorno: Ritorno) -> Iterator[None]:
    """Run a worker on the log that the commands use, in a thread and a loop of its own."""
    settings = Settings(
        data_dir=tmp_path / "data", admin_bind=LOOPBACK, public_bind=LOOPBACK, store="memory",
        smtp_url="smtp://127.0.0.1:9", partitions=1, tick_seconds=3600,
    )  # fmt: skip
    started, stop = threading.Event(), threading.Event()

    async def work() -> None:
        worker = Worker(settings)
        await worker.start()
        started.set()
        await asyncio.to_thread(stop.wait)
        await worker.stop()

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    assert started.wait(LIMIT)
    yield
    stop.set()
    thread.join(LIMIT)


def line(type_: str, id_: str, customer: str = "anna", **data: Any) -> str:
    event = {
        "specversion": "1.0", "id": id_, "source": "/shop", "type": type_, "data": data,
        "anonymousid" if customer == "who-anna-was" else "subject": customer,
    }  # fmt: skip
    return json.dumps(event)


STORY = [
    line("customer.created", "e1", email="anna.rossi@example.it", first_name="Annabella"),
    line("consent.given", "e2", purpose="marketing", source="checkout", wording="checkout-3"),
    line("consent.withdrawn", "e3", purpose="profiling", source="letter"),
    line("list.subscribed", "e4", list="newsletter", source="popup"),
    line("order.completed", "e5", order_id="ORDINE-1", total="19.90", currency="EUR"),
    line("customer.data_requested", "e6", source="preferences_page"),
    line("customer.created", "e7", "bruno", email="bruno@example.it"),
    line("product.viewed", "e8", "who-anna-was", product_id="p1"),
    line("customer.identified", "e9", anonymous_id="who-anna-was"),
]


def play(ritorno: Ritorno, *lines: str) -> None:
    """Publish events, and wait until the worker has dealt with them."""
    Path("events.ndjson").write_text("\n".join(lines) + "\n")
    assert ritorno("publish", "events.ndjson").code == 0
    # There is one partition: what comes after them is done after them.
    assert ritorno("privacy", "erase", "nobody", "--yes", "--wait", str(LIMIT)).code == 0


@pytest.mark.usefixtures("working")
@pytest.mark.row("R04")
def test_the_rights_of_a_customer(ritorno: Ritorno, tmp_path: Path) -> None:
    play(ritorno, *STORY)

    # Evidence.
    said = ritorno("privacy", "evidence", "anna", "--json").json
    assert [(e["purpose"], e["given"], e["source"], e["wording"], e["event_id"]) for e in said] == [
        ("marketing", True, "checkout", "checkout-3", "e2"),
        ("profiling", False, "letter", None, "e3"),
        ("list", True, "popup", None, "e4"),
    ]  # fmt: skip
    shown = ritorno("privacy", "evidence", "anna").out
    assert "checkout-3" in shown
    assert "evidence" in ritorno("customer", "show", "anna").out

    # A copy is asked for…
    (request,) = ritorno("privacy", "requests", "--json").json
    assert request["customer"] == "anna"
    assert ANSWER_MS == 30 * 24 * 3_600_000
    assert "anna" in ritorno("privacy", "requests").out

    # …and made.
    done = ritorno("privacy", "export", "anna", "--out", "copy", "--json")
    assert done.code == 0, done.err
    look_at_the_copy(Path("copy"), done)
    assert ritorno("privacy", "requests", "--json").json == []
    assert ritorno("privacy", "requests").out == "Nobody waits for a copy.\n"
    assert ritorno("privacy", "export", "anna", "--out", "copy").code == 2  # nothing is overwritten

    # Erased.
    done = ritorno("privacy", "erase", "anna", "--yes", "--wait", str(LIMIT), "--json")
    told = {"customer": "anna", "left": {}, "audiences": [], "snapshots": []}
    assert (done.code, done.json) == (0, [told]), done.err
    for command in ("evidence", "export"):
        options = ("--out", "other") if command == "export" else ()
        done = ritorno("privacy", command, "anna", *options)
        if command == "evidence":
            assert (done.code, done.err) == (2, "ritorno: nothing is known about 'anna'\n")
    for topic in (topics.CUSTOMER_EVENTS, topics.SEND_COMMANDS, topics.FACTS):
        for record in stored(topic):
            assert b"anna" not in (record.value or b"") + (record.key or b"")
    assert ritorno("privacy", "evidence", "bruno", "--json").code == 0


def look_at_the_copy(copy: Path, done: Done) -> None:
    customer = json.loads((copy / "customer.json").read_text())
    assert customer["profile"]["email"] == "anna.rossi@example.it"
    assert customer["evidence"][0]["wording"] == "checkout-3"
    assert customer["evidence"][0]["time"] == customer["consents"]["marketing"]["time"]
    events = [json.loads(each) for each in (copy / "events.ndjson").read_text().splitlines()]
    assert [e["headers"]["ce_id"] for e in events][:6] == ["e1", "e2", "e3", "e4", "e5", "e6"]
    assert events[4]["data"]["order_id"] == "ORDINE-1"
    mails = [json.loads(each) for each in (copy / "mails.ndjson").read_text().splitlines()]
    confirmation = next(m for m in mails if m["command"]["template"] == "order-confirmation")
    assert confirmation["command"]["legal_basis"] == "contract"
    html = (copy / confirmation["shown_in"]).read_text()
    assert "ORDINE-1" in html
    decisions = [json.loads(each) for each in (copy / "decisions.ndjson").read_text().splitlines()]
    assert {d["customer"] for d in decisions} == {"anna"}
    readme = (copy / "README.txt").read_text()
    assert "GDPR, articoli 15 e 20" in readme
    everything = {path.name for path in copy.iterdir() if path.is_file()} - {"README.txt"}
    assert everything == {
        "customer.json", "events.ndjson", "mails.ndjson", "decisions.ndjson", "signals.ndjson",
        "refused.ndjson",
    }  # fmt: skip
    assert all(name in readme for name in everything)
    for path in copy.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path  # nobody else's business
        if path.is_file():
            assert "bruno" not in path.read_text()
    (counts,) = done.json
    assert counts["events.ndjson"] == len(events)


def test_whatever_lies_under_a_key_is_part_of_the_copy(ritorno: Ritorno, tmp_path: Path) -> None:
    """Others may have written it: then it must not stand in the way of the person's right."""
    odd = [
        OutRecord(b"anna", b"{}", (("ce_type", b"mail.sent\xff"), ("ce_id", b"\xff"))),
        OutRecord(b"anna", b'{"command_id": ["x"]}', (("ce_type", b"mail.sent"), ("ce_id", b"1"))),
        OutRecord(b"anna", b"\xff", (("ce_type", b"\xff"), ("x", b""))),
        OutRecord(b"anna", None),
    ]

    async def append() -> None:
        log = log_from(Settings(data_dir=tmp_path / "data"))
        await log.start()
        count = await log.partitions(topics.CUSTOMER_EVENTS)
        await log.append(topics.CUSTOMER_EVENTS, partition_of(b"anna", count), odd)
        await log.stop()

    assert ritorno("topics", "create").code == 0
    asyncio.run(append())
    done = ritorno("privacy", "export", "anna", "--out", "copy", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["events.ndjson"] == len(odd)
    assert json.loads(done.out)["mails.ndjson"] == 1


@pytest.mark.parametrize("answer", ["", "n\n", "\n"])
def test_nobody_is_erased_without_a_yes(
    ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert ritorno("topics", "create").code == 0
    assert ritorno("privacy", "erase", "anna").code != 0
    assert stored(topics.CUSTOMER_EVENTS) == [
        record for record in stored(topics.CUSTOMER_EVENTS) if record.key is None
    ]


def test_without_a_worker_it_says_so(ritorno: Ritorno) -> None:
    assert ritorno("topics", "create").code == 0
    done = ritorno("privacy", "erase", "anna", "--yes", "--wait", "0")
    assert done.code == 1
    assert "no worker has carried it out yet" in done.err
    (asked,) = (r for r in stored(topics.CUSTOMER_EVENTS) if r.key == b"anna")
    assert asked.header("ce_type") == b"customer.erasure_requested"


def test_who_they_were_as_a_visitor_is_waited_for(
    ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The visitor's own actor forgets later than the customer's."""
    forgotten = pack(2**40, NEVER, b"")
    visited = Customer(key="anna", visitors=["who-anna-was"])
    assert ritorno("topics", "create").code == 0
    asyncio.run(keep(b"anna", encode_customer(visited)))
    still_to_forget = [b"anna", of_visitor("who-anna-was").encode()]

    async def pause(_deadline: float, _problem: str) -> None:
        await keep(still_to_forget.pop(0), forgotten)

    monkeypatch.setattr("streams.tools.cli.privacy._pause", pause)
    assert ritorno("privacy", "erase", "anna", "--yes").code == 0
    assert still_to_forget == []


def test_the_store_of_facts_that_no_process_has_is_opened_and_its_snapshots_are_named(
    ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stated = Stated()
    assert ritorno("topics", "create").code == 0
    asyncio.run(state(stated("run.entered", "anna", "2026-03-01")))
    assert ritorno("insights", "snapshot", "marzo").code == 0
    assert facts_in_the_store(tmp_path) == 1

    async def pause(_deadline: float, _problem: str) -> None:
        await state(stated("person.erased", "anna", "2026-03-02"))
        await keep(b"anna", pack(2**40, NEVER, b""))

    monkeypatch.setattr("streams.tools.cli.privacy._pause", pause)
    done = ritorno("privacy", "erase", "anna", "--yes", "--json")
    assert done.json[0]["snapshots"] == ["data/insights/exports/marzo.parquet"], done.err
    assert facts_in_the_store(tmp_path) == 0

    monkeypatch.setenv("RITORNO_INSIGHTS_BIND", "127.0.0.1:9")
    done = ritorno("privacy", "erase", "anna", "--yes", "--json")
    assert (done.code, done.json[0]["snapshots"]) == (0, None)
    assert "takes the erasure in when it is fed next: nobody answers" in done.err


def facts_in_the_store(directory: Path) -> int:
    """Count them as the file has them, without reading what is new."""
    store = opened(directory / "data" / "insights")
    assert not store.wants_rewrite
    [(count,)] = rows(store, "SELECT count(*) FROM facts")
    store.close()
    return int(count)


async def state(fact: bytes) -> None:
    """Append a fact, as an actor's worker does."""
    log = log_from(load_settings())
    await log.start()
    await log.append(topics.FACTS, 0, outgoing([fact]))
    await log.stop()


async def keep(key: bytes, state: bytes) -> None:
    """Append a state to the changelog, as an actor's worker does."""
    log = log_from(load_settings())
    await log.start()
    partition = partition_of(key, await log.partitions(topics.CUSTOMERS_CHANGELOG))
    await log.append(topics.CUSTOMERS_CHANGELOG, partition, [OutRecord(key, state)])
    await log.stop()


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("evidence", "anna"), 2, "nothing is known about 'anna'"),
        (("export", "anna", "--out", "copy"), 2, "nothing is known about 'anna'"),
        (("export", "anna", "--out", "file"), 2, "--out: file exists and is not an empty"),
        (("export", "anna"), 2, "--out"),
        (("erase", "anna", "--yes", "--wait", "-1"), 2, "--wait"),
    ],
)
def test_mistakes_are_one_clear_line(
    ritorno: Ritorno, arguments: tuple[str, ...], code: int, problem: str
) -> None:
    assert ritorno("topics", "create").code == 0
    Path("file").write_text("x")
    done = ritorno("privacy", *arguments)
    assert (done.code, done.out) == (code, "")
    assert problem in done.err
    assert len(done.err.splitlines()) == 1
    assert not Path("copy").exists()


async def test_kafka_says_what_stays_and_until_when() -> None:
    left = await _what_stays(await memory_log())
    assert set(left) == {
        "customer-events", "send-commands", "customer-signals", "facts", "dead-letters",
        "customers-changelog", "mailer-changelog",
    }  # fmt: skip
    days = {topic: (parse_instant(until[:20]) - START) // DAY_MS for topic, until in left.items()}
    assert days["customer-events"] - days["send-commands"] == 365 - 7
    assert left["customers-changelog"].endswith("by compaction")
