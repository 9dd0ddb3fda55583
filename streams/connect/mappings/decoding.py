"""A record's bytes, as its mapping wants them.

Confluent's wire format: a zero byte, the schema's id in four bytes (big-endian), of Protobuf which
of the schema's messages it is, then the value. Schemas are fetched before a batch is read, so that
a registry that is away holds the batch up and refuses none of its records.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic_core import from_json

from agents.mappings.envelopes import ForeignRecord
from schemas.mappings import Format, KeyFormat, Source
from schemas.records import Record
from schemas.validation import Unreadable
from schemas.wire import MAX_EVENT_BYTES
from streams.connect.mappings.schema_registry import (
    MAX_KEPT,
    RegisteredSchema,
    SchemaRegistry,
    UnknownSchema,
)

MAGIC = 0
_PREFIX = struct.Struct(">bI")
_SERIALIZED = "serialized"
_KINDS = {"avro": "AVRO", "protobuf": "PROTOBUF"}

_Reader = Callable[[bytes], Any]


class Decoder:
    """Reads the records of one source."""

    def __init__(self, source: Source, registry: SchemaRegistry | None) -> None:
        """`registry` is needed where the format is Avro or Protobuf."""
        self._source = source
        self._registry = registry
        self._readers: OrderedDict[tuple[str, int], _Reader | str] = OrderedDict()
        """By format and id; a text says why there is none."""

    async def decode(self, records: Sequence[Record]) -> list[ForeignRecord | Unreadable]:
        """Return each record, or why it can't be read. Raises RegistryUnavailable, and then nothing
        of the batch was read."""
        source = self._source
        await self._prepare(source.format, (record.value for record in records))
        await self._prepare(source.key_format, (record.key for record in records))
        decoded: list[ForeignRecord | Unreadable] = []
        for record in records:
            try:
                decoded.append(self._decoded(record))
            except Unreadable as error:
                decoded.append(error)
        return decoded

    async def _prepare(self, format_: str, contents: Iterable[bytes | None]) -> None:
        kind = _KINDS.get(format_)
        if kind is None or self._registry is None:
            return
        for id_ in {id_ for content in contents if (id_ := _schema_id(content)) is not None}:
            wanted = (kind, id_)
            known = self._readers.get(wanted)
            if known is not None and not isinstance(known, str):
                self._readers.move_to_end(wanted)
                continue
            try:
                of_registry = _SERIALIZED if kind == "PROTOBUF" else ""
                schema = await self._registry.schema(id_, of_registry)
                self._readers[wanted] = _reader(kind, schema)
            except UnknownSchema as error:
                self._readers[wanted] = str(error)
            if len(self._readers) > MAX_KEPT:
                self._readers.popitem(last=False)

    def _decoded(self, record: Record) -> ForeignRecord:
        source = self._source
        value = record.value
        if value is not None and len(value) > MAX_EVENT_BYTES:
            problem = f"{len(value)} bytes, at most {MAX_EVENT_BYTES} are accepted"
            raise Unreadable("too_large", problem)
        return ForeignRecord(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp if record.timestamp >= 0 else None,
            self._content(source.key_format, "key", record.key),
            self._content(source.format, "value", value),
            {name: (text or b"").decode("utf-8", "replace") for name, text in record.headers},
        )

    def _content(self, format_: Format | KeyFormat, place: str, content: bytes | None) -> Any:
        if content is None or format_ == "none":
            return None
        if format_ == "text":
            return content.decode("utf-8", "replace")
        if format_ == "json":
            return _json(content, place)
        return self._of_registry(_KINDS[format_], place, content)

    def _of_registry(self, kind: str, place: str, content: bytes) -> Any:
        id_ = _schema_id(content)
        if id_ is None:
            problem = f"{place}: not in the schema registry's format (begins {content[:5].hex()})"
            raise Unreadable("invalid_event", problem)
        reader = self._readers.get((kind, id_))
        if reader is None or isinstance(reader, str):
            raise Unreadable("unknown_schema", f"{place}: schema {id_}: {reader or 'not fetched'}")
        try:
            return reader(content[_PREFIX.size :])
        except ValueError as error:
            problem = f"{place}: schema {id_}: {error}"
            raise Unreadable("invalid_event", problem[:400]) from None


def _reader(kind: str, schema: RegisteredSchema) -> _Reader:
    """Raises UnknownSchema."""
    if schema.kind != kind:
        raise UnknownSchema(f"it is {schema.kind}, and the mapping says {kind}")
    if kind == "AVRO":
        from streams.connect.mappings.avro import avro_reader  # noqa: PLC0415  # few sources have it

        return avro_reader(schema)
    from streams.connect.mappings.protobuf import protobuf_reader  # noqa: PLC0415  # as above

    return protobuf_reader(schema)


def _schema_id(content: bytes | None) -> int | None:
    if content is None or len(content) < _PREFIX.size:
        return None
    magic, id_ = _PREFIX.unpack_from(content)
    return id_ if magic == MAGIC else None


def _json(content: bytes, place: str) -> Any:
    # A registry's JSON serializer writes the same five bytes before it; JSON begins with no zero.
    text = content[_PREFIX.size :] if content[:1] == b"\0" else content
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise Unreadable("invalid_json", f"{place}: not JSON: {str(error)[:200]}") from None
