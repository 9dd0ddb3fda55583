"""S04: scores by rules, "page X visited within Y days adds N"; thresholds begin workflows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from agents.rules.decay import value
from agents.rules.evaluation import EvaluationContext
from agents.rules.fields import FieldRegistry
from agents.rules.scores import compile_scoring
from agents.rules.validation_errors import InvalidDefinition
from schemas.definitions import DEFINITION, canonical
from schemas.definitions.scoring import Scoring
from schemas.signals import ScoreChanged
from tests.harness import DAY, FILES, HOUR, Harness

LEAD: dict[str, Any] = {
    "id": "lead", "definition": "scoring",
    "points": {"support.requested": 5},
    "rules": [
        {"id": "prices", "on": "page.viewed", "where": {"event.url": {"contains": "/prezzi"}},
         "add": 10, "within": "7d"},
        {"id": "dear", "on": "cart.product_added", "where": {"event.price": {"at_least": 100}},
         "add": 20},
    ],
    "bands": [{"name": "cool", "from": 0}, {"name": "ready", "from": 25}],
}  # fmt: skip
PRICES = {"url": "https://shop.example/prezzi"}


def published(content: dict[str, Any]) -> bytes:
    return canonical(DEFINITION.validate_python(content))


def harness(**more: Any) -> Harness:
    alert = {
        "id": "alert", "definition": "workflow", "title": {"it": "x"},
        "trigger": {"score": "lead", "above": 25}, "entry": {"once_per": "event"},
        "steps": [{"id": "mark", "tag": "hot"}],
    }  # fmt: skip
    return Harness({"lead": published(LEAD | more), "alert": published(alert)})


def lead(there: Harness, customer: str = "anna") -> float:
    kept = there.customer(customer).scores["lead"]
    return value(kept, Scoring.model_validate(LEAD), there.now)


def test_a_page_visited_within_a_week_adds_ten() -> None:
    there = harness().tell("page.viewed", **PRICES)
    assert lead(there) == 10
    there.at(DAY).tell("page.viewed", **PRICES).tell("page.viewed", url="https://shop.example/")
    assert lead(there) == 10  # it is visited or not
    there.at(8 * DAY - 1)
    assert lead(there) == 10
    there.at(8 * DAY)
    assert lead(there) == 0


def test_points_without_a_half_life_stay() -> None:
    there = harness().tell("support.requested").add("moka").at(400 * DAY)
    assert lead(there) == 5
    there.tell("cart.product_added", product_id="bimby", price="1200.00")
    assert lead(there) == 25


def test_a_threshold_begins_a_workflow_when_it_is_crossed() -> None:
    there = harness().tell("page.viewed", **PRICES).tell("support.requested")
    assert there.said("alert") == []
    there.tell("cart.product_added", product_id="bimby", price="1200.00")
    assert [s.decision for s in there.said("alert")] == ["entered", "acted", "completed"]
    there.tell("support.requested")
    assert len(there.said("alert")) == 3
    there.at(8 * DAY).tell("page.viewed", **PRICES)  # 30 without the page; it never fell below
    assert len(there.said("alert")) == 3


def test_bands_are_announced_with_the_scores_name() -> None:
    there = harness().tell("page.viewed", **PRICES)
    there.tell("cart.product_added", product_id="bimby", price="1200.00")
    found = [e.content for e in there.effects if isinstance(e.content, ScoreChanged)]
    assert [(s.score, s.previous_band, s.band) for s in found] == [
        ("lead", "", "cool"), ("lead", "cool", "ready"),
    ]  # fmt: skip
    assert len({signal.id for signal in found}) == 2


def test_two_scores_count_the_same_event() -> None:
    there = Harness({"lead": published(LEAD), "engagement": FILES["engagement"]})
    there.tell("page.viewed", **PRICES)
    assert lead(there) == 10
    assert there.customer().engagement.value == 0.5


def test_a_visitors_lead_becomes_the_customers() -> None:
    there = harness().tell("page.viewed", "v1", **PRICES).at(DAY).tell("support.requested")
    there.tell("customer.identified", "anna", anonymous_id="v1")
    assert lead(there) == 15
    there.at(7 * DAY)
    assert lead(there) == 5


def test_a_merge_begins_what_waits_for_the_threshold() -> None:
    there = harness().tell("page.viewed", "v1", **PRICES)
    there.tell("cart.product_added", product_id="bimby", price="1200.00", customer="anna")
    assert there.said("alert") == []
    there.tell("customer.identified", "anna", anonymous_id="v1")
    assert lead(there) == 30
    assert [each.decision for each in there.said("alert")] == ["entered", "acted", "completed"]


def test_a_rule_can_ask_for_the_customer() -> None:
    rules = [
        {"id": "back", "on": "page.viewed", "where": {"orders.count": {"at_least": 1}}, "add": 7}
    ]
    there = harness(rules=rules).tell("page.viewed").order().at(HOUR).tell("page.viewed")
    assert lead(there) == 7


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"points": {"page.veiwed": 1}}, "did you mean page.viewed?"),
        ({"rules": [{"id": "a", "on": "page.seen", "add": 1}]}, "not an event type: 'page.seen'"),
        ({"rules": [{"id": "a", "on": "page.viewed", "add": 1}] * 2}, "same id: a"),
        ({"id": "Lead"}, "string_pattern_mismatch"),
        ({"half_life": "0s"}, "greater_than"),
    ],
)
def test_mistakes_in_the_file_are_named(more: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DEFINITION.validate_python(LEAD | more)
    assert problem in str(caught.value)


def test_mistakes_in_a_rule_are_named() -> None:
    rules = [{"id": "a", "on": "page.viewed", "where": {"event.ulr": {"contains": "x"}}, "add": 1}]
    scoring = Scoring.model_validate(LEAD | {"rules": rules})
    with pytest.raises(
        InvalidDefinition, match=r"rules\.0\.where\.event\.ulr: .*did you mean event\.url\?"
    ):
        compile_scoring(scoring, FieldRegistry([]))


def test_a_score_that_is_not_defined_is_not_known() -> None:
    field = FieldRegistry().find("scores.lead")
    assert field is not None
    assert (
        field.read(EvaluationContext(harness().tell("page.viewed", **PRICES).customer(), 0)) is None
    )
    assert json.loads(published(LEAD))["rules"][0]["within"] == "1w"
