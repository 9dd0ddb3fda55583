"""`ritorno replay` from the command line."""

import gzip
import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from streams.tools.cli.console import UserError
from streams.tools.cli.replay import parse_until
from tests.tools.cli.conftest import Ritorno, ritorno

__all__ = ["ritorno"]

EVENTS = [
    {"type": "list.subscribed", "id": "1", "time": "2026-03-01T10:00:00Z",
     "data": {"confirmed": True, "email": "anna@posta.example"}},
    {"type": "cart.product_added", "id": "2", "time": "2026-03-31T17:30:00Z",
     "data": {"product_id": "p1", "price": "29.90"}},
    {"type": "page.viewed", "id": "3", "time": "2026-04-02T10:00:00Z", "data": {}},
]  # fmt: skip
LINES = [json.dumps({"specversion": "1.0", "subject": "anna", **event}) for event in EVENTS]
TEXT = "\n".join([LINES[0], "", "{broken", *LINES[1:]]) + "\n"


@pytest.fixture
def events(tmp_path: Path) -> str:
    (tmp_path / "events.ndjson").write_text(TEXT)
    return "events.ndjson"


def test_prints_what_was_decided_and_what_was_refused(ritorno: Ritorno, events: str) -> None:
    done = ritorno("replay", events, "--until", "2026-03-31", "--out", "out")
    assert done.code == 0
    assert "w11-welcome thanks (marketing)" in done.out
    assert "sent: due" in done.out
    assert "REFUSED: 1 × invalid_json" in done.err
    assert "line 3" in done.err
    assert "left out, after --until: 1 event" in done.err


def test_a_day_includes_its_evening(ritorno: Ritorno, events: str) -> None:
    done = ritorno("replay", events, "--until", "2026-03-31", "--out", "out", "--json")
    summary = done.json[0]
    assert summary["events"] == 2
    assert summary["commands_by_step"]["w06-abandoned-cart-a reminder (marketing)"] == 1
    assert summary["refused_by_reason"] == {"invalid_json": 1}
    commands = [json.loads(line) for line in Path("out/commands.ndjson").read_text().splitlines()]
    assert len(commands) == summary["commands"]
    assert list(commands[0]) == [
        "id", "time", "customer", "email", "workflow", "step", "class", "kind",
        "template",
    ]  # fmt: skip
    earlier = ritorno("replay", events, "--until", "2026-03-31T18:00:00Z", "--out", "o", "--json")
    assert earlier.json[0]["commands"] == summary["commands"] - 1


def test_every_way_in_gives_the_same_bytes(
    ritorno: Ritorno, events: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "events.ndjson.gz").write_bytes(gzip.compress(TEXT.encode()))
    stdin = SimpleNamespace(buffer=io.BytesIO(TEXT.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    written = []
    for source in (events, "events.ndjson.gz", "-"):
        ritorno("replay", source, "--until", "2026-03-31", "--out", "out")
        names = ("commands", "decisions", "customers")
        written.append([(tmp_path / "out" / f"{name}.ndjson").read_bytes() for name in names])
    assert written[0] == written[1] == written[2]
    assert all(written[0])


def test_a_topic_brings_its_own_time(ritorno: Ritorno, events: str) -> None:
    ritorno("publish", events)
    done = ritorno("replay", "customer-events", "--until", "2099-01-01", "--out", "out", "--json")
    assert done.json[0]["events"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.ndjson"], "nowhere.ndjson"),
        (["no-such-topic"], "no topic"),
        (["events.ndjson", "--until", "soon"], "--until soon"),
        (["events.ndjson", "--workflows-dir", "."], "no workflow files"),
        (["events.ndjson", "--out", "events.ndjson"], "events.ndjson"),
    ],
)
def test_mistakes_are_explained(
    ritorno: Ritorno, events: str, arguments: list[str], said: str
) -> None:
    defaults = ["--until", "2026-03-31", "--out", "out"]
    done = ritorno("replay", *defaults, *arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_until_is_an_instant() -> None:
    assert parse_until("2026-03-31") == parse_until("2026-04-01T00:00:00Z") - 1
    with pytest.raises(UserError):
        parse_until("1970-01-01")
