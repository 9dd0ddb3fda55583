"""`ritorno events quality`: which producer sends what wrongly, of a file and of the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tools.cli.conftest import Ritorno

ODD = '[["products.2.price","\'gratis\'","unreadable",false],["total","\'10,00\'","format",true]]'


def recorded(number: int, odd: str = "", source: str = "/shop", **data: Any) -> str:
    """A line of the log as it was recorded, with what was odd of it."""
    headers = {"ce_id": f"e{number}", "ce_type": "order.completed", "ce_source": source,
               "ce_time": f"2026-03-0{number}T10:00:00Z"}  # fmt: skip
    if odd:
        headers["ritorno_odd"] = odd
    value = {"order_id": f"o{number}", "total": "10.00", **data}
    return json.dumps({"key": "anna", "headers": headers, "value": value})


LINES = [
    recorded(1, ODD),
    recorded(2),
    recorded(3, ODD),
    recorded(4, source="/till"),
    '{"specversion": "1.0", "id": "x", "source": "/till", "type": "order.exploded"}',
    "{broken",
]


@pytest.fixture
def events(ritorno: Ritorno) -> Ritorno:
    Path("events.ndjson").write_text("\n".join(LINES) + "\n")
    return ritorno


def check(report: list[Any]) -> None:
    by_source = {each["source"]: each for each in report}
    shop, till = by_source["/shop"], by_source["/till"]
    assert (shop["events"], shop["events_with_odd_fields"], shop["refused"]) == (3, 2, [])
    price, total = shop["odd_fields"]
    assert (price["type"], price["field"]) == ("order.completed", "products.price")
    assert (price["problem"], price["left_out"], price["count"]) == ("unreadable", True, 2)
    assert price["examples"] == ["'gratis'"]
    assert price["share"] == pytest.approx(2 / 3, abs=1e-6)
    assert (total["field"], total["left_out"]) == ("total", False)
    assert (till["events"], till["odd_fields"]) == (1, [])
    [refused] = till["refused"]
    assert (refused["type"], refused["reason"], refused["count"]) == (
        "order.exploded", "unknown_type", 1
    )  # fmt: skip
    assert by_source["(unknown)"]["refused"][0]["reason"] == "invalid_json"


def test_of_a_file(events: Ritorno) -> None:
    done = events("events", "quality", "events.ndjson", "--json")
    assert done.code == 0
    check(done.json)
    price = done.json[1]["odd_fields"][0]
    assert (price["first"], price["last"]) == ("2026-03-01T10:00:00Z", "2026-03-03T10:00:00Z")


def test_of_the_log_which_has_it_in_our_own_words(events: Ritorno) -> None:
    events("topics", "create")
    assert events("publish", "events.ndjson").code == 1  # two lines are refused
    done = events("events", "quality", "--json")
    assert done.code == 0
    check(done.json)
    assert events("events", "quality", "--since", "1d", "--json").json == done.json
    assert events("events", "quality", "--since", "2099-01-01", "--json").json == []


def test_as_a_person_reads_it(events: Ritorno) -> None:
    done = events("events", "quality", "events.ndjson")
    said = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "/shop 3 events, 2 with something odd" in said
    assert "order.completed" in said
    assert ("products.price can't be read left out 2 66.7% 2026-03-01 2026-03-03 'gratis'") in said
    assert "/till 1 event, nothing odd, 1 refused" in said


OWN = [
    {"type": "track", "event": name, "userId": "anna", "messageId": name, "properties": properties,
     "timestamp": "2026-03-01T10:00:00Z"}
    for name, properties in [("Quiz completato", {"score": "sette"}), ("Lottery Won", {})]
]  # fmt: skip


def test_events_of_the_shops_own_are_read_as_it_declares_them(ritorno: Ritorno) -> None:
    """Of a file by the workflow files, of the log by what is live there, where they are published
    likewise."""
    Path("events.ndjson").write_text("".join(json.dumps(each) + "\n" for each in OWN))
    done = ritorno("publish", "events.ndjson")
    assert "custom.lottery_won: 1 event, not in events.yaml, so only counted" in done.err
    assert "quiz" not in done.err
    for file in (("events.ndjson",), ()):
        [found] = ritorno("events", "quality", *file, "--json").json
        assert [own["type"] for own in found["own_events"]] == ["custom.lottery_won"]
        [odd] = found["odd_fields"]
        assert (odd["type"], odd["field"], odd["problem"], odd["left_out"]) == (
            "custom.quiz_finished", "score", "kind", True
        )  # fmt: skip


def test_since_is_a_span_or_a_time(events: Ritorno) -> None:
    of_two = events("events", "quality", "events.ndjson", "--since", "2026-03-03", "--json").json
    assert {each["source"]: each["events"] for each in of_two} == {
        "/shop": 1, "/till": 1, "(unknown)": 0
    }  # fmt: skip
    refused = events("events", "quality", "events.ndjson", "--since", "soon")
    assert refused.code == 2
    assert "--since soon" in refused.err


def test_a_file_that_is_not_there(ritorno: Ritorno) -> None:
    assert ritorno("events", "quality", "nowhere.ndjson").code == 2


def test_a_replay_says_what_was_odd_and_else_nothing(events: Ritorno) -> None:
    done = events("replay", "events.ndjson", "--until", "2026-03-05", "--out", "out")
    assert "ODD: 2 × order.completed products.price: can't be read, left out" in done.err
    assert "  line 1: 'gratis'" in done.err
    as_json = events("replay", "events.ndjson", "--until", "2026-03-05", "--out", "out", "--json")
    assert [each["count"] for each in as_json.json[0]["odd_fields"]] == [2, 2]
    side_by_side = events(
        "replay", "events.ndjson", "--until", "2026-03-05", "--out", "out", "--json", "--jobs", "2"
    )
    assert side_by_side.json[0]["odd_fields"] == as_json.json[0]["odd_fields"]
    Path("clean.ndjson").write_text(LINES[1] + "\n")
    clean = events("replay", "clean.ndjson", "--until", "2026-03-05", "--out", "out", "--json")
    assert "odd_fields" not in clean.json[0]


def test_the_timeline_shows_it_at_the_event(events: Ritorno) -> None:
    events("replay", "events.ndjson", "--until", "2026-03-05", "--out", "out")
    replayed = ("explain", "anna", "--from", "out", "--events", "events.ndjson")
    said = [line.strip() for line in events(*replayed, "--lang", "en").out.splitlines()]
    assert said.count("left out: products.2.price 'gratis', can't be read") == 2
    assert said.count("read otherwise: total '10,00', written another way") == 2
    assert "tralasciato: products.2.price 'gratis', non si può leggere" in events(*replayed).out
    story = events(*replayed, "--json").json[0]["story"]
    assert [len(each["odd"]) for each in story if "odd" in each] == [2, 2]


def test_the_timeline_of_the_log_does_too(events: Ritorno) -> None:
    events("topics", "create")
    events("publish", "events.ndjson")
    assert "tralasciato: products.2.price" in events("explain", "anna").out
