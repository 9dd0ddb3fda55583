"""`ritorno experiments`: a replayed A/B test is compared, in words and for a program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.instant import parse_instant, to_rfc3339
from tests.tools.cli.conftest import Ritorno, ritorno

__all__ = ["ritorno"]

WORKFLOW = """
id: test
title: {it: Prova, en: Test}
trigger: page.viewed
entry: {once_per: customer}
goal: {on: order.completed, within: 7d}
steps:
  - id: which
    experiment: subject
    runs_for: 2w
    split:
      - {name: none, share: 34, holdout: true}
      - {name: short, share: 33, steps: [{id: a, send: welcome-thanks, kind: informative}]}
      - {name: long, share: 33, steps: [{id: b, send: welcome-thanks, kind: informative}]}
  - {id: end, wait: {for: 30d}}
"""
START = parse_instant("2026-03-02T10:00:00+01:00")
HOUR = 3_600_000


@pytest.fixture
def replayed(ritorno: Ritorno) -> Ritorno:
    """900 customers; every third one of those that were written to buys a day later."""
    Path("files").mkdir()
    Path("files/test.yaml").write_text(WORKFLOW)
    events: list[tuple[int, str, str, dict[str, object]]] = []
    for number in range(900):
        time, who = START + number * HOUR // 4, f"c{number}"
        events.append((time, who, "customer.created", {"email": f"{who}@posta.example"}))
        events.append((time, who, "consent.given", {"purpose": "marketing"}))
        events.append((time, who, "page.viewed", {}))
    write("first.ndjson", events)
    ritorno("replay", "first.ndjson", "--until", "2026-04-30", "--out", "first",
            "--workflows-dir", "files")  # fmt: skip
    sent = [json.loads(line) for line in Path("first/commands.ndjson").read_text().splitlines()]
    for number, command in enumerate(sent):
        if number % 3 == 0 or command["step"] == "b":
            time = parse_instant(command["time"]) + 24 * HOUR
            events.append((time, command["customer"], "order.completed",
                           {"order_id": f"o{number}", "total": "10"}))  # fmt: skip
    write("events.ndjson", sorted(events, key=lambda event: event[0]))
    ritorno("replay", "events.ndjson", "--until", "2026-04-30", "--out", "out",
            "--workflows-dir", "files")  # fmt: skip
    return ritorno


def write(path: str, events: list[tuple[int, str, str, dict[str, object]]]) -> None:
    lines = [
        json.dumps({"specversion": "1.0", "id": str(number), "subject": who, "type": type_,
                    "time": to_rfc3339(time), "data": data})
        for number, (time, who, type_, data) in enumerate(events)
    ]  # fmt: skip
    Path(path).write_text("\n".join(lines) + "\n")


@pytest.mark.row("R07")
def test_an_experiment_is_compared(replayed: Ritorno) -> None:
    done = replayed("experiments", "--from", "out", "--workflows-dir", "files", "--json")
    [found] = done.json
    assert (found["experiment"], found["workflow"], found["control"]) == ("subject", "test", "none")
    variants = {each["name"]: each for each in found["variants"]}
    assert sum(each["customers"] for each in variants.values()) == 900
    assert variants["none"]["mails"] == variants["none"]["conversions"] == 0
    assert variants["long"]["mails"] == variants["long"]["customers"]
    assert variants["long"]["rate"] == 1.0
    assert 0.2 < variants["short"]["rate"] < 0.5
    assert found["winner"] == "long"
    assert found["lift"]["interval"][0] > 0.5
    words = replayed("experiments", "subject", "--from", "out", "--workflows-dir", "files").out
    assert "winner: long" in words
    assert "none (holdout)" in words
    assert "lift over the holdout: +" in words


@pytest.mark.row("R07")
def test_before_its_time_there_is_no_winner(replayed: Ritorno) -> None:
    replayed("replay", "events.ndjson", "--until", "2026-03-10", "--out", "early",
             "--workflows-dir", "files")  # fmt: skip
    words = replayed("experiments", "--from", "early", "--workflows-dir", "files").out
    assert "no winner yet: 6 more days to run; none needs" in words
    assert "with time left" in words


def test_without_its_workflow_the_decisions_have_to_do(replayed: Ritorno) -> None:
    [found] = replayed("experiments", "--from", "out", "--json").json
    assert {each["name"] for each in found["variants"]} == {"none", "short", "long"}


def test_mistakes_are_explained(replayed: Ritorno) -> None:
    done = replayed("experiments", "colour", "--from", "out")
    assert done.code == 2
    assert "nobody was assigned to an experiment 'colour'; known: subject" in done.err
    assert "no-such/decisions.ndjson" in replayed("experiments", "--from", "no-such").err


def test_an_empty_log_has_none(ritorno: Ritorno) -> None:
    ritorno("topics", "create")
    assert "Nobody has been assigned" in ritorno("experiments").out
