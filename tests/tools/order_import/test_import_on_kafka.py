"""A real shop's year through `ritorno import`, a real broker and a real worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.customer import decode_customer
from schemas.description import describe
from schemas.topics import CUSTOMER_EVENTS
from streams.runtime.logs.kafka import KafkaLog
from tests.broker import KafkaBroker
from tests.faults.fleet import Fleet
from tests.faults.run import SESSION_SECONDS
from tests.faults.verify import Follower
from tests.ports import free_port
from tests.tools.order_import.online_retail import (
    FILE,
    check_states,
    first_lines,
    of_customers,
    rows_of,
    tally,
)

pytestmark = [pytest.mark.kafka, pytest.mark.data, pytest.mark.processes]

CI_LINES = 5_000


@pytest.mark.parametrize("lines", [CI_LINES, pytest.param(None, id="all", marks=pytest.mark.slow)])
async def test_every_line_is_accounted_for_and_the_totals_are_the_files(
    fresh_broker: KafkaBroker, tmp_path: Path, lines: int | None
) -> None:
    if not FILE.is_file():
        pytest.skip(f"there is no {FILE}; RITORNO_DATA_SETS names the directory of the data sets")
    file = FILE if lines is None else first_lines(lines, tmp_path / "orders.csv.gz")
    log = KafkaLog([fresh_broker.bootstrap])
    fleet = Fleet(
        tmp_path,
        RITORNO_BROKER=f"kafka://{fresh_broker.bootstrap}",
        RITORNO_SMTP_URL=f"smtp://127.0.0.1:{free_port()}",
        RITORNO_KAFKA_SESSION_SECONDS=str(SESSION_SECONDS),
        RITORNO_PARTITIONS="4",
        RITORNO_TOKEN_KEYS="a:0123456789abcdef0123456789abcdef",
    )
    try:
        await log.start()
        fleet.command("topics", "create")
        options = ("--currency", "GBP", "--zone", "Europe/London", "--cancelled-prefix", "C")
        report = json.loads(fleet.command("import", str(file), *options, "--json", exit_code=1))
        ends = {n: span.end for n, span in (await log.offsets(CUSTOMER_EVENTS)).items()}
        await fleet.start("one")
        follower = Follower(log)
        found = await follower.drained(ends)
        assert set(fleet.stop().values()) == {0}
        until = ("--until", "2099-01-01", "--out", str(tmp_path / "replayed"))
        fleet.command("replay", CUSTOMER_EVENTS, *until)
    finally:
        fleet.kill()
        await log.stop()

    expected = tally(rows_of(file))
    assert report["lines"] == sum(expected.lines.values())
    kinds = ("applied", "cancelled", "anonymous")
    assert {kind: report[kind] for kind in kinds} == {kind: expected.lines[kind] for kind in kinds}
    assert report["dead_lettered"] == expected.lines["dead"]
    assert not found.commands  # history mails nobody
    states = {key.decode(): stored for key, stored in found.states.items()}
    check_states(of_customers(states), expected)
    live = [describe(decode_customer(k.decode(), found.states[k])) for k in sorted(found.states)]
    replayed = (tmp_path / "replayed" / "customers.ndjson").read_text().splitlines()
    assert [json.loads(line) for line in replayed] == live
