"""`ritorno import`, from the command line to the log and to files."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.tools.order_import.conftest import Ritorno
from tests.tools.order_import.orders import HEADER

LINES = [
    HEADER,
    "1,c-1,2026-03-01 10:00:00,p-1,Olio,2,16.90",
    "1,c-1,2026-03-01 10:00:00,p-2,Moka,0,29.90",
    "C7,c-1,2026-03-03 10:00:00,p-1,Olio,-1,16.90",
    "2,,2026-03-02 10:00:00,p-1,Olio,1,16.90",
]
SUMS = {"lines": 4, "applied": 1, "cancelled": 1, "anonymous": 1, "dead_lettered": 1}


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text("\n".join(LINES) + "\n")
    return path


def state(ritorno: Ritorno, customer: str) -> Any:
    return ritorno("customer", "show", customer, "--json").json[0]


def test_publishes_history_with_its_dead_letters(ritorno: Ritorno, orders: Path) -> None:
    done = ritorno("import", str(orders), "--cancelled-prefix", "C", "--json")
    assert done.code == 1
    assert "1 line could not be used: in dead-letters" in done.err
    report = done.json[0]
    assert SUMS.items() <= report.items()
    assert report["revenue"] == {"EUR": "33.80"}
    assert report["refunded"] == {"EUR": "16.90"}
    letters = ritorno("dead-letters", "list", "--json").json
    assert [(each["topic"], each["offset"], each["reason"]) for each in letters] == [
        ("orders.csv", 3, "bad_quantity")
    ]
    assert LINES[2] in ritorno("dead-letters", "show", letters[0]["id"]).out


def test_the_mapping_is_guessed_and_shown(ritorno: Ritorno, orders: Path) -> None:
    done = ritorno("import", str(orders), "--output", "out.ndjson")
    assert done.code == 1
    assert "--map product_id=sku" in done.err


def test_writes_files_instead(ritorno: Ritorno, orders: Path, tmp_path: Path) -> None:
    arguments = ("--cancelled-prefix", "C", "--json")
    done = ritorno("import", str(orders), "--output", "out.ndjson.gz", *arguments)
    assert SUMS.items() <= done.json[0].items()
    lines = gzip.decompress((tmp_path / "out.ndjson.gz").read_bytes()).splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["id"] for event in events] == ["import:1", "import:C7"]
    assert all(event["backfill"] for event in events)
    dead = [json.loads(line) for line in Path("out.dead.ndjson").read_text().splitlines()]
    assert [(letter["file"], letter["line"], letter["raw"]) for letter in dead] == [
        ("orders.csv", 3, LINES[2])
    ]
    assert not (tmp_path / "data").exists()


def test_live_events_start_workflows_and_are_not_published(ritorno: Ritorno, orders: Path) -> None:
    refused = ritorno("import", str(orders), "--live")
    assert refused.code == 2
    assert "--out" in refused.err
    ritorno("import", str(orders), "--live", "--output", "live.ndjson")
    assert not any("backfill" in line for line in Path("live.ndjson").read_text().splitlines())
    for name, flags, entered in (("live", ["--live"], 1), ("history", [], 0)):
        ritorno("import", str(orders), "--output", f"{name}.ndjson", *flags)
        done = ritorno("replay", f"{name}.ndjson", "--until", "2026-04-01", "--out", name, "--json")
        assert done.json[0]["decisions_by_reason"].get("entered: triggered", 0) == entered


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--map", "order_id=Nope"], "there is no such column"),
        (["--map", "price"], "expected FIELD=COLUMN"),
        (["--map", "colour=sku"], "expected FIELD=COLUMN"),
        (["--zone", "Rome"], "--zone Rome"),
        (["--currency", "euro"], "three-letter code"),
        (["--delimiter", "||"], "one character"),
        (["--encoding", "klingon"], "--encoding klingon"),
    ],
)
def test_mistakes_are_explained(
    ritorno: Ritorno, orders: Path, arguments: list[str], said: str
) -> None:
    done = ritorno("import", str(orders), *arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_what_cannot_be_guessed_is_asked_for(ritorno: Ritorno, tmp_path: Path) -> None:
    (tmp_path / "strange.csv").write_text("a,b,c\n1,2,3\n")
    done = ritorno("import", "strange.csv")
    assert done.code == 2
    assert "--map order_id=COLUMN" in done.err
    assert "Columns of the file: a, b, c" in done.err


@pytest.mark.parametrize("content", [b"", b"\n", b"\x1f\x8b\x08broken"])
def test_a_file_that_is_none(ritorno: Ritorno, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "orders.csv.gz").write_bytes(content)
    done = ritorno("import", "orders.csv.gz")
    assert done.code == 2
    assert "orders.csv.gz" in done.err


def test_a_missing_file(ritorno: Ritorno) -> None:
    done = ritorno("import", "nowhere.csv")
    assert done.code == 2
    assert "No such file" in done.err
