"""S01: custom fields of any type, set by traits; tags with dates that expire by themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.customer.person import TAGS_KEPT
from schemas.definitions import DEFINITION, canonical
from schemas.events.odd import OddField
from schemas.signals import TagChanged
from schemas.wire import parse_published
from streams.operate.declarations import declarations
from tests.harness import DAY, HOUR, Harness

FIELDS = {
    "id": "fields", "definition": "fields",
    "fields": [{"id": "size", "type": "text"}, {"id": "budget", "type": "number"},
               {"id": "wedding", "type": "date"}, {"id": "business", "type": "flag"}],
}  # fmt: skip


def published(content: dict[str, Any]) -> bytes:
    return canonical(DEFINITION.validate_python(content))


def workflow(id_: str, trigger: Any, steps: list[dict[str, Any]]) -> dict[str, bytes]:
    content = {"id": id_, "definition": "workflow", "title": {"it": "x"}, "trigger": trigger,
               "entry": {"once_per": "event"}, "steps": steps}  # fmt: skip
    return {id_: published(content)}


def refused(there: Harness) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in there.counts:
        for name, count in counts.refused_fields.items():
            total[name] = total.get(name, 0) + count
    return total


def test_traits_of_the_same_name_set_fields() -> None:
    there = Harness({"fields": published(FIELDS)})
    there.tell("customer.updated", size="M", budget=120, wedding="20/06/2026", business=True,
               unknown="x", country="IT")  # fmt: skip
    assert there.customer().fields == {
        "size": "M", "budget": 120, "wedding": "2026-06-20", "business": True,
    }  # fmt: skip
    there.at(1).tell("customer.updated", size=42, budget="99.50", business="false", wedding=None)
    assert there.customer().fields == {"size": "42", "budget": 99.5, "business": False}
    assert refused(there) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [("budget", "a lot"), ("budget", True), ("budget", [1]), ("wedding", "soon"),
     ("wedding", 20260620), ("business", 1), ("business", "perhaps"), ("size", {"eu": 42}),
     ("size", True)],
)  # fmt: skip
def test_what_is_of_another_type_is_refused_and_the_rest_applied(name: str, value: Any) -> None:
    there = Harness({"fields": published(FIELDS)})
    there.tell("customer.updated", **{name: value}, country="IT")
    assert there.customer().fields == {}
    assert there.customer().profile.country == "IT"
    assert refused(there) == {name: 1}
    assert there.refusals == []
    assert there.counts[-1].odd == {("customer.updated", name, "kind"): 1}


def test_who_reads_an_event_without_an_actor_finds_the_same() -> None:
    declared = declarations([published(FIELDS)])
    traits = {"budget": "a lot", "size": "M", "wedding": None, "business": "", "unknown": [1]}
    line = {"type": "identify", "messageId": "1", "userId": "anna", "traits": traits}
    found = declared.understood(parse_published(json.dumps(line)))
    assert found is not None
    assert found.odd == (OddField("budget", "'a lot'", "kind", kept=False),)
    del traits["budget"]
    fine = parse_published(json.dumps(line))
    assert declared.understood(fine) is fine


def test_fields_go_with_a_visitor_and_with_what_is_forwarded() -> None:
    there = Harness({"fields": published(FIELDS)}).tell("customer.updated", "v1", size="M")
    there.tell("customer.identified", "anna", anonymous_id="v1", business=True)
    there.tell("customer.updated", "v1", budget=5)
    assert there.customer().fields == {"size": "M", "business": True, "budget": 5}


def test_a_step_sets_a_field_of_its_type_only() -> None:
    steps = [{"id": "s", "set": {"size": "{event.variant}", "budget": "much"}}]
    files = {"fields": published(FIELDS)} | workflow("w", "product.viewed", steps)
    there = Harness(files).tell("product.viewed", product_id="p", variant="XL")
    assert there.customer().fields == {"size": "XL"}
    assert refused(there) == {"budget": 1}


def test_a_tag_expires_at_its_time_and_tells_workflows() -> None:
    files = workflow("hot", "product.viewed", [{"id": "t", "tag": "hot", "lasts": "5h"}])
    files |= workflow("cold", {"tag": "hot", "when": "removed"}, [{"id": "t", "tag": "was-hot"}])
    there = Harness(files).tell("product.viewed", product_id="a").at(HOUR)
    there.tell("product.viewed", product_id="a").at(6 * HOUR - 1)
    assert list(there.customer().tags) == ["hot"]
    there.at(6 * HOUR)
    assert list(there.customer().tags) == ["was-hot"]
    assert [s.at for s in there.said("cold") if s.decision == "entered"] == [6 * HOUR]
    assert there.customer().watches == {}


def test_a_tag_names_a_field_or_is_none() -> None:
    steps = [{"id": "t", "tag": "interest:{event.category}"}]
    there = Harness(workflow("w", "product.viewed", steps))
    there.tell("product.viewed", product_id="a").tell(
        "product.viewed", product_id="b", category="tè"
    )
    assert list(there.customer().tags) == ["interest:tè"]


def test_tags_are_bounded_and_survive_a_merge() -> None:
    steps = [{"id": "t", "tag": "p:{event.product_id}", "lasts": "9d"}]
    there = Harness(workflow("w", "product.viewed", steps))
    for number in range(TAGS_KEPT + 5):
        there.at(number).tell("product.viewed", "v1", product_id=f"{number}")
    assert len(there.customer("v1").tags) == TAGS_KEPT
    there.tell("customer.identified", "anna", anonymous_id="v1")
    assert len(there.customer().tags) == TAGS_KEPT
    there.at(10 * DAY)
    assert there.customer().tags == {}


def test_other_systems_hear_of_tags() -> None:
    harness = Harness().tell("customer.updated", tags=["lead", "vip"])
    harness.at(HOUR).tell("customer.updated", tags=["vip"])
    told = [
        (each.content.tag, each.content.change)
        for each in harness.effects
        if isinstance(each.content, TagChanged)
    ]
    assert told == [("lead", "added"), ("vip", "added"), ("lead", "removed")]
