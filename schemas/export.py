"""JSON Schemas of everything that travels, for those who write events or read commands."""

from __future__ import annotations

import re
from typing import Any

from pydantic import TypeAdapter

from schemas.commands import COMMAND
from schemas.decisions import DECISION
from schemas.definitions import DEFINITION
from schemas.events import INTERNAL_TYPES, PAYLOADS, CloudEvent
from schemas.events.custom import CUSTOM
from schemas.facts import FACT
from schemas.products import Product
from schemas.signals import SIGNAL

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def export() -> dict[str, dict[str, Any]]:
    """Return file name → JSON Schema, in a fixed order.

    `event.schema.json` is the structured form of an event: one alternative per type, each with the
    schema of its `data`. `events/TYPE.schema.json` are the values in binary mode.
    """
    schemas = {"event.schema.json": _event()}
    for type_ in sorted(PAYLOADS.keys() - INTERNAL_TYPES):
        schemas[f"events/{type_}.schema.json"] = _named(
            type_, TypeAdapter(PAYLOADS[type_]).json_schema()
        )
    schemas["command.schema.json"] = _named("send-commands", COMMAND.json_schema())
    schemas["decision.schema.json"] = _named("facts, decisions", DECISION.json_schema())
    schemas["fact.schema.json"] = _named("facts", FACT.json_schema(mode="serialization"))
    schemas["signal.schema.json"] = _named("customer-signals", SIGNAL.json_schema())
    schemas["product.schema.json"] = _named("products", Product.model_json_schema())
    schemas["workflow.schema.json"] = _named("workflows/*.yaml", DEFINITION.json_schema())
    return schemas


def _event() -> dict[str, Any]:
    """Discriminated by `type`: a condition per type, as JSON Schema has no discriminator."""
    envelope = CloudEvent.model_json_schema()
    types = sorted(PAYLOADS.keys() - INTERNAL_TYPES)
    own = {"pattern": f"^{re.escape(CUSTOM)}"}
    envelope["properties"]["type"] = {"type": "string", "anyOf": [{"enum": types}, own]}
    envelope["allOf"] = [
        {
            "if": {"properties": {"type": {"const": type_}}},
            "then": {"properties": {"data": {"$ref": f"events/{type_}.schema.json"}}},
        }
        for type_ in types
    ]
    return _named("customer-events, structured mode", envelope)


def _named(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": DIALECT, **schema, "title": title}
