"""JSON, Avro and Protobuf in Confluent's wire format, with a registry over real HTTP: what can't be
read is refused, and a registry that is away refuses nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import BasicAuth
from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from schemas.mappings import Source
from schemas.records import Record
from schemas.validation import Unreadable
from streams.clock import VirtualClock
from streams.connect.mappings import schema_registry
from streams.connect.mappings.decoding import Decoder
from streams.connect.mappings.schema_registry import (
    RegistryUnavailable,
    SchemaRegistry,
    UnknownSchema,
)
from tests.mappings.foreign import Process, Topic, appended, new_log
from tests.mappings.ordini import compiled
from tests.mappings.registry import Registry, avro, file_of, framed, protobuf, serialized
from tests.runtime.doubles import START

ORDER = {
    "type": "record", "name": "Ordine", "namespace": "it.esempio",
    "fields": [
        {"name": "numero", "type": "long"},
        {"name": "totale", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9,
                                    "scale": 2, "connect.name":
                                    "org.apache.kafka.connect.data.Decimal"}},
        {"name": "quando", "type": ["null", {"type": "long", "connect.name":
                                             "io.debezium.time.MicroTimestamp"}]},
        {"name": "giorni", "type": {"type": "array", "items": {
            "type": "int", "connect.name": "io.debezium.time.Date"}}},
    ],
}  # fmt: skip
VALUE = {
    "numero": 7,
    "totale": Decimal("52.00"),
    "quando": 1_772_442_900_000_000,
    "giorni": [20_514],
}
READ = {"numero": 7, "totale": Decimal("52.00"), "quando": "2026-03-02T09:15:00",
        "giorni": ["2026-03-02"]}  # fmt: skip


def text(schema: Any) -> str:
    return json.dumps(schema)


def source(format_: str, **changed: Any) -> Source:
    mapping = {"name": "m", "topic": "ordini", "format": format_, **changed}
    return Source.model_validate(mapping)


def record(value: bytes | None, key: bytes | None = None) -> Record:
    return Record("ordini", 0, 3, 5, key, value, [("h", b"\xff")])


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with Registry().serving() as running:
        yield running


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[SchemaRegistry]:
    client = SchemaRegistry(registry.url)
    yield client
    await client.stop()


async def decoded(source_: Source, client: SchemaRegistry | None, value: bytes | None) -> Any:
    (found,) = await Decoder(source_, client).decode([record(value)])
    return found if isinstance(found, Unreadable) else found.value


async def test_json_text_and_headers() -> None:
    (found,) = await Decoder(source("json"), None).decode([record(b'{"a": 1}', b"k\xff")])
    assert not isinstance(found, Unreadable)
    assert (found.value, found.key, found.headers, found.time) == ({"a": 1}, "k�", {"h": "�"}, 5)
    assert await decoded(source("json"), None, framed(9, b'{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize("value", [b"{half", b"NaN", b"\xff\xfe", b"\0\0\0\0\1"])
async def test_what_is_no_json_is_refused(value: bytes) -> None:
    assert (await decoded(source("json"), None, value)).reason == "invalid_json"


async def test_a_value_larger_than_an_event_is_refused() -> None:
    assert (await decoded(source("json"), None, b'"%b"' % (b"x" * 1_000_000))).reason == "too_large"


async def test_avro_with_connects_types(registry: Registry, client: SchemaRegistry) -> None:
    registry.add(7, text(ORDER))
    assert await decoded(source("avro"), client, avro(7, ORDER, VALUE)) == READ
    nothing = {**VALUE, "quando": None}
    assert (await decoded(source("avro"), client, avro(7, ORDER, nothing)))["quando"] is None
    assert registry.asked == ["/api/schemas/ids/7"]  # and it is kept


async def test_avro_takes_from_others(registry: Registry, client: SchemaRegistry) -> None:
    address = {
        "type": "record",
        "name": "it.Indirizzo",
        "fields": [{"name": "via", "type": "string"}],
    }
    order = {"type": "record", "name": "it.Ordine", "fields": [
        {"name": "a", "type": "it.Indirizzo"}, {"name": "b", "type": "it.Indirizzo"},
        {"name": "figlio", "type": ["null", "it.Ordine"]}]}  # fmt: skip
    registry.add(1, text(address), subject="indirizzo/v")
    registry.add(2, text(order), references=[("it.Indirizzo", "indirizzo/v")])
    whole = {**order, "fields": [{"name": "a", "type": address}, *order["fields"][1:]]}  # type: ignore[dict-item]
    value = {"a": {"via": "x"}, "b": {"via": "y"}, "figlio": None}
    assert await decoded(source("avro"), client, avro(2, whole, value)) == value


@pytest.mark.parametrize(
    ("value", "reason", "problem"),
    [
        (b'{"a": 1}', "invalid_event", "not in the schema registry's format"),
        (framed(7, b"\x02"), "invalid_event", "not of its Avro schema"),
        (avro(7, ORDER, VALUE) + b"x", "invalid_event", "1 bytes are left over"),
        (framed(404, b""), "unknown_schema", "knows no /schemas/ids/404"),
        (framed(8, b""), "unknown_schema", "it is JSON, and the mapping says AVRO"),
        (framed(9, b""), "unknown_schema", "an Avro schema that can't be used"),
    ],
)
async def test_what_is_no_avro_is_refused(
    registry: Registry, client: SchemaRegistry, value: bytes, reason: str, problem: str
) -> None:
    registry.add(7, text(ORDER))
    registry.add(8, "{}", "JSON")
    registry.add(9, '{"type": "recrod"}')
    found = await decoded(source("avro"), client, value)
    assert found.reason == reason
    assert problem in found.detail


def proto() -> tuple[Any, Any]:
    """A file with `Altro`, `Ordine` and `Ordine.Riga`, and one that it imports."""
    money = file_of("soldi.proto", "it.soldi")
    amount = money.message_type.add(name="Importo")
    amount.field.add(name="centesimi", number=1, type=Field.TYPE_INT64, label=1)
    file = file_of("ordine.proto", "it", imports=["soldi.proto", "google/protobuf/timestamp.proto"])
    file.message_type.add(name="Altro")
    order = file.message_type.add(name="Ordine")
    order.field.add(name="numero", number=1, type=Field.TYPE_INT64, label=1)
    order.field.add(name="totale", number=2, type=Field.TYPE_MESSAGE, label=1,
                    type_name=".it.soldi.Importo")  # fmt: skip
    order.field.add(name="righe", number=3, type=Field.TYPE_MESSAGE, label=3,
                    type_name=".it.Ordine.Riga")  # fmt: skip
    order.field.add(name="quando", number=4, type=Field.TYPE_MESSAGE, label=1,
                    type_name=".google.protobuf.Timestamp")  # fmt: skip
    order.field.add(name="stato", number=5, type=Field.TYPE_ENUM, label=1, type_name=".it.Stato")
    line = order.nested_type.add(name="Riga")
    line.field.add(name="sku", number=1, type=Field.TYPE_STRING, label=1)
    state = file.enum_type.add(name="Stato")
    state.value.add(name="BOZZA", number=0)
    state.value.add(name="CONFERMATO", number=1)
    return file, money


async def test_protobuf_with_imports_and_message_indexes(
    registry: Registry, client: SchemaRegistry
) -> None:
    file, money = proto()
    registry.add(1, serialized(money), "PROTOBUF", subject="soldi")
    references = [("soldi.proto", "soldi")]
    registry.add(2, serialized(file), "PROTOBUF", references=references)
    files = [timestamp_pb2.DESCRIPTOR, money, file]
    files = [_copied(each) for each in files]
    value = {"numero": "9007199254740993", "totale": {"centesimi": 5200}, "righe": [{"sku": "M"}],
             "quando": "2026-03-02T09:15:00Z", "stato": "CONFERMATO"}  # fmt: skip
    second = b"\x02\x02"  # one index: 1
    sent = protobuf(2, second, files, "it.Ordine", value)
    assert await decoded(source("protobuf"), client, sent) == {**value, "numero": 9007199254740993}
    nested = protobuf(2, b"\x04\x02\x00", files, "it.Ordine.Riga", {"sku": "M"})
    assert await decoded(source("protobuf"), client, nested) == {"sku": "M"}
    first = protobuf(2, b"\x00", files, "it.Altro", {})
    assert await decoded(source("protobuf"), client, first) == {}
    empty = protobuf(2, second, files, "it.Ordine", {})
    assert await decoded(source("protobuf"), client, empty) == {
        "numero": 0, "totale": None, "righe": [], "quando": None, "stato": "BOZZA",
    }  # fmt: skip
    assert registry.asked[0] == "/api/schemas/ids/2?format=serialized"


def _copied(file: Any) -> Any:
    copied = file_of("", "")
    if hasattr(file, "serialized_pb"):
        copied.ParseFromString(file.serialized_pb)
        return copied
    return file


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x02\x08", "no message [4] in the schema"),
        (b"\x02", "cut off"),
        (b"\xff\xff\xff\xff\xff\xff", "cut off"),
        (b"\x40", "message indexes: 32 of them"),
        (b"\x02\x02\xff", "not a it.Ordine"),
    ],
)
async def test_what_is_no_protobuf_is_refused(
    registry: Registry, client: SchemaRegistry, content: bytes, problem: str
) -> None:
    file, money = proto()
    registry.add(1, serialized(money), "PROTOBUF", subject="soldi")
    registry.add(2, serialized(file), "PROTOBUF", references=[("soldi.proto", "soldi")])
    found = await decoded(source("protobuf"), client, framed(2, content))
    assert (found.reason, problem in found.detail) == ("invalid_event", True), found.detail


async def test_a_registry_wants_a_password() -> None:
    async with Registry(BasicAuth("erp", "segreto")).serving() as registry:
        registry.add(7, text(ORDER))
        right = SchemaRegistry(registry.url, username="erp", password="segreto")
        wrong = SchemaRegistry(registry.url, username="erp", password="anders")
        try:
            assert (await right.schema(7)).kind == "AVRO"
            with pytest.raises(RegistryUnavailable, match="answers 401"):
                await wrong.schema(7)
        finally:
            await right.stop()
            await wrong.stop()


async def test_what_was_missing_is_asked_for_again_after_a_while(registry: Registry) -> None:
    now = 0.0
    client = SchemaRegistry(registry.url, monotonic=lambda: now)
    for _ in range(3):
        with pytest.raises(UnknownSchema):
            await client.schema(7)
    assert len(registry.asked) == 1
    registry.add(7, text(ORDER))
    now = schema_registry.MISSING_SECONDS
    assert await client.schema(7)
    await client.stop()


async def test_no_more_schemas_are_kept_than_there_is_room_for(
    registry: Registry, client: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_registry, "MAX_KEPT", 2)
    for id_ in (1, 2, 1, 3, 1):
        registry.add(id_, text(ORDER))
        await client.schema(id_)
    assert len(registry.asked) == 3
    await client.schema(2)  # the least recently used had gone
    assert len(registry.asked) == 4


async def test_a_registry_that_is_away_holds_up_and_refuses_nothing(registry: Registry) -> None:
    registry.add(7, text(ORDER))
    registry.status = 503
    view = {"type": "product.viewed", "customer": "string(value.numero)",
            "properties": {"product_id": "'x'"}}  # fmt: skip
    mapping = compiled({"name": "m", "topic": "ordini", "format": "avro", "events": [view]})
    log, topic, clock = await new_log(), Topic(1), VirtualClock(START)
    topic.add(0, avro(7, ORDER, VALUE))
    client = SchemaRegistry(registry.url)
    process = Process(mapping, topic, log, registry=client, clock=clock)
    tries: list[str] = []

    def comes_back() -> bool:
        if process.counts.pause == "registry" and len(registry.asked) > len(tries):
            tries.extend(registry.asked[len(tries) :])
            assert appended(log) == []
            registry.status = 200 if len(tries) >= 3 else 503
        clock.advance(clock.now() + 1_000)
        return process.is_drained()

    try:
        await process.run_until(comes_back)
    finally:
        await client.stop()
    await asyncio.sleep(0)
    assert len(tries) >= 3
    assert process.counts.records == {"mapped": 1, "dropped": 0, "refused": 0, "repeated": 0}
    assert process.counts.pause == "none"
