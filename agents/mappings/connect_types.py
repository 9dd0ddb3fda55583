"""Kafka Connect's and Debezium's types: what they write as bytes and numbers, as texts.

A schema says which they are, by name; without one (`schemas.enable=false`) nobody can tell, and the
mapping says it by `decimal(…)`, `micros(…)` and the like. Times that the database keeps without a
zone stay without one: the shop's is assumed of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from agents.mappings.functions import decimal

MAX_DEPTH = 40

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _local(microseconds: int) -> str:
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.replace(tzinfo=None).isoformat()


def _date(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).date().isoformat()


_CONVERTED: Mapping[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "org.apache.kafka.connect.data.Decimal": lambda value, given: decimal(
        value, int(given.get("scale", 0))
    ),
    "org.apache.kafka.connect.data.Date": lambda value, _: _date(value),
    "org.apache.kafka.connect.data.Timestamp": lambda value, _: _local(value * 1_000),
    "io.debezium.data.VariableScaleDecimal": lambda value, _: decimal(
        value["value"], int(value["scale"])
    ),
    "io.debezium.time.Date": lambda value, _: _date(value),
    "io.debezium.time.Timestamp": lambda value, _: _local(value * 1_000),
    "io.debezium.time.MicroTimestamp": lambda value, _: _local(value),
    "io.debezium.time.NanoTimestamp": lambda value, _: _local(value // 1_000),
}


def is_converted(name: str | None) -> bool:
    """Whether values of the type `name` are written otherwise than they are read."""
    return name in _CONVERTED


def converted(name: str, parameters: Mapping[str, Any], value: Any) -> Any:
    """Return a value of the type `name` as it is meant. Raises ValueError."""
    if value is None or not isinstance(value, int | str | bytes | dict):
        return value
    try:
        return _CONVERTED[name](value, parameters)
    except (TypeError, KeyError, OverflowError, ArithmeticError) as error:
        raise ValueError(f"not a {name}: {error!r}"[:200]) from None


def by_schema(schema: Any, value: Any, depth: int = 0) -> Any:
    """Return what lies under `payload` as the `schema` beside it says. Raises ValueError."""
    if value is None or not isinstance(schema, dict) or depth > MAX_DEPTH:
        return value
    name = schema.get("name")
    if is_converted(name):
        return converted(str(name), schema.get("parameters") or {}, value)
    fields = schema.get("fields")
    if isinstance(value, dict) and isinstance(fields, list):
        of = {each.get("field"): each for each in fields if isinstance(each, dict)}
        return {key: by_schema(of.get(key), each, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        items = schema.get("items")
        return [by_schema(items, each, depth + 1) for each in value]
    return value
