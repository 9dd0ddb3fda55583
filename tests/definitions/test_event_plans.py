"""The plan of an event type: what follows from such an event by what is live."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from agents.definitions.derived_state import Affected
from agents.definitions.event_plans import EventPlan
from agents.definitions.published import Live
from agents.effects import Effect
from agents.partition.partition import PartitionActors
from agents.rules.fields import Part
from schemas.definitions import DEFINITION, canonical, version_of
from schemas.events import PAYLOADS, TICK
from schemas.records import Record
from schemas.stored import Progress
from schemas.topics import CUSTOMER_EVENTS
from streams.runtime.definitions import read_files
from streams.settings import Settings
from streams.tools.demo.shop import scenario
from streams.tools.replay import prepared
from tests.tools.demo.told import recorded

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
def live() -> dict[str, EventPlan]:
    files = {
        str(each["id"]): canonical(DEFINITION.validate_python(each))
        for each in (SCORES, SEGMENTS, WELCOME)
    }
    definitions, versions = prepared(files)
    assert versions == {name: version_of(content) for name, content in files.items()}
    return dict(definitions.live(versions).plans)


def looked_at(plan: EventPlan, *, scored: bool = False, acquired: bool = False) -> set[str]:
    return {segment.id for segment in plan.looks[scored][acquired].segments}


def test_every_event_type_has_a_plan(live: dict[str, EventPlan]) -> None:
    assert live.keys() == PAYLOADS.keys()


def test_what_triggers_a_workflow_begins_runs_and_nothing_else_does(
    live: dict[str, EventPlan],
) -> None:
    assert [type_ for type_, plan in live.items() if plan.begins] == ["list.subscribed"]


def test_only_what_counts_is_scored(live: dict[str, EventPlan]) -> None:
    assert [type_ for type_, plan in live.items() if plan.scored] == ["page.viewed"]


def test_those_segments_are_looked_at_that_read_what_changes(live: dict[str, EventPlan]) -> None:
    page, order = live["page.viewed"], live["order.completed"]
    assert looked_at(page) == set()
    assert looked_at(page, scored=True) == {"keen"}
    assert looked_at(page, scored=True, acquired=True) == {"keen", "from-news"}
    assert looked_at(order) == {"buyers"}
    assert looked_at(order, acquired=True) == {"buyers", "from-news"}


def test_people_do_what_is_active_and_only_some_of_it_tells_where_they_came_from(
    live: dict[str, EventPlan],
) -> None:
    assert live["product.viewed"].active
    assert not live["mail.opened"].active
    assert live["page.viewed"].tells_source
    assert live["list.subscribed"].tells_source
    assert not live["product.viewed"].tells_source


HOUR = 3_600_000
EVERY_PART: frozenset[Part] = frozenset(get_args(Part))


def asks_everybody(live: Live) -> None:
    """Let every event take the whole way: it may begin runs, and changes all that segments read.

    Not what time triggers read: to count one anew on some later occasion is another thing for
    whoever was silent before history was loaded.
    """
    every_segment = live.derived_state.reading(EVERY_PART).segments

    def whole(looks: tuple[Affected, Affected]) -> tuple[Affected, Affected]:
        return Affected(every_segment, looks[0].time_triggers), Affected(
            every_segment, looks[1].time_triggers
        )

    live.plans = {
        type_: plan._replace(
            begins=True, counts=False, looks=(whole(plan.looks[0]), whole(plan.looks[1]))
        )
        for type_, plan in live.plans.items()
    }


def written(records: list[Record], change: Callable[[Live], None]) -> list[Effect]:
    definitions, versions = prepared(read_files(Settings().workflows_dir, everything=True))
    store: dict[bytes, bytes] = {}
    actors = PartitionActors(
        partition=0, load=store.get, definitions=definitions, progress=Progress(live=versions)
    )
    change(actors._state.live)
    actors.absorb(records)
    return list(actors.effects)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_a_plan_leaves_out_would_have_changed_nothing(seed: int) -> None:
    """Weeks of a shop with everything live, and quiet ones in which time passes."""
    tick = (None, None, (("ce_type", TICK.encode()),))
    taken = [(time, tuple(record)) for time, record in recorded(scenario(seed, 12))]
    last = taken[-1][0]
    taken += [(last + hour * HOUR, tick) for hour in range(1, 24 * 30)]
    records = [
        Record(CUSTOMER_EVENTS, 0, offset, time, *record)
        for offset, (time, record) in enumerate(taken)
    ]
    effects = written(records, lambda live: None)
    assert len(effects) > 1_000
    assert effects == written(records, asks_everybody)
