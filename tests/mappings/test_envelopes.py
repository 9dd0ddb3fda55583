"""Debezium's changes and outbox, and CloudEvents in each of their forms."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from agents.mappings.connect_types import by_schema
from tests.mappings.ordini import TIME, compiled, record

ROW = {"id": 5, "cliente": "anna", "sku": "MOKA-3"}
VIEW = {
    "type": "product.viewed", "customer": "value.cliente",
    "properties": {"product_id": "value.sku"},
}  # fmt: skip


def source(envelope: str, *events: dict[str, Any], **changed: Any) -> Any:
    mapping = {"name": "m", "topic": "ordini", "envelope": envelope, "events": events or [VIEW]}
    return compiled({**mapping, **changed})


def change(op: str, **changed: Any) -> dict[str, Any]:
    told = {"before": None, "after": ROW, "op": op, "source": {"ts_ms": TIME + 5, "table": "viste"}}
    return {**told, **changed}


@pytest.mark.parametrize(("op", "is_history"), [("c", False), ("u", False), ("r", True)])
def test_a_change_is_the_row_after_it_and_a_snapshot_is_history(op: str, is_history: bool) -> None:
    ((_, event),) = source("debezium").map(record(change(op))).events
    assert (event.customer, event.backfill, event.time) == ("anna", is_history, TIME + 5)


def test_a_deletion_is_mapped_only_where_it_is_asked_for() -> None:
    deletion = record(change("d", before=ROW, after=None))
    assert source("debezium").map(deletion).dropped
    wanted = {**VIEW, "on": ["delete"], "when": "operation == 'delete' && before.id == 5"}
    ((_, event),) = source("debezium", wanted).map(deletion).events
    assert event.data.product_id == "MOKA-3"


def test_a_change_can_be_told_from_what_was_before() -> None:
    changed = {**VIEW, "when": "before.sku != value.sku"}
    mapping = source("debezium", changed)
    assert mapping.map(record(change("u", before=ROW))).dropped
    assert mapping.map(record(change("u", before={**ROW, "sku": "x"}))).events


@pytest.mark.parametrize("value", [None, change("t"), change("m")])
def test_tombstones_and_what_is_no_row_say_nothing(value: Any) -> None:
    assert source("debezium").map(record(value)).dropped


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (ROW, "op: missing"),
        (change("x"), "expected c, u, d or r"),
        (change("c", after=None), "after: no row"),
    ],
)
def test_what_is_no_change_is_refused(value: Any, problem: str) -> None:
    (error,) = source("debezium").map(record(value)).refusals
    assert problem in error.detail


def test_connects_types_are_read_by_the_schema_beside_them() -> None:
    def field(name: str, type_: str, **more: Any) -> dict[str, Any]:
        return {"field": name, "name": type_, **more}

    schema = {
        "type": "struct",
        "fields": [
            field("micro", "io.debezium.time.MicroTimestamp"),
            field("giorno", "io.debezium.time.Date"),
            field("totale", "org.apache.kafka.connect.data.Decimal", parameters={"scale": "2"}),
            field("vario", "io.debezium.data.VariableScaleDecimal"),
            {"field": "righe", "type": "array", "items": {"name": "io.debezium.time.Timestamp"}},
        ],
    }
    value = {
        "micro": 1_772_442_900_123_456, "giorno": 20_514, "totale": "FFA=",
        "vario": {"scale": 1, "value": "AQ=="}, "righe": [1_772_442_900_000], "altro": 7,
    }  # fmt: skip
    assert by_schema(schema, value) == {
        "micro": "2026-03-02T09:15:00.123456", "giorno": "2026-03-02", "totale": "52.00",
        "vario": "0.1", "righe": ["2026-03-02T09:15:00"], "altro": 7,
    }  # fmt: skip


def test_a_change_with_its_schema_beside_it() -> None:
    row = {"field": "after", "type": "struct", "fields": [{"field": "id", "type": "int32"}]}
    enveloped = {"schema": {"type": "struct", "fields": [row]}, "payload": change("c")}
    ((_, event),) = source("debezium").map(record(enveloped)).events
    assert event.customer == "anna"


OUTBOX = {
    "type": "product.viewed", "customer": "key", "id": "event.id",
    "when": "event.type == 'ProdottoVisto'", "properties": {"product_id": "value.sku"},
}  # fmt: skip


@pytest.mark.parametrize("payload", [{"sku": "MOKA-3"}, json.dumps({"sku": "MOKA-3"})])
def test_an_outbox_as_the_router_writes_it(payload: Any) -> None:
    routed = record(payload, key="anna", id="f-1", eventType="ProdottoVisto")
    ((_, event),) = source("outbox", OUTBOX).map(routed).events
    assert (event.id, event.customer, event.data.product_id) == ("f-1", "anna", "MOKA-3")


def test_an_outbox_as_its_table_changes() -> None:
    row = {"id": "f-1", "type": "ProdottoVisto", "aggregatetype": "cliente", "aggregateid": "anna",
           "payload": '{"sku": "MOKA-3"}'}  # fmt: skip
    mapping = source("outbox", OUTBOX)
    ((_, event),) = mapping.map(record(change("c", after=row))).events
    assert (event.id, event.customer) == ("f-1", "anna")
    assert mapping.map(record(change("d", before=row, after=None))).dropped


CLOUD = {
    "specversion": "1.0", "id": "f-1", "source": "/erp", "type": "it.esempio.visto",
    "subject": "anna", "time": "2026-03-02T09:15:00Z",
}  # fmt: skip
OURS = {**CLOUD, "type": "product.viewed"}
OF_CLOUD = {
    "type": "product.viewed", "customer": "event.subject", "id": "event.id", "time": "event.time",
    "when": "event.type == 'it.esempio.visto'", "properties": {"product_id": "value.sku"},
}  # fmt: skip
DATA = {"sku": "MOKA-3"}
ENCODED = base64.b64encode(json.dumps(DATA).encode()).decode()


@pytest.mark.parametrize(
    "given",
    [
        record({**CLOUD, "data": DATA}),
        record([{**CLOUD, "data": DATA}]),
        record({**CLOUD, "data_base64": ENCODED}),
        record(DATA, **{f"ce_{name}": text for name, text in CLOUD.items()}),
    ],
    ids=["structured", "batch", "base64", "binary"],
)
def test_cloud_events_are_mapped_in_each_form(given: Any) -> None:
    ((_, event),) = source("cloudevents", OF_CLOUD).map(given).events
    assert (event.id, event.customer, event.time) == ("f-1", "anna", TIME)
    assert event.data.product_id == "MOKA-3"


def test_cloud_events_of_ours_are_taken_as_they_are() -> None:
    mapping = source("cloudevents", events=[])
    data = {"product_id": "MOKA-3"}
    batch = [{**OURS, "data": data}, {"no": "event"}, {**OURS, "id": "f-2", "data": data}]
    mapped = mapping.map(record(batch))
    assert [(number, event.id) for number, event in mapped.events] == [(0, "f-1"), (2, "f-2")]
    assert [error.detail for error in mapped.refusals] == [
        "1: specversion: missing, so it is no CloudEvent"
    ]
    binary = record(data, **{f"ce_{name}": text for name, text in OURS.items()})
    ((_, event),) = mapping.map(binary).events
    assert (event.type, event.source, event.customer) == ("product.viewed", "/erp", "anna")


@pytest.mark.parametrize("type_", ["address.said", "mail.delivered", "nothing.known"])
def test_a_cloud_event_cant_say_what_only_ritorno_may(type_: str) -> None:
    body = {**OURS, "type": type_, "data": {"command_id": "c-1", "message_id": "m"}}
    mapped = source("cloudevents", events=[]).map(record(body))
    assert not mapped.events
    assert mapped.refusals
