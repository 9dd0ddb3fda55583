"""Events of the shop's own: what is declared begins runs, is scored and counted; what isn't is
counted and changes nothing, then and for ever."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.bounds import kept_bytes
from schemas.customer.person import OCCURRED_TOTAL_BYTES
from schemas.definitions import DEFINITION
from schemas.signals import SegmentChanged
from schemas.wire import parse_record
from tests.harness import DAY, HOUR, START, Harness

EVENTS = """
id: events
definition: events
events:
  - id: quiz_finished
    names: [Quiz completato, "クイズ完了"]
    active: true
    counted: true
    properties: {result: text, score: number, day: date, won: flag, product_id: text}
  - {id: invoice_overdue, properties: {amount: number}}
  - {id: fair_visited, active: true}
"""
QUIZ = """
id: quiz
title: {it: Quiz, en: Quiz}
trigger: {on: custom.quiz_finished, where: {event.score: {at_least: 5}}}
entry: {once_per: event}
exit_on: [custom.invoice_overdue]
steps:
  - {id: tag, tag: "quiz:{event.result}"}
  - {id: later, wait: {event: custom.quiz_finished, where: {event.won: true}, timeout: 30d}}
  - {id: won, tag: won}
"""
SCORES = """
id: engagement
definition: scoring
points: {custom.quiz_finished: 3}
rules:
  - {id: good, on: custom.quiz_finished, where: {event.score: {at_least: 5}}, add: 4}
bands: [{name: cold, from: 0}]
"""
SEGMENTS = """
id: segments
definition: segments
segments:
  - {id: players, if: {occurred.quiz_finished: {at_least: 2}}}
  - {id: recent, if: {last_occurred.quiz_finished: {within: 7d}}}
"""
ACTIVE = """
id: awake
title: {it: Sveglio, en: Awake}
trigger: customer.active
entry: {once_per: customer}
steps: [{id: tag, tag: awake}]
"""


def shop(*texts: str) -> Harness:
    return Harness.of(EVENTS, QUIZ, SCORES, SEGMENTS, *texts)


def quiz(harness: Harness, **said: Any) -> Harness:
    return harness.tell("custom.quiz_finished", **{"result": "moka", "score": 7, **said})


def undeclared(harness: Harness) -> dict[str, int]:
    return dict(sum((each.undeclared for each in harness.counts), start=Counter()))


def test_it_begins_moves_and_ends_runs() -> None:
    harness = quiz(quiz(shop(), score=1))
    assert sorted(harness.customer().tags) == ["quiz:moka"]
    quiz(harness.at(DAY), score=2, won=True)
    assert sorted(harness.customer().tags) == ["quiz:moka", "won"]
    quiz(harness.at(2 * DAY), result="bialetti").at(3 * DAY).tell("custom.invoice_overdue")
    assert harness.said("quiz")[-1] == (3 * DAY, "", "exited", "custom")
    assert harness.details("quiz")[-1][-1] == "custom.invoice_overdue"


def test_it_is_scored_counted_and_an_activity() -> None:
    harness = shop(ACTIVE).at(HOUR)
    quiz(harness)
    anna = harness.customer()
    assert anna.engagement.value == 7
    assert (anna.occurred["quiz_finished"].times, anna.visits) == (1, 1)
    assert anna.occurred["quiz_finished"].last == START + HOUR * 1000
    assert anna.segments == ["recent"]
    assert sorted(anna.tags) == ["awake", "quiz:moka"]
    quiz(harness)
    assert harness.customer().segments == ["players", "recent"]
    harness.at(8 * DAY)
    assert harness.customer().segments == ["players"]
    changes = [e.content.change for e in harness.effects if isinstance(e.content, SegmentChanged)]
    assert changes == ["entered", "entered", "left"]


def test_whoever_waits_for_a_sign_of_life_hears_of_it() -> None:
    waiting = """
id: asleep
title: {it: D, en: D}
trigger: customer.created
entry: {once_per: customer}
exit_on: [customer.active]
steps: [{id: later, wait: 9d, tag: late}]
"""
    harness = shop(waiting).tell("customer.created").at(DAY).tell("custom.invoice_overdue")
    assert [each.workflow for each in harness.customer().runs] == ["asleep"]
    harness.tell("custom.fair_visited")
    assert harness.said("asleep")[-1] == (DAY, "", "exited", "customer.active")


def test_what_a_person_does_not_do_is_no_activity() -> None:
    harness = shop(ACTIVE).tell("custom.invoice_overdue", amount=5)
    anna = harness.customer()
    assert (anna.visits, anna.last_active, anna.occurred, anna.tags) == (0, 0, {}, {})
    assert anna.last_seen == START
    assert list(harness.tell("custom.fair_visited").customer().tags) == ["awake"]


@pytest.mark.parametrize("type_", [
    "custom.quiz_finished", "custom.Quiz Finished", "custom.quiz_completato", "custom.クイズ完了",
])  # fmt: skip
def test_its_other_names_are_the_same_event(type_: str) -> None:
    harness = shop().tell(type_, result="x", score=9)
    assert list(harness.customer().occurred) == ["quiz_finished"]
    assert list(harness.customer().tags) == ["quiz:x"]


@pytest.mark.parametrize(("said", "kept"), [
    ({"score": "7.5", "won": "true"}, {"score": 7.5, "won": True}),
    ({"Score": 7, "Result": "moka"}, {"score": 7, "result": "moka"}),
    ({"score": [7], "won": "perhaps", "day": "soon", "result": {}}, {}),
    ({"day": "2026-03-02", "result": 5, "other": 1}, {"day": "2026-03-02", "result": "5"}),
    ({"result": None, "score": True}, {}),
])  # fmt: skip
def test_only_what_is_declared_is_read(said: dict[str, Any], kept: dict[str, Any]) -> None:
    named = ", ".join(f"{{event.{name}}}" for name in ("result", "score", "day", "won"))
    harness = Harness.of(EVENTS, QUIZ.replace("quiz:{event.result}", named).replace(
        ", where: {event.score: {at_least: 5}}", ""))  # fmt: skip
    harness.tell("custom.quiz_finished", **said)
    (run,) = harness.customer().runs
    assert dict(run.event) == kept


def test_what_is_left_out_of_it_is_said() -> None:
    harness = shop().tell("custom.quiz_finished", score=[7], result="x", other={})
    odd = sum((each.odd for each in harness.counts), start=Counter())
    assert odd == {("custom.quiz_finished", "score", "kind"): 1}


def test_an_undeclared_one_is_counted_and_nothing_else() -> None:
    harness = shop()
    harness.tell("custom.lottery_won", amount=5).tell("custom.lottery_won", "v1")
    assert undeclared(harness) == {"custom.lottery_won": 2}
    assert (harness.refusals, harness.store) == ([], {})
    harness.tell("product.viewed", product_id="moka")
    before = harness.store[b"anna"]
    harness.tell("custom.lottery_won")
    assert harness.store[b"anna"] == before


def test_declaring_a_name_later_does_not_rewrite_the_past() -> None:
    harness = shop().tell("custom.lottery_won")
    more = EVENTS + "  - {id: lottery_won, counted: true}\n"
    harness.publish_live(more).tell("custom.lottery_won").publish_live(EVENTS)
    harness.tell("custom.lottery_won")
    assert undeclared(harness) == {"custom.lottery_won": 2}
    again = Harness.of(EVENTS, QUIZ, SCORES, SEGMENTS)
    again.publish_live(more)
    again.activate(again.first)
    for record in harness.records:
        again.now = record.timestamp
        again._receive(record._replace(offset=len(again.records)))
        again.records.append(record)
    assert again.customer().occurred == harness.customer().occurred
    assert again.customer().occurred["lottery_won"].times == 1


def test_a_visitors_is_forwarded_and_merged() -> None:
    harness = shop()
    quiz(harness).tell("custom.quiz_finished", "v1", score=8)
    harness.tell("customer.identified", anonymous_id="v1", customer_id="anna", named=True)
    assert harness.customer().occurred["quiz_finished"].times == 2
    harness.tell("custom.quiz_finished", "v1", score=8)
    assert harness.customer().occurred["quiz_finished"].times == 3
    told = [event for event in harness.told if event.type == "custom.quiz_finished"]
    assert [event.data.model_extra for event in told] == [{"score": 8}]


def test_what_is_kept_stays_within_its_bound() -> None:
    names = ["a" * 40 + chr(ord("a") + number) for number in range(6)]
    harness = Harness.of(_counting(names))
    for name in names * 3:
        harness.tell(f"custom.{name}")
    others = ["b" * 40 + chr(ord("a") + number) for number in range(6)]
    harness.publish_live(_counting(others))
    for name in others:
        harness.tell(f"custom.{name}")
    occurred = harness.customer().occurred
    assert set(others) <= occurred.keys()
    assert kept_bytes(occurred) <= OCCURRED_TOTAL_BYTES


def _counting(names: list[str]) -> str:
    rows = "".join(f"  - {{id: {name}, counted: true}}\n" for name in names)
    return "id: events\ndefinition: events\nevents:\n" + rows


@pytest.mark.parametrize(("events", "why"), [
    ([{"id": "order_completed"}], "'order_completed' is order.completed already"),
    ([{"id": "a", "names": ["Email Unsubscribed"]}], "is mail.unsubscribed already"),
    ([{"id": "a", "names": ["B!"]}, {"id": "b"}], "'b' is custom.a already"),
    ([{"id": "a"}, {"id": "a"}], "there are two events a"),
    ([{"id": "a", "names": ["!!"]}], "has no letters"),
    ([{"id": "A"}], "pattern"),
    ([{"id": "a", "properties": {"x": "texts"}}], "text"),
    ([{"id": "a" * 30 + chr(ord("a") + n), "counted": True} for n in range(9)], "counted: "),
])  # fmt: skip
def test_what_can_not_be_declared(events: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(ValidationError, match="(?s)" + why.replace("!", "")):
        DEFINITION.validate_python({"id": "events", "definition": "events", "events": events})


def test_screens_and_groups_may_be_ignored() -> None:
    fields = "id: fields\ndefinition: fields\nfields: [{id: company, type: text}]"
    harness = Harness.of(EVENTS, fields).tell("page.viewed", screen=True)
    harness.tell("customer.grouped", company="Acme", group_id="g1")
    assert (harness.customer().views, harness.customer().fields) == (1, {"company": "Acme"})
    ignoring = EVENTS + "screens: ignored\ngroups: ignored\n"
    harness.publish_live(ignoring).tell("page.viewed", screen=True).tell("page.viewed")
    harness.tell("customer.grouped", company="Other").tell("page.viewed", "bruno", screen=True)
    assert (harness.customer().views, harness.customer().fields) == (2, {"company": "Acme"})
    assert harness.customer("bruno").first_seen == 0
    assert parse_record(harness.records[0]).data.screen


def test_a_group_says_nothing_of_the_person() -> None:
    fields = "id: fields\ndefinition: fields\nfields: [{id: company, type: text}]"
    harness = Harness.of(EVENTS, fields).tell("customer.updated", named=True, city="Torino")
    before = harness.customer().profile
    harness.tell("customer.grouped", named=True, company="Acme", email="info@acme.example",
                 name="Acme", city="Roma", tags=["b2b"])  # fmt: skip
    assert harness.customer().profile == before
    assert harness.customer().links.registrations == {}
    assert (harness.customer().fields, harness.customer().tags) == ({"company": "Acme"}, {})
