"""The machine of a demo comes to rest, and says so when its worker breaks down."""

import asyncio
import json
from pathlib import Path

import pytest

from agents.partition.budget import VISITS
from schemas.decisions import Decision
from schemas.records import OutRecord
from streams.clock import VirtualClock
from streams.runtime.failures import WorkerFailed
from streams.settings import Settings
from streams.settings.loading import load_settings
from streams.tools.demo.driver_events import DriverEvent
from streams.tools.demo.ledger import Ledger
from streams.tools.demo.machine import Machine, drive, running
from streams.tools.demo.sink import LOOPBACK, Sink
from tests.any_hour import without_policy

START = 1_772_355_600_000
"""2026-03-01T09:00:00Z."""
MINUTE, HOUR = 60_000, 3_600_000


def settings(directory: Path, port: int = 9) -> Settings:
    return load_settings(
        broker=f"embedded://{directory / 'log'}",
        data_dir=directory / "data",
        admin_bind=f"{LOOPBACK}:0",
        public_bind=f"{LOOPBACK}:0",
        smtp_url=f"smtp://{LOOPBACK}:{port}",
        store="memory",
        tick_seconds=3600.0,
        workflows_dir=without_policy(directory / "workflows"),
    )


def record(id_: str, type_: str, value: bytes = b"{}") -> OutRecord:
    headers = (("ce_id", id_.encode()), ("ce_type", type_.encode()), ("ce_source", b"/test"))
    return OutRecord(b"anna", value, headers)


SUBSCRIBED = record("1", "list.subscribed", b'{"confirmed": true, "email": "anna@posta.example"}')
IN_CART = record("2", "cart.product_added", b'{"product_id": "p1", "price": "29.90"}')


async def ledger_of(machine: Machine) -> Ledger:
    ledger = Ledger(machine.worker.log)
    await asyncio.gather(ledger.refresh(), ledger.refresh())
    return ledger


async def test_timers_fire_in_their_own_second_and_mails_leave_at_once(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    sink = Sink(tmp_path / "mails", clock, lambda _address, _tried: "")
    sink.prepare()
    await sink.open()
    moments: list[int] = []

    async def moment(now: int) -> None:
        moments.append(now)

    async with running(settings(tmp_path, sink.port), clock) as machine:
        scenario = [DriverEvent(START, SUBSCRIBED), DriverEvent(START + 5 * MINUTE + 1, IN_CART)]
        await drive(machine, scenario, until=START + 3 * HOUR, step=1_000, moment=moment)
        ledger = await ledger_of(machine)
        customers = await ledger.customers()
    await sink.close()
    added = START + 5 * MINUTE + 1_000
    assert moments == [START, added, added + HOUR, START + 3 * HOUR]
    assert [mail.arrived for mail in sink.taken] == [START, added + HOUR]
    assert customers == 1  # her address has an actor too, but is no customer
    assert ledger.events.pop("link.registered") > 0  # what hers tells that of her address
    assert ledger.events == {"list.subscribed": 1, "cart.product_added": 1, "mail.sent": 2}
    assert ledger.mails() == {"sent": 2, "waiting": 0}
    last: Decision = ledger.last[-1]
    assert (last.decision, last.step) == ("sent", "reminder")


async def test_mails_wait_for_a_relay_that_is_away(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    sink = Sink(tmp_path / "mails", clock, lambda _address, _tried: "")
    sink.prepare()
    await sink.open()

    async def moment(now: int) -> None:
        away = START + MINUTE <= now < START + 4 * HOUR
        await (sink.close() if away else sink.open() if now >= START + 4 * HOUR else _nothing())

    async with running(settings(tmp_path, sink.port), clock) as machine:
        scenario = [DriverEvent(START, SUBSCRIBED), DriverEvent(START + 5 * MINUTE, IN_CART)]
        until = START + 6 * HOUR
        await drive(machine, scenario, until=until, step=10 * MINUTE, moment=moment)
        ledger = await ledger_of(machine)
    await sink.close()
    assert [mail.arrived for mail in sink.taken] == [START, START + 4 * HOUR]
    assert ledger.delayed() == 1
    assert ledger.deferred >= 1


async def test_the_mails_of_all_partitions_wait_for_it(tmp_path: Path) -> None:
    """One partition's mail finds out that the relay is still away; the others' learn it too."""
    clock = VirtualClock(START)
    sink = Sink(tmp_path / "mails", clock, lambda _address, _tried: "")
    sink.prepare()
    await sink.open()
    await sink.close()
    everybody = [
        DriverEvent(START, record("1", "list.subscribed", json.dumps(
            {"confirmed": True, "email": f"c{n}@posta.example"}).encode())
                    ._replace(key=f"c{n}".encode()))
        for n in range(12)
    ]  # fmt: skip

    async def moment(now: int) -> None:
        await (sink.open() if now >= START + 2 * HOUR else _nothing())

    async with asyncio.timeout(30), running(settings(tmp_path, sink.port), clock) as machine:
        await drive(machine, everybody, until=START + 4 * HOUR, step=1_000, moment=moment)
        ledger = await ledger_of(machine)
    await sink.close()
    assert len(sink.taken) == 12
    assert ledger.delayed() == 12


async def test_the_relay_refuses_whom_it_is_told_to(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    replies = iter(["452 4.2.2 full", ""])
    sink = Sink(tmp_path / "mails", clock, lambda _address, _tried: next(replies))
    sink.prepare()
    await sink.open()
    async with running(settings(tmp_path, sink.port), clock) as machine:
        await drive(machine, [DriverEvent(START, SUBSCRIBED)], until=START + HOUR, step=1_000,
                    moment=_moment)  # fmt: skip
    await sink.close()
    assert sink.refused == 1
    assert len(sink.taken) == 1
    assert sink.taken[0].arrived > START


async def test_a_worker_that_breaks_down_ends_the_demo(tmp_path: Path) -> None:
    with pytest.raises(WorkerFailed, match="boom"):
        async with running(settings(tmp_path), VirtualClock(START)) as machine:
            assert machine.worker._app is not None
            await machine.worker._app.crash(RuntimeError("boom"))
            await asyncio.wait_for(asyncio.Event().wait(), 20)


async def _nothing() -> None:
    pass


async def _moment(_: int) -> None:
    pass


async def test_more_is_due_at_once_than_one_record_does(tmp_path: Path) -> None:
    """The budget of a record leaves timers over; they are due at once, and no time passes."""
    clock = VirtualClock(START)
    sink = Sink(tmp_path / "mails", clock, lambda _address, _tried: "")
    sink.prepare()
    await sink.open()
    number = 3 * VISITS
    everybody = [
        DriverEvent(START, record(f"{n}", "cart.product_added", IN_CART.value or b"")
                    ._replace(key=f"c{n}".encode()))
        for n in range(number)
    ]  # fmt: skip
    moments: list[int] = []

    async def moment(now: int) -> None:
        moments.append(now)

    here = settings(tmp_path, sink.port).model_copy(update={"partitions": 1})
    async with asyncio.timeout(60), running(here, clock) as machine:
        await drive(machine, everybody, until=START + 3 * HOUR, step=1_000, moment=moment)
        ledger = await ledger_of(machine)
    await sink.close()
    assert sorted(set(moments)) == [START, START + HOUR, START + 3 * HOUR]
    assert len(ledger.last) > 0
    assert ledger.events["cart.product_added"] == number
