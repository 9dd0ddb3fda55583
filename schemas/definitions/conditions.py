"""Conditions: typed rules over what is known of a customer.

As a marketer writes them, a mapping of fields to what they must be; all have to hold:

    if:
      orders.count: {at_least: 2}
      profile.country: IT                      # the same as {is: IT}
      cart.categories: {contains: caffè}
      orders.last: {longer_ago_than: 60d}      # of an instant
      any:
        - tags: {contains: vip}
        - points: {at_least: 500}
      not: {segments: {contains: employees}}
      cel: orders.spent / double(orders.count) > 80.0     # where rules don't reach

Which fields there are, of which type, and what may be asked of each type: `agents/rules/fields/`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, model_validator
from pydantic.json_schema import JsonSchemaValue

from schemas.definitions.definition import Definition
from schemas.durations import Duration

Scalar = bool | int | float | str

_OWN_KEYS = frozenset({"fields", "all", "any", "not", "not_", "cel"})


def _short_tests(schema: JsonSchemaValue) -> None:
    """A value alone and a list of values are tests too."""
    scalar = {"type": ["string", "number", "boolean"]}
    long = dict(schema)
    schema.clear()
    schema["anyOf"] = [scalar, {"type": "array", "items": scalar, "minItems": 1}, long]


def _keys_are_fields(schema: JsonSchemaValue) -> None:
    schema["additionalProperties"] = schema["properties"]["fields"]["additionalProperties"]


class Test(Definition):
    """What a field has to be. Several together have to hold all."""

    model_config = ConfigDict(json_schema_extra=_short_tests)

    is_: Scalar | None = Field(default=None, alias="is")
    is_not: Scalar | None = None
    one_of: list[Scalar] | None = Field(default=None, alias="in", min_length=1)
    not_in: list[Scalar] | None = Field(default=None, min_length=1)
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    contains: Scalar | None = None
    """Of a set or list: has this member. Of a text: has this part, whatever the case."""
    lacks: Scalar | None = None
    within: Duration | None = None
    """Of an instant: not longer ago than this."""
    longer_ago_than: Duration | None = None
    """Of an instant that is known."""
    known: bool | None = None
    """Whether anything is known at all: not empty, not absent."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, list):
            return {"in": value}
        return value if isinstance(value, dict | Test) else {"is": value}

    @model_validator(mode="after")
    def _asks_something(self) -> Test:
        if not self.model_fields_set:
            raise ValueError("nothing is asked of this field")
        return self


class Condition(Definition):
    """All of its parts have to hold. An empty one always does."""

    model_config = ConfigDict(json_schema_extra=_keys_are_fields)

    fields: dict[str, Test] = {}
    all_: list[Condition] = Field(default=[], alias="all")
    any_: list[Condition] = Field(default=[], alias="any")
    not_: Condition | None = Field(default=None, alias="not")
    cel: str = ""

    @model_validator(mode="before")
    @classmethod
    def _fields_are_keys(cls, value: Any) -> Any:
        """A key that is none of ours is a field."""
        if not isinstance(value, dict):
            return value
        own = {key: part for key, part in value.items() if key in _OWN_KEYS}
        asked = {key: part for key, part in value.items() if key not in _OWN_KEYS}
        return {**own, "fields": {**own.get("fields", {}), **asked}} if asked else own
