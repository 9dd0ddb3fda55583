"""Avro in the registry's wire format: fastavro, and Kafka Connect's types by their names."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader
from fastavro.schema import SchemaParseException

from agents.mappings.connect_types import MAX_DEPTH, converted, is_converted
from streams.connect.mappings.schema_registry import RegisteredSchema, UnknownSchema

_Convert = Callable[[Any], Any]


def avro_reader(schema: RegisteredSchema) -> Callable[[bytes], Any]:
    """Return who reads values of a schema, raising ValueError for what is none. Raises
    UnknownSchema for a schema that can't be used."""
    named: dict[str, Any] = {}
    try:
        for _, each in schema.references:
            _parse(each, named)
        parsed = parse_schema(json.loads(schema.text), named_schemas=named)
        convert = _converter(parsed, named, frozenset())
    except (SchemaParseException, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnknownSchema(f"an Avro schema that can't be used: {error}"[:300]) from None

    def read(content: bytes) -> Any:
        stream = BytesIO(content)
        try:
            value = schemaless_reader(stream, parsed, None)
            rest = len(content) - stream.tell()
            value = value if convert is None else convert(value)
        except ValueError:
            raise
        except Exception as error:  # fastavro raises whatever it stumbles over
            raise ValueError(f"not of its Avro schema: {error!r}"[:300]) from None
        if rest:
            raise ValueError(f"not of its Avro schema: {rest} bytes are left over")
        return value

    return read


def _parse(schema: RegisteredSchema, named: dict[str, Any]) -> None:
    for _, each in schema.references:
        _parse(each, named)
    parse_schema(json.loads(schema.text), named_schemas=named)


def _converter(schema: Any, named: dict[str, Any], within: frozenset[str]) -> _Convert | None:
    """Return what makes of a value what Connect means by it, None where there is nothing to do.
    `within`: the names of what it lies in, for a record that holds itself."""
    if isinstance(schema, str) and schema in named and schema not in within:
        return _converter(named[schema], named, within | {schema})
    if len(within) > MAX_DEPTH or isinstance(schema, str):
        return None
    if isinstance(schema, list):
        return _of_union(schema, named, within)
    name = schema.get("connect.name")
    if is_converted(name) and schema.get("logicalType") is None:
        parameters = schema.get("connect.parameters") or {}
        return lambda value: converted(str(name), parameters, value)
    return _of_kind(schema, named, within)


def _of_kind(schema: Any, named: dict[str, Any], within: frozenset[str]) -> _Convert | None:
    inner: _Convert | None = None
    kind = schema.get("type")
    if kind == "record":
        return _of_record(schema, named, within | {str(schema.get("name"))})
    if kind == "array" and (inner := _converter(schema["items"], named, within)) is not None:
        items = inner
        return lambda value: [items(each) for each in value]
    if kind == "map" and (inner := _converter(schema["values"], named, within)) is not None:
        values = inner
        return lambda value: {key: values(each) for key, each in value.items()}
    return _converter(kind, named, within) if isinstance(kind, dict | list) else None


def _of_union(schema: list[Any], named: dict[str, Any], within: frozenset[str]) -> _Convert | None:
    """Of unions only those with null are told apart: what else a value is nobody says any more."""
    others = [each for each in schema if each != "null"]
    if len(others) != 1:
        return None
    only = _converter(others[0], named, within)
    return None if only is None else lambda value: None if value is None else only(value)


def _of_record(schema: Any, named: dict[str, Any], within: frozenset[str]) -> _Convert | None:
    fields = {}
    for field in schema["fields"]:
        convert = _converter(field["type"], named, within)
        if convert is not None:
            fields[field["name"]] = convert
    if not fields:
        return None

    def of_record(value: Any) -> Any:
        for name, convert in fields.items():
            value[name] = convert(value[name])
        return value

    return of_record
