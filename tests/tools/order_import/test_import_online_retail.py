"""A real shop's year: every line accounted for, totals equal to those straight from the file.

The independent side of each comparison is plain csv code (`online_retail.py`).
"""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents.definitions.published import Definitions
from agents.partition.partition import PartitionActors
from schemas.customer import Customer, decode_customer
from schemas.records import Record
from schemas.stored import Progress
from schemas.topics import CUSTOMER_EVENTS
from schemas.wire import to_record
from streams.clock import VirtualClock
from streams.partitioner import partition_of
from streams.runtime.definitions import read_files
from streams.runtime.worker import Worker
from streams.settings.loading import load_settings
from streams.tools.cli import run_arguments
from streams.tools.demo.driver_events import DriverEvent
from streams.tools.demo.machine import Machine
from streams.tools.order_import.event_lines import to_line
from streams.tools.replay import prepared, replay_file
from tests.tools.order_import.conftest import Ritorno
from tests.tools.order_import.online_retail import (
    FILE,
    check_states,
    first_lines,
    of_customers,
    rows_of,
    tally,
)
from tests.tools.order_import.orders import Imported, import_file

pytestmark = pytest.mark.data

OPTIONS: dict[str, Any] = {"currency": "GBP", "zone": "Europe/London", "cancelled_prefix": "C"}
CI_LINES = 25_000
"""Lines: seconds, not minutes."""
WHOLE = 541_909


@pytest.fixture(scope="module", autouse=True)
def _present() -> None:
    if not FILE.is_file():
        pytest.skip(f"there is no {FILE}; RITORNO_DATA_SETS names the directory of the data sets")


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first lines of the file."""
    return first_lines(CI_LINES, tmp_path_factory.mktemp("retail") / "orders.csv.gz")


@pytest.fixture(scope="module")
def imported(part: Path) -> Imported:
    return import_file(part, **OPTIONS)


def comparable(key: str, stored: bytes) -> Customer:
    """A state without what differs from log to log: offsets, and the sizes of records."""
    customer = decode_customer(key, stored)
    customer.applied = customer.weight = 0
    return customer


def definitions() -> tuple[Definitions, dict[str, str]]:
    return prepared(read_files(load_settings().workflows_dir))


@pytest.mark.parametrize("count", [CI_LINES, pytest.param(WHOLE, marks=pytest.mark.slow)])
def test_every_line_of_the_file_is_accounted_for(
    ritorno: Ritorno, part: Path, tmp_path: Path, count: int
) -> None:
    file = FILE if count == WHOLE else part
    arguments = ("--currency", "GBP", "--zone", "Europe/London", "--cancelled-prefix", "C")
    done = ritorno("import", str(file), *arguments, "--output", "events.ndjson", "--json")
    report, expected = done.json[0], tally(rows_of(file))
    assert done.code == (1 if expected.lines["dead"] else 0)
    assert report["lines"] == sum(expected.lines.values()) == count
    assert report["applied"] == expected.lines["applied"]
    assert report["cancelled"] == expected.lines["cancelled"]
    assert report["anonymous"] == expected.lines["anonymous"]
    assert report["dead_lettered"] == expected.lines["dead"]
    assert report["orders"] == sum(map(len, expected.orders.values()))
    assert report["refunds"] == sum(map(len, expected.refunds.values()))
    assert report["items"] == sum(expected.items.values())
    assert Decimal(report["revenue"]["GBP"]) == sum(expected.spent.values())
    assert Decimal(report["refunded"]["GBP"]) == sum(expected.refunded.values())
    with (tmp_path / "events.dead.ndjson").open() as dead:
        reasons = Counter(json.loads(line)["reason"] for line in dead)
    assert reasons == report["dead_lettered_by_reason"]
    known, live = definitions()
    with (tmp_path / "events.ndjson").open("rb") as lines:
        outcome = replay_file(lines, until=1_330_000_000_000, definitions=known, live=live)
    assert not outcome.refusals
    assert not outcome.commands
    check_states(of_customers(outcome.customers), expected)


def test_replay_actors_and_worker_come_to_the_same(
    imported: Imported, part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = tally(rows_of(part))
    known, live = definitions()
    end = max(event.time or 0 for event in imported.events)
    lines = [to_line(event) for event in imported.events]
    replayed = of_customers(replay_file(lines, until=end, definitions=known, live=live).customers)
    check_states(replayed, expected)

    actors = PartitionActors(
        partition=0, load=lambda _: None, definitions=known, progress=Progress(live=live)
    )
    records = [
        Record(CUSTOMER_EVENTS, 0, offset, event.time or 0, *to_record(event))
        for offset, event in enumerate(imported.events)
    ]
    states = dict(actors.receive(records).states)
    received = {key.decode(): state for key, state in states.items() if state is not None}
    assert {key: comparable(key, state) for key, state in received.items()} == {
        key: comparable(key, state) for key, state in replayed.items()
    }


async def test_a_worker_on_the_embedded_log_comes_to_the_same(
    imported: Imported, part: Path, tmp_path: Path
) -> None:
    end = max(event.time or 0 for event in imported.events)
    settings = load_settings(
        broker=f"embedded://{tmp_path / 'log'}",
        data_dir=tmp_path / "data",
        admin_bind="127.0.0.1:0",
        public_bind="127.0.0.1:0",
        store="memory",
        tick_seconds=3600.0,
    )
    clock = VirtualClock(end)
    worker = Worker(settings, clock=clock)
    await worker.start()
    try:
        machine = Machine(worker, clock)
        for _ in range(2):  # importing twice changes no sum
            await machine.tell(
                DriverEvent(each.time or 0, to_record(each)) for each in imported.events
            )
        count = await worker.log.partitions(CUSTOMER_EVENTS)
        states = {
            customer: state
            for customer in {event.customer for event in imported.events}
            if (state := worker.customers.read_customer(customer.encode(), count)) is not None
        }
    finally:
        await worker.stop()
    check_states(states, tally(rows_of(part)))
    assert len({partition_of(key.encode(), count) for key in states}) == count


def test_importing_publishes_all_events_once_each(
    ritorno: Ritorno, imported: Imported, part: Path, tmp_path: Path
) -> None:
    arguments = ("--currency", "GBP", "--zone", "Europe/London", "--cancelled-prefix", "C")
    assert run_arguments(["import", str(part), *arguments]) == 1  # some lines are refused
    replay = ("replay", CUSTOMER_EVENTS, "--until", "2099-01-01", "--out", "out", "--json")
    summary = ritorno(*replay).json[0]
    assert summary["events"] == len(imported.events)
    assert summary["commands"] == 0
    states = [json.loads(line) for line in Path("out/customers.ndjson").read_text().splitlines()]
    expected = tally(rows_of(part))
    for customer in states:
        assert customer["statistics"]["count"] == len(expected.orders[customer["key"]])
