"""Protobuf in the registry's wire format: descriptors from the registry (`format=serialized`), no
generated code.

Before the message stands which of the schema's messages it is: the indexes of the path to it, as
zigzag varints, their number first; a single 0 stands for the first message.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

from agents.mappings.connect_types import MAX_DEPTH
from streams.connect.mappings.schema_registry import RegisteredSchema, UnknownSchema

MAX_INDEXES = 16
_Field = FieldDescriptor | Any
"""The library's own, in C: mypy takes it for another class."""

_WELL_KNOWN = (
    any_pb2, descriptor_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2,
    wrappers_pb2,
)  # fmt: skip
_OWN_FORM = "google.protobuf."
"""Begins the names of messages that have a form of their own in JSON: times, wrapped values."""


def protobuf_reader(schema: RegisteredSchema) -> Callable[[bytes], Any]:
    """Return who reads values of a schema, message indexes first, raising ValueError for what is
    none. Raises UnknownSchema for a schema that can't be used."""
    pool = descriptor_pool.DescriptorPool()
    for module in _WELL_KNOWN:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    try:
        name = _add(pool, schema, "schema.proto", set())
        file = pool.FindFileByName(name)
        top = list(file.message_types_by_name.values())
    except (TypeError, ValueError, KeyError, DecodeError, RecursionError) as error:
        raise UnknownSchema(f"a Protobuf schema that can't be used: {error}"[:300]) from None
    classes: dict[str, type[Message]] = {}

    def read(content: bytes) -> Any:
        indexes, start = _indexes(content)
        descriptor = _at(top, indexes)
        class_ = classes.get(descriptor.full_name)
        if class_ is None:
            class_ = classes[descriptor.full_name] = message_factory.GetMessageClass(descriptor)
        message = class_()
        try:
            message.ParseFromString(content[start:])
        except DecodeError as error:
            raise ValueError(f"not a {descriptor.full_name}: {error}") from None
        return _as_dict(message, 0)

    return read


def _add(
    pool: descriptor_pool.DescriptorPool, schema: RegisteredSchema, name: str, added: set[str]
) -> str:
    """Add a file and those that it imports; return its name."""
    for imported, each in schema.references:
        if imported not in added:
            added.add(imported)
            _add(pool, each, imported, added)
    try:
        content = base64.b64decode(schema.text, validate=True)
    except binascii.Error:
        raise ValueError("it isn't serialized: the registry knows no format=serialized") from None
    file = descriptor_pb2.FileDescriptorProto.FromString(content)
    file.name = name
    pool.AddSerializedFile(file.SerializeToString())
    return name


def _indexes(content: bytes) -> tuple[list[int], int]:
    """Return the path to the message, and where the message begins. Raises ValueError."""
    count, at = _varint(content, 0)
    if count == 0:
        return [0], at
    if not 0 < count <= MAX_INDEXES:
        raise ValueError(f"message indexes: {count} of them")
    found = []
    for _ in range(count):
        index, at = _varint(content, at)
        found.append(index)
    return found, at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Return a zigzag varint and where it ends. Raises ValueError."""
    value = shift = 0
    while at < len(content) and shift < 35:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at
    raise ValueError("message indexes: cut off")


def _at(top: list[Descriptor], indexes: list[int]) -> Descriptor:
    there_are, found = top, None
    for index in indexes:
        if not 0 <= index < len(there_are):
            raise ValueError(f"message indexes: no message {indexes} in the schema")
        found = there_are[index]
        there_are = list(found.nested_types)
    assert found is not None
    return found


def _as_dict(message: Message, depth: int) -> Any:
    """Return a message with the names of its schema: whole numbers stay such, enums are names.

    Fields that aren't set have their default where Protobuf can't tell the two apart.
    """
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    descriptor = message.DESCRIPTOR
    if descriptor.full_name.startswith(_OWN_FORM):
        return MessageToDict(message)
    return dict(_fields(message, depth))


def _fields(message: Message, depth: int) -> Iterator[tuple[str, Any]]:
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                of_value = field.message_type.fields_by_name["value"]
                found: Any = {str(key): _one(of_value, each, depth) for key, each in value.items()}
            else:
                found = [_one(field, each, depth) for each in value]
            yield field.name, found
        elif field.has_presence and not message.HasField(field.name):
            yield field.name, None
        else:
            yield field.name, _one(field, value, depth)


def _one(field: _Field, value: Any, depth: int) -> Any:
    if field.message_type is not None:
        return _as_dict(value, depth + 1)
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return value if named is None else named.name
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value
