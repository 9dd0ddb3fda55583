"""The whole machine in one process: its sums agree, its mails can be read, a seed is a result."""

import email
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from email import policy
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schemas.events import INTERNAL_TYPES
from schemas.outcomes import OUTCOMES

RITORNO = [sys.executable, "-c", "from streams.tools.cli import main; main()"]
DAYS = 4


class Played(NamedTuple):
    summary: dict[str, Any]
    mails: Path
    text: str


def play(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    directory.mkdir(exist_ok=True)
    return subprocess.run(
        [*RITORNO, "demo", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("RITORNO_")},
    )


def summary_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One demo, as JSON and as text: the second run must come to the same."""
    place = tmp_path_factory.mktemp("demo")
    arguments = ("--days", str(DAYS), "--seed", "2")
    summary = summary_of(play(place / "json", *arguments, "--json"))
    done = play(place / "text", *arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return Played(summary, place / "json" / "demo-output" / "mails", done.stdout)


def test_a_seed_is_a_result(played: Played) -> None:
    mails = played.summary["mails"]
    numbers = {words[0]: words[1] for words in map(str.split, played.text.splitlines()) if words}
    assert numbers["sent"] == str(mails["sent"])
    assert numbers["events"] == f"{played.summary['events']['total']:,}"
    decisions = list(re.findall(r"^decisions +([\d,]+)", played.text, re.MULTILINE))
    assert decisions == [f"{played.summary['decisions']['total']:,}"]
    other = played.mails.parent.parent.parent / "text" / "demo-output" / "mails"
    assert sorted(p.name for p in other.iterdir()) == sorted(p.name for p in played.mails.iterdir())
    for mail in played.mails.glob("*.eml"):
        assert (other / mail.name).read_bytes() == mail.read_bytes()


def test_the_sums_agree(played: Played) -> None:
    summary, mails = played.summary, played.summary["mails"]
    assert mails["sent"] > 20
    assert mails["bounced"] > 0
    assert mails["commanded"] == sum(
        mails[kind] for kind in ("sent", "bounced", "failed", "rejected", "skipped", "waiting")
    )
    assert mails["commanded"] == summary["decisions"]["by_reason"]["sent: due"]
    assert mails["commanded"] == sum(mails["by_template"].values())
    assert mails["sent"] == mails["in_the_sink"] == summary["events"]["by_type"]["mail.sent"]
    assert mails["failed"] == mails["waiting"] == 0
    assert summary["refused"].keys() <= {"invalid_event", "unknown_type"}
    for workflow in summary["workflows"].values():
        ended = workflow["completed"] + sum(workflow["exited"].values())
        over = workflow["entered"] - workflow["waiting"]  # a goal may be reached after the end
        assert ended <= over <= ended + workflow["converted"]


def test_the_shop_sends_by_http_and_its_pages_say_only_what_pages_may(played: Played) -> None:
    sent, events = played.summary["by_http"], played.summary["events"]["by_type"]
    assert sent["calls"].keys() == {"pages", "server", "import", "plugin"}
    assert sent["calls"]["pages"] > sent["calls"]["server"] > 0
    assert sent["calls"]["plugin"] == 3
    mistakes = [*sent["refused"].items(), *played.summary["refused"].items()]
    assert sorted(mistakes) == [("invalid_event", 1), ("invalid_json", 1), ("unknown_type", 1)]
    ours = INTERNAL_TYPES | OUTCOMES.keys()
    told = sum(count for name, count in events.items() if name not in ours)
    # An erasure takes its own request out of the log, too.
    assert 0 <= sum(sent["calls"].values()) - 3 - told <= 3
    line = r"^calls by HTTP +[\d,]+ +in [\d,]+ requests: .* public key"
    assert re.search(line, played.text, re.MULTILINE)


def test_the_catalogue_is_at_work(played: Played) -> None:
    begun = {name for name, each in played.summary["workflows"].items() if each["entered"]}
    assert len(begun) > 15
    assert begun >= {"w05-post-purchase", "w11-welcome", "w13-buyer-to-subscriber", "w25-birthday"}
    assert "w05-post-purchase" in played.text


@pytest.mark.slow
def test_only_what_is_enabled_if_somebody_says_so(tmp_path: Path) -> None:
    summary = summary_of(play(tmp_path, "--days", "1", "--enabled", "--json"))
    assert summary["workflows"].keys() == {
        "w05-post-purchase",
        "w06-abandoned-cart-a",
        "w11-welcome",
    }


def test_the_mails_can_be_read(played: Played) -> None:
    index = (played.mails / "index.html").read_text()
    files = sorted(played.mails.glob("*.eml"))
    assert len(files) == played.summary["mails"]["sent"]
    for file in files:
        message = email.message_from_bytes(file.read_bytes(), policy=policy.default)
        assert "@" in message["To"]
        page = played.mails / f"{file.stem}.html"
        assert f'href="{page.name}"' in index
        text = message.get_body(("plain",))
        assert text is not None
        assert len(text.get_content()) > 100
        content = page.read_text()
        assert "<iframe sandbox" in content
        assert "<pre>" in content


def test_reasons_are_words(played: Played) -> None:
    assert "the customer has bought" in played.text
    assert "no consent to marketing" in played.text
    assert "order.completed" not in played.text
    assert "file://" in played.text


def test_what_is_kept_can_be_looked_into(tmp_path: Path) -> None:
    done = play(tmp_path, "--days", "1", "--keep", "all", "--json")
    assert summary_of(done)["customers"] > 0
    assert (tmp_path / "all" / "log").is_dir()
    again = play(tmp_path, "--days", "1", "--keep", "all")
    assert again.returncode == 2
    assert "earlier demo" in again.stderr


EVENTS = [
    ("list.subscribed", "anna", "2026-03-01T10:00:00Z",
     {"list": "news", "confirmed": True, "email": "anna@posta.example"}),
    ("consent.given", "luca", "2026-03-01T10:00:07Z", {"purpose": "marketing"}),
    ("customer.updated", "luca", "2026-03-01T10:00:07Z", {"email": "luca@posta.example"}),
    ("cart.product_added", "luca", "2026-03-01T10:05:00Z",
     {"product_id": "p1", "name": "Moka", "price": "29.90", "currency": "EUR"}),
    ("cart.product_added", "anna", "2026-03-02T09:00:01Z",
     {"product_id": "p1", "name": "Moka", "price": "29.90", "currency": "EUR"}),
    ("order.completed", "anna", "2026-03-02T09:30:30Z",
     {"order_id": "o1", "total": "29.90", "currency": "EUR",
      "products": [{"product_id": "p1", "name": "Moka", "price": "29.90"}]}),
    ("order.delivered", "anna", "2026-03-04T12:00:00Z", {"order_id": "o1"}),
    ("page.viewed", "luca", "2026-03-03T12:00:00Z", {}),
]  # fmt: skip


def test_a_recorded_log_decides_as_its_replay(tmp_path: Path) -> None:
    lines = [
        json.dumps({"specversion": "1.0", "id": f"e{number}", "source": "/test", "type": type_,
                    "subject": customer, "time": when, "data": data})
        for number, (type_, customer, when, data) in enumerate(EVENTS)
    ]  # fmt: skip
    (tmp_path / "log.ndjson").write_text("\n".join([*lines, "{broken"]) + "\n")
    until = ("--until", "2026-03-20T00:00:00Z")
    arguments = ("--events", "log.ndjson", *until, "--keep", "kept", "--json")
    live = summary_of(play(tmp_path, *arguments))
    for source, out in (("log.ndjson", "of-file"), ("customer-events", "of-topic")):
        command = [*RITORNO, "--broker", "embedded://kept/log", "replay", source]
        subprocess.run([*command, *until, "--out", out], cwd=tmp_path, check=True, timeout=60)
    of_file = (tmp_path / "of-file" / "commands.ndjson").read_bytes()
    assert of_file == (tmp_path / "of-topic" / "commands.ndjson").read_bytes()
    assert live["mails"]["commanded"] == live["mails"]["sent"] == of_file.count(b"\n") > 5
    assert live["refused"] == {"invalid_json": 1}
    decisions = (tmp_path / "of-file" / "decisions.ndjson").read_bytes()
    assert decisions == (tmp_path / "of-topic" / "decisions.ndjson").read_bytes()
    assert live["decisions"]["total"] == decisions.count(b"\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--events", "nowhere.ndjson"], "No such file"),
        (["--events", "empty.ndjson"], "no events"),
        (["--days", "0"], "--days"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "empty.ndjson").write_text("\n")
    done = play(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_it_is_alive_in_a_terminal(tmp_path: Path) -> None:
    """Every part of the live view is drawn, then comes the summary."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [*RITORNO, "demo", "--days", "1", "--speed", "16"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "140", "LINES": "45"},
    )
    os.close(terminal)
    try:
        shown = read_all(main, seconds=150)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(main)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    quiet = summary_of(play(tmp_path, "--days", "1", "--json"))
    events = re.search(r"events +([\d,]+) +20", plain)
    assert events is not None
    assert events[1] == f"{quiet['events']['total']:,}"  # whoever watches changes nothing
    for part in ("March 2026", "runs", "mails", "decisions", "this is what it waits for"):
        assert part in plain
    assert "Read the mails: file://" in plain
    assert "Traceback" not in plain


def read_all(handle: int, seconds: float) -> str:
    """Read what a terminal shows until its process ends; at most `seconds`."""
    deadline = time.monotonic() + seconds
    shown = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([handle], [], [], left)[0]:
            break
        try:
            chunk = os.read(handle, 65_536)
        except OSError:  # Linux reports the end of a terminal as EIO
            break
        if not chunk:
            break
        shown += chunk
    return shown.decode("utf-8", "replace")
