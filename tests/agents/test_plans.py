"""The plan of an event type: what follows from such an event by what is live."""

from __future__ import annotations

import pytest

from agents.plans import Plan
from schemas.definitions import DEFINITION, canonical, version_of
from schemas.events import PAYLOADS
from streams.replay import prepared

SCORES = {
    "id": "engagement",
    "definition": "scoring",
    "points": {"page.viewed": 1},
    "bands": [{"name": "cold", "from": 0}],
}
SEGMENTS = {
    "id": "segments",
    "definition": "segments",
    "segments": [
        {"id": "buyers", "if": {"orders.count": {"at_least": 1}}},
        {"id": "keen", "if": {"scores.engagement": {"at_least": 20}}},
        {"id": "from-news", "if": {"acquired.source": {"contains": "news"}}},
    ],
}
WELCOME = {
    "id": "welcome",
    "definition": "workflow",
    "title": {"it": "x"},
    "trigger": "list.subscribed",
    "entry": {"once_per": "list"},
    "steps": [{"id": "tag", "tag": "x"}],
}


@pytest.fixture(scope="module")
def live() -> dict[str, Plan]:
    files = {
        str(each["id"]): canonical(DEFINITION.validate_python(each))
        for each in (SCORES, SEGMENTS, WELCOME)
    }
    definitions, versions = prepared(files)
    assert versions == {name: version_of(content) for name, content in files.items()}
    return dict(definitions.live(versions).plans)


def looked_at(plan: Plan, *, scored: bool = False, acquired: bool = False) -> set[str]:
    return {segment.id for segment in plan.looks[scored][acquired].segments}


def test_every_event_type_has_a_plan(live: dict[str, Plan]) -> None:
    assert live.keys() == PAYLOADS.keys()


def test_what_triggers_a_workflow_begins_runs_and_nothing_else_does(live: dict[str, Plan]) -> None:
    assert [type_ for type_, plan in live.items() if plan.begins] == ["list.subscribed"]


def test_only_what_counts_is_scored(live: dict[str, Plan]) -> None:
    assert [type_ for type_, plan in live.items() if plan.scored] == ["page.viewed"]


def test_those_segments_are_looked_at_that_read_what_changes(live: dict[str, Plan]) -> None:
    page, order = live["page.viewed"], live["order.completed"]
    assert looked_at(page) == set()
    assert looked_at(page, scored=True) == {"keen"}
    assert looked_at(page, scored=True, acquired=True) == {"keen", "from-news"}
    assert looked_at(order) == {"buyers"}
    assert looked_at(order, acquired=True) == {"buyers", "from-news"}


def test_people_do_what_is_active_and_only_some_of_it_tells_where_they_came_from(
    live: dict[str, Plan],
) -> None:
    assert live["product.viewed"].active
    assert not live["mail.opened"].active
    assert live["page.viewed"].tells_source
    assert live["list.subscribed"].tells_source
    assert not live["product.viewed"].tells_source
