"""`ritorno topics copy` and `ritorno clock`."""

from __future__ import annotations

import json
from pathlib import Path

from streams.tools.cli.console import FAILURE, USER_ERROR
from tests.tools.cli.conftest import Ritorno

EVENT = {"type": "track", "event": "Product Viewed", "userId": "anna", "messageId": "1",
         "timestamp": "2026-03-01T09:00:00Z", "properties": {"product_id": "moka"}}  # fmt: skip


def test_everything_is_copied_once_to_an_empty_broker(ritorno: Ritorno, tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_text(json.dumps(EVENT))
    assert ritorno("topics", "create", "--partitions", "2").code == 0
    assert ritorno("publish", "events.ndjson").code == 0
    new = ("--broker", "embedded://new")
    done = ritorno(*new, "topics", "copy", "--from", "embedded://data/log", "--json")
    assert done.code == 0, done.err
    (report,) = done.json
    assert report["partitions"] == 2 and report["unread"]["customer-events"] == 1
    assert report["kept"]["workflows"] > 0 and report["control_records_left_out"] == 2
    listed = {each["topic"]: each for each in ritorno(*new, "topics", "list", "--json").json}
    assert listed["customer-events"] == {"topic": "customer-events", "partitions": 2, "records": 1}
    again = ritorno(*new, "topics", "copy", "--from", "embedded://data/log")
    assert again.code == FAILURE
    assert "at the new broker customer-events is not empty" in again.err
    same = ritorno("topics", "copy", "--from", "embedded://data/log")
    assert same.code == USER_ERROR and "to which it would be copied" in same.err


def test_topics_create_tells_the_partitions_that_there_are(ritorno: Ritorno) -> None:
    ritorno("topics", "create", "--partitions", "2")
    line, *_ = ritorno("topics", "create", "--partitions", "8").out.splitlines()
    assert line.split() == ["customer-events", "2", "partitions", "exists", "already"]


def test_no_partition_waits_for_a_clock(ritorno: Ritorno) -> None:
    ritorno("topics", "create")
    for command in ("show", "rule"):
        assert ritorno("clock", command).out == "No partition waits.\n"
    wrong = ritorno("clock", "rule", "--at", "yesterday")
    assert (wrong.code, wrong.err) == (
        USER_ERROR, "ritorno: --at: not an RFC 3339 time: 'yesterday'\n"
    )  # fmt: skip
