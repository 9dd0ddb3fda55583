"""The exported JSON Schemas are valid, complete, and say what the parser does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from schemas.events import INTERNAL_TYPES, PAYLOADS
from schemas.export import DIALECT, export
from schemas.topics import CUSTOMER_EVENTS
from schemas.validation import Unreadable
from schemas.wire import parse_published
from schemas.yaml_text import Document
from streams.runtime.definitions import read_files
from tests.harness import HOUR, Harness

WORKFLOWS = Path(__file__).parents[2] / "workflows"
SCHEMAS = export()
REGISTRY: Registry[Any] = Registry().with_resources(
    (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)
ORDER = {"order_id": "o1", "total": "52.00", "currency": "EUR",
         "products": [{"product_id": "p1", "price": "26.00", "quantity": 2}]}  # fmt: skip
EVENT: dict[str, Any] = {
    "specversion": "1.0", "id": "e1", "source": "/shop", "type": "order.completed",
    "time": "2026-03-02T10:00:00Z", "subject": "anna", "data": ORDER,
}  # fmt: skip


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name], registry=REGISTRY)


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_valid_schema(name: str) -> None:
    assert SCHEMAS[name]["$schema"] == DIALECT
    Draft202012Validator.check_schema(SCHEMAS[name])
    json.dumps(SCHEMAS[name])


def test_every_public_type_has_one_and_the_internal_ones_have_none() -> None:
    named = {name[7:-12] for name in SCHEMAS if name.startswith("events/")}
    assert named == PAYLOADS.keys() - INTERNAL_TYPES
    ours, own = SCHEMAS["event.schema.json"]["properties"]["type"]["anyOf"]
    assert ours["enum"] == sorted(named)
    assert re.match(own["pattern"], "custom.quiz_finished")


@pytest.mark.parametrize(
    ("event", "valid"),
    [
        (EVENT, True),
        (EVENT | {"type": "custom.quiz_finished", "data": {"score": [1]}}, True),
        (EVENT | {"type": "consent.given", "data": {"purpose": "marketing", "more": 1}}, True),
        (EVENT | {"data": {"order_id": 5.5}}, False),
        (EVENT | {"type": "consent.given", "data": {"purpose": "spam"}}, False),
        (EVENT | {"type": "consent.given", "data": {}}, False),
        (EVENT | {"type": "visitor.merged"}, False),
        ({k: v for k, v in EVENT.items() if k != "id"}, False),
    ],
)  # fmt: skip
def test_the_structured_form_and_the_parser_agree(event: dict[str, Any], valid: bool) -> None:
    assert validator("event.schema.json").is_valid(event) == valid
    if valid:
        parse_published(json.dumps(event))
    elif event["type"] not in INTERNAL_TYPES and event["data"] != {"order_id": 5.5}:
        with pytest.raises(Unreadable):
            parse_published(json.dumps(event))


def test_what_actors_write_is_as_exported() -> None:
    harness = Harness().subscribed().add().at(2 * HOUR).order().tell("customer.erasure_requested")
    schemas = {"send-commands": "command", "facts": "decision", "customer-signals": "signal"}
    seen = set()
    for effect in harness.effects:
        if effect.topic == CUSTOMER_EVENTS:  # what our actors tell each other is no one else's
            continue
        validator(f"{schemas[effect.topic]}.schema.json").validate(
            json.loads(effect.record.value or b"")
        )
        seen.add(effect.topic)
    assert seen == set(schemas)


ALL_FILES = read_files(WORKFLOWS, everything=True)


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yaml")), ids=lambda path: path.stem)
def test_our_workflows_are_as_exported(path: Path) -> None:
    written = Document(path.read_text(encoding="utf-8")).content
    validator("workflow.schema.json").validate(written)
    validator("workflow.schema.json").validate(json.loads(ALL_FILES[written["id"]]))
