"""The contract is AsyncAPI, is true of what travels, and takes nothing of the last release away."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from agents.outbound.messages import MAILS, SIGNALS, read_message
from schemas.events import INTERNAL_TYPES, PAYLOADS
from schemas.records import Record
from schemas.topics import CUSTOMER_EVENTS, CUSTOMER_SIGNALS
from streams.tools.contract.asyncapi import document
from streams.tools.contract.compatibility import losses
from streams.tools.contract.page import page, released
from streams.topology import topics
from tests.keys import SIGNER
from tests.node import PACKAGES, needs_node
from tests.outbound.doubles import START, signal
from tests.outbound.test_messages import outcome

ROOT = Path(__file__).parents[3]
RELEASED = ROOT / "docs" / "contract" / "released.json"


@cache
def made() -> dict[str, Any]:
    return document()


@needs_node
def test_it_is_asyncapi_3() -> None:
    schema = json.loads((PACKAGES / "@asyncapi/specs/schemas/3.0.0.json").read_text())
    validator = validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(made())] == []
    broken = {**made(), "channels": {"a": {"messages": []}}}
    assert list(validator.iter_errors(broken)) != []


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_reference_leads_somewhere() -> None:
    for reference in set(references(made())):
        found: Any = made()
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found is not None


def test_everything_that_travels_is_in_it() -> None:
    names = set(made()["components"]["messages"])
    assert {f"event.{type_}" for type_ in PAYLOADS.keys() - INTERNAL_TYPES} <= names
    assert {f"signal.{type_}" for type_ in SIGNALS} <= names
    assert {f"webhook.{type_}" for type_ in (*SIGNALS, *MAILS)} <= names
    assert {spec.name for spec in topics(8)} | {"webhooks"} == set(made()["channels"])


def complaints(message: str, content: Any) -> list[str]:
    """Return what a message's schema says of a content."""
    payload = made()["components"]["messages"][message]["payload"]
    schema = {**payload, "components": made()["components"]}
    return [error.message for error in Draft202012Validator(schema).iter_errors(content)]


def test_what_is_posted_is_as_it_says() -> None:
    told = Record(CUSTOMER_SIGNALS, 0, 1, START, *signal("s1"))
    ours = SIGNER.sign(CUSTOMER_EVENTS, outcome(kind="hard", code=550))
    for record in (told, Record(CUSTOMER_EVENTS, 0, 1, START, *ours)):
        message = read_message(record, SIGNER)
        assert message is not None
        body = json.loads(message.body)
        assert complaints(f"webhook.{message.type}", body) == []
        assert complaints(f"webhook.{message.type}", {**body, "data": {}}) != []


def test_the_page_is_what_the_models_say() -> None:
    written = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    assert written == page(made()), "make contract writes it"


def test_nothing_of_the_last_release_is_taken_away() -> None:
    assert losses(json.loads(RELEASED.read_text(encoding="utf-8")), made()) == []


def test_what_is_kept_of_a_release_is_the_same_without_words() -> None:
    kept = json.loads(released(made()))
    assert losses(kept, made()) == losses(made(), kept) == []
    assert "title" not in kept["components"]["schemas"]["event.order.completed"]


def schema(made: Any, name: str) -> Any:
    """Return a message's own schema."""
    found = made["components"]["schemas"][name]
    while "$ref" in found:
        found = made["components"]["schemas"][found["$ref"].rpartition("/")[2]]
    return found


def _gone(new: Any) -> None:
    del schema(new, "event.order.completed")["properties"]["coupon"]


def _needed(new: Any) -> None:
    schema(new, "event.order.completed").setdefault("required", []).append("coupon")


def _another_type(new: Any) -> None:
    schema(new, "signal.tier.changed")["properties"]["points"] = {"type": "string"}


def _fewer_values(new: Any) -> None:
    schema(new, "signal.segment.changed")["properties"]["change"]["enum"] = ["entered"]


def _no_more_always(new: Any) -> None:
    schema(new, "signal.segment.changed")["required"].remove("segment")


def _shorter(new: Any) -> None:
    schema(new, "signal.segment.changed")["properties"]["segment"]["maxLength"] = 5


def _no_message(new: Any) -> None:
    del new["channels"]["customer-signals"]["messages"]["signal.sales.alert"]


def _no_topic(new: Any) -> None:
    del new["channels"]["facts"]


def _header(new: Any) -> None:
    del new["components"]["messages"]["event.order.completed"]["headers"]["properties"]["ce_time"]


def _other_partitions(new: Any) -> None:
    new["channels"]["customer-events"]["bindings"]["kafka"]["partitions"] = 4


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_gone, "event.order.completed payload.coupon: gone"),
        (_needed, "coupon: needed, and was not"),
        (_another_type, "points: integer became string"),
        (_fewer_values, "change: values are gone: 'left'"),
        (_no_more_always, "segment: may be missing, and was always there"),
        (_shorter, "maxLength none became 5"),
        (_no_message, "message signal.sales.alert is gone"),
        (_no_topic, "channel facts: gone"),
        (_header, "headers.ce_time: gone"),
        (_other_partitions, "of partitions, 8 became 4"),
    ],
)
def test_what_is_taken_away_is_found(change: Callable[[Any], None], expected: str) -> None:
    new = copy.deepcopy(made())
    change(new)
    assert any(expected in loss for loss in losses(made(), new)), losses(made(), new)


def test_what_is_added_is_no_loss() -> None:
    new = copy.deepcopy(made())
    schema(new, "event.order.completed")["properties"]["gift"] = {"type": "string"}
    schema(new, "signal.segment.changed")["properties"]["change"]["enum"].append("renamed")
    schema(new, "signal.segment.changed")["required"].append("gift")
    new["channels"]["more"] = {"messages": {}}
    assert losses(made(), new) == []
